"""Where a writer's frames go: a file of its own, or an object of the caller's."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from typing import Any

from tracezip.container import CHECKSUM_BYTES, END, HEAD_BYTES, HEADER, OPTIONAL, read_head
from tracezip.errors import FormatError, InputError, TruncatedError
from tracezip.source import is_path


class Sink:
    """Takes whole frames only. After a failed write the file is cut back to its last whole frame, where it can be.

    A file of its own is unbuffered: what is written has left the process, and nothing is left to be written late.
    """

    def __init__(self, file: Any, mode: str) -> None:
        self._own = is_path(file)
        self._file: Any = _opened(file, mode) if self._own else _checked(file)
        self.begins_empty = not self._own or mode != "a" or not self._file.tell()
        self._start = self._position()
        self.n_bytes = 0
        """Bytes of the frames written."""

    def write(self, frames: bytes) -> None:
        """All or nothing, as far as the file allows. Raises what the file raises."""
        try:
            _write_all(self._file, frames)
        except BaseException:
            self._cut_back()
            raise
        self.n_bytes += len(frames)

    def flush(self) -> None:
        """What was written has left the process, as far as that is in the file's hands."""
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def close(self) -> None:
        """Closes a file of its own; that of the caller stays open."""
        if self._own:
            self._file.close()

    def _position(self) -> int | None:
        try:
            return int(self._file.tell())
        except (OSError, AttributeError, ValueError, TypeError):
            return None  # a pipe, or no real file

    def _cut_back(self) -> None:
        if self._start is None:
            return
        with suppress(Exception):  # the error that led here is the one to tell of
            end = self._start + self.n_bytes
            if not self._own:
                self._file.seek(end)  # makes it write what it has buffered; if it cannot, cutting would leave a gap
            self._file.truncate(end)


def _opened(path: Any, mode: str) -> io.FileIO:
    if mode != "a":
        return io.FileIO(path, mode)
    file = io.FileIO(path, "a+")
    try:
        _check_complete(file)
    except BaseException:
        file.close()
        raise
    return file


def _checked(file: Any) -> Any:
    if not hasattr(file, "write"):
        raise InputError(f"a {type(file).__name__} is neither a path nor a file object to write", code="argument")
    if isinstance(file, io.TextIOBase):
        raise InputError("the file object takes text; open it in binary mode", code="argument")
    return file


def _write_all(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        n_written = file.write(view)
        if n_written is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "the file is non-blocking and takes no more now")
        view = view[len(view) if n_written is None else n_written :]


def _check_complete(file: io.FileIO) -> None:
    """Goes to the end of a file that is empty or ends with a whole stream; anything else must not be appended to."""
    size, at, kind = file.seek(0, os.SEEK_END), 0, END
    while at < size:
        file.seek(at)
        was, (kind, n_head, n_body) = kind, read_head(file.read(HEAD_BYTES), at)
        if kind & OPTIONAL and at:
            kind = was
        elif was == END and kind != HEADER:
            raise FormatError(f"no stream begins at byte {at}: nothing was appended", offset=at)
        at += n_head + n_body + CHECKSUM_BYTES
    if at > size or kind != END:
        raise TruncatedError(
            "the file has no end record, so that nothing was appended: it is cut short, or still being written; "
            "copy what is whole with open(file, skip_damage=True), then append to the copy",
            offset=size,
        )
    file.seek(size)
