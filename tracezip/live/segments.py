"""The files of a spool: archives, and beside each of them how many of its messages are done."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracezip.block import read_block
from tracezip.container import BLOCK, CHECKSUM_BYTES, HEAD_BYTES, peek_frame, read_head
from tracezip.errors import TracezipError
from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, MIN_LEVEL
from tracezip.live.archives import Fsync, sync_folder
from tracezip.source import Source
from tracezip.writer import Writer

SUFFIX, CURSOR_SUFFIX = ".tzip", ".done"
UNREADABLE_SUFFIX = ".unreadable"
_CURSOR_BYTES = 8


class Segment:
    """An archive in the spool, and a file beside it that says how many of its messages are done."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.path = folder / f"{number:08d}{SUFFIX}"
        self.cursor = folder / f"{number:08d}{CURSOR_SUFFIX}"
        self.n_messages = 0
        """Of one that was adopted, about: a large message counts as several."""
        self.n_done = 0
        self.n_bytes = 0

    def adopt(self) -> None:
        self.n_bytes = self.path.stat().st_size
        self.n_messages = _count_blocks(self.path, self.n_bytes)
        with suppress(OSError):
            self.n_done = int.from_bytes(self.cursor.read_bytes()[:_CURSOR_BYTES], "little")

    def mark_done(self) -> None:
        self.n_done += 1
        descriptor = os.open(self.cursor, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, self.n_done.to_bytes(_CURSOR_BYTES, "little"), 0)
        finally:
            os.close(descriptor)

    def put_aside(self) -> None:
        """For people to look at, beside the folders of all processes: no spool reads it again."""
        name = f"{self.folder.name}-{self.path.stem}{UNREADABLE_SUFFIX}"
        self.path.rename(self.folder.parent / name)

    def count_spans_left(self) -> int:
        """Of the messages that are not done, by the heads of their blocks; as far as it is whole."""
        n_spans = n_begun = 0
        with suppress(OSError, TracezipError), self.path.open("rb") as file:
            source = Source(file)
            while (frame := peek_frame(source)) is not None:
                if frame.kind == BLOCK:
                    header = read_block(frame.body).header
                    n_begun += not header.continued
                    n_spans += header.n_spans if n_begun > self.n_done else 0
                source.skip(frame.n_bytes)
        return n_spans

    def remove(self) -> None:
        """The segment goes first: a cursor alone means nothing, a segment alone would be sent again."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.cursor.unlink(missing_ok=True)


class Tail:
    """The segment that is written. Each message is a block of its own, out of the process when `append` returns."""

    def __init__(self, segment: Segment, fsync: Fsync) -> None:
        self.segment, self._fsync = segment, fsync
        self._pid = os.getpid()
        descriptor = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: Any = open(descriptor, "r+b", buffering=0)  # noqa: SIM115  (closed with the tail)
        try:
            self._writer = Writer(
                self._file, "x", level=MIN_LEVEL, dictionary_threshold=DEFAULT_DICTIONARY_THRESHOLD, metadata=None
            )
            if fsync == "always":
                sync_folder(segment.folder)
        except BaseException:
            self._file.close()
            segment.remove()
            raise

    @property
    def is_there(self) -> bool:
        """Nobody has removed the file, as those do who tidy up temporary files."""
        return os.fstat(self._file.fileno()).st_nlink > 0

    def append(self, message: bytes) -> None:
        self._writer.write(message)
        self._writer.flush()
        if self._fsync == "always":
            os.fsync(self._file.fileno())
        self.segment.n_messages += 1
        self.segment.n_bytes = self._writer.stats["compressed_bytes"]

    def close(self, *, sync: bool = True) -> None:
        """What was appended is safe also when this cannot write the end. A forked child closes its copy only."""
        if self._pid == os.getpid():
            with suppress(OSError, TracezipError):
                self._writer.close()
            self.segment.n_bytes = self._writer.stats["compressed_bytes"]
            if sync and self._fsync != "never":
                with suppress(OSError):
                    os.fsync(self._file.fileno())
        self._file.close()


def _count_blocks(path: Path, n_bytes: int) -> int:
    """The blocks of a segment, without decoding them; where it is damaged, as many as stand before that, and one."""
    n_blocks = offset = 0
    with path.open("rb") as file:
        while offset < n_bytes:
            file.seek(offset)
            try:
                kind, n_head, n_body = read_head(file.read(HEAD_BYTES), offset)
            except TracezipError:
                return n_blocks + 1
            n_blocks += kind == BLOCK
            offset += n_head + n_body + CHECKSUM_BYTES
    return n_blocks
