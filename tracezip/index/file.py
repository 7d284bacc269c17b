"""A file of which any piece can be read: a path, bytes, or what can seek, read and tell."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tracezip.container import CHECKSUM_BYTES, HEAD_BYTES, INDEX, Frame, frame_of, read_head
from tracezip.errors import InputError
from tracezip.source import Source, is_path


class SeekableFile:
    """Reads pieces of an archive wherever they are."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._kept: tuple[Frame, bytes] | None = None
        """The index frame read last: a query looks for units first and then what else stands between them."""
        try:
            self.n_bytes = int(file.seek(0, os.SEEK_END) or file.tell())
        except (AttributeError, OSError, ValueError) as error:
            raise InputError(
                f"the index of an archive is at its end, and this {type(file).__name__} cannot seek: "
                "save it to a file, or read its messages in order with tracezip.open",
                code="argument",
            ) from error

    def read(self, offset: int, n_bytes: int) -> bytes:
        """So many bytes, fewer only at the end."""
        self._file.seek(offset)
        data: bytes = self._file.read(n_bytes)
        while len(data) < n_bytes and (more := self._file.read(n_bytes - len(data))):
            data += more
        return data

    def source(self, offset: int) -> Source:
        """Everything from there on, to be read in order before anything else is."""
        self._file.seek(offset)
        return Source(self._file, offset)

    def head(self, offset: int, n_more: int = 0) -> tuple[int, int, int, bytes]:
        """Type, and offset of the end, of the frame there; where its body begins in what follows, the bytes read.

        `n_more` bytes of the body are read with it. Raises FormatError and LimitError; the checksum is not looked at.
        """
        data = self.read(offset, HEAD_BYTES + n_more)
        kind, n_head, n_body = read_head(data[:HEAD_BYTES], offset)
        end = offset + n_head + n_body + CHECKSUM_BYTES
        return kind, end, n_head, data

    def frame(self, offset: int) -> Frame:
        """The whole frame there, whose checksum is right. Raises as peek_frame, and FormatError at the end."""
        return self.whole_frame(offset)[0]

    def whole_frame(self, offset: int) -> tuple[Frame, bytes]:
        """And all its bytes."""
        if self._kept is not None and self._kept[0].offset == offset:
            return self._kept
        _, end, _, _ = self.head(offset)
        data = self.read(offset, end - offset)
        whole = frame_of(data, offset), data
        if whole[0].kind == INDEX:
            self._kept = whole
        return whole

    def from_start(self) -> Any:
        """The file itself, to be read from its beginning before anything else is."""
        self._file.seek(0)
        return self._file


@contextmanager
def opened(source: Any) -> Iterator[SeekableFile]:
    """A path (str or PathLike) is opened and closed again; what is open already stays open; bytes are the data."""
    if isinstance(source, SeekableFile):
        yield source
    elif isinstance(source, bytes | bytearray | memoryview):
        yield SeekableFile(io.BytesIO(source))
    elif is_path(source):
        with open(os.fspath(source), "rb", buffering=0) as file:
            yield SeekableFile(file)
    else:
        yield SeekableFile(source)
