"""Streams of bytes as they come: looked at before they are read, and out of gzip or zstd where they are in it."""

from __future__ import annotations

import io
import re
from typing import IO, TYPE_CHECKING, Any

from tracezip.convert.schema import MAX_MESSAGE_BYTES
from tracezip.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 4096
"""As much of a file is looked at to see what it is."""
CHUNK_BYTES = 1 << 20
"""Messages are read in steps of this size: a length is a claim, not a reason to allocate."""
ZSTD_STEP_BYTES = 256
"""zstd is decompressed in steps of this size: 4 bytes can stand for 128 KiB, so that a step makes at most 8 MiB."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


def decompressed(head: bytes, source: io.BufferedReader) -> io.BufferedReader:
    if head.startswith(GZIP_MAGIC):
        return io.BufferedReader(_Gunzipped(source), 1 << 16)
    if is_zstd(head):
        return io.BufferedReader(_Unzstd(source), 1 << 16)
    return source


def is_zstd(head: bytes) -> bool:
    return head.startswith(ZSTD_MAGIC) or ZSTD_SKIPPABLE.match(head) is not None


def unzstd(message: bytes) -> bytes:
    """What one message holds that is zstd frames. Raises InputError."""
    return read_message(io.BufferedReader(_Unzstd(io.BytesIO(message)), 1 << 16))


class _Steps(io.RawIOBase):
    """A stream of what `_step` gives: the next bytes, never none before the end."""

    _pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if not self._pending:
            self._pending = memoryview(self._step(len(view)))
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def _step(self, size: int) -> bytes:
        raise NotImplementedError


class _Rejoined(_Steps):
    """`head`, which was read from `rest` to look at it, and then the rest."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._pending = memoryview(head)
        self._rest = rest

    def _step(self, size: int) -> bytes:
        return _read_some(self._rest, size)


def _read_some(stream: IO[bytes], size: int) -> bytes:
    """At most `size` bytes, none only at the end: where it can be, what is there now, without waiting for more."""
    read = getattr(stream, "read1", stream.read)
    chunk: bytes | None = read(size)
    if chunk is None:
        raise InputError("the stream is non-blocking and has nothing to read yet; give one that blocks")
    return chunk


def peeked(stream: IO[bytes]) -> tuple[bytes, io.BufferedReader]:
    """The first bytes of a stream, and the same stream with those still to be read."""
    head = read_up_to(stream, HEAD_BYTES)
    return head, io.BufferedReader(_Rejoined(head, stream), 1 << 16)


def read_up_to(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, or all that are left. Memory follows what there is, not what is asked for."""
    chunks = []
    while size and (chunk := _read_some(stream, min(size, CHUNK_BYTES))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def read_message(stream: IO[bytes]) -> bytes:
    """All that is left, if it is not too large for a message."""
    message = read_up_to(stream, MAX_MESSAGE_BYTES + 1)
    if len(message) > MAX_MESSAGE_BYTES:
        raise InputError(
            f"one message of more than {MAX_MESSAGE_BYTES} bytes, the most that protobuf allows; split it", offset=0
        )
    return message


class _Gunzipped(_Steps):
    def __init__(self, source: IO[bytes]) -> None:
        import gzip
        import zlib

        self._file = gzip.GzipFile(fileobj=source)
        self._errors = (EOFError, gzip.BadGzipFile, zlib.error)
        self._n_bytes = 0

    def _step(self, size: int) -> bytes:
        try:
            chunk = self._file.read1(size)
        except self._errors as error:
            raise InputError(f"damaged gzip data after {self._n_bytes} decompressed bytes: {error}") from error
        self._n_bytes += len(chunk)
        return chunk


class _Unzstd(_Steps):
    """Frame after frame, to an end that must be the end of a frame: zstandard's own readers let a cut one pass."""

    def __init__(self, source: IO[bytes]) -> None:
        import zstandard

        self._source = source
        self._codec = zstandard.ZstdDecompressor()
        self._error: type[Exception] = zstandard.ZstdError
        self._frame: Any = None
        self._input = b""
        self._n_bytes = 0

    def _step(self, size: int) -> bytes:
        while self._input or self._fill():
            if chunk := self._decompress():
                return chunk
        if self._frame is not None:
            raise InputError(f"the zstd data is cut off at byte {self._n_bytes}", offset=self._n_bytes)
        return b""

    def _fill(self) -> bool:
        self._input = self._source.read(ZSTD_STEP_BYTES)
        self._n_bytes += len(self._input)
        return bool(self._input)

    def _decompress(self) -> bytes:
        """What the input at hand gives; what is left of it belongs to the next frame."""
        self._frame = self._frame or self._codec.decompressobj()
        try:
            chunk: bytes = self._frame.decompress(self._input)
        except self._error as error:
            raise InputError(f"damaged zstd data before byte {self._n_bytes}: {error}", offset=self._n_bytes) from error
        self._input = b""
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = None
        return chunk
