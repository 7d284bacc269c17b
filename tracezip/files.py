"""Files of traces as other programs keep them: which container one is, the messages in it, and the container back.

    otlp             one OTLP protobuf message, the whole file
    length-prefixed  [4-byte big-endian length][message], repeated: the Collector's file format. Where the Collector
                     compresses, each message is a zstd frame of its own; written back, they are plain
    json             one OTLP/JSON document, on any number of lines
    jsonl            OTLP/JSON documents one after the other, usually one to a line

Each may be inside gzip or zstd as a whole. Reading is streaming: memory holds the message at hand and no more. The one
exception is a JSON file whose first document spans lines, which is read whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from tracezip.convert.schema import MAX_MESSAGE_BYTES
from tracezip.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONTAINERS = ("otlp", "length-prefixed", "json", "jsonl")

HEAD_BYTES = 4096
"""As much of a file is looked at to see what it is."""
CHUNK_BYTES = 1 << 20
"""Messages are read in steps of this size: a length is a claim, not a reason to allocate."""
ZSTD_STEP_BYTES = 256
"""zstd is decompressed in steps of this size: 4 bytes can stand for 128 KiB, so that a step makes at most 8 MiB."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_OTLP_TAG = b"\x0a"
_JSON_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*("|\}|\Z)')


def read_messages(stream: BinaryIO) -> tuple[str, Iterator[bytes]]:
    """The container of a file (one of `CONTAINERS`) and its messages, each as OTLP protobuf bytes.

    Raises InputError, here or from the iterator, that says what is wrong, at which byte or line, and what to do.
    An empty file is one empty message.
    """
    head, source = _peeked(_decompressed(*_peeked(stream)))
    if _JSON_OBJECT.match(head):
        return _read_json(source)
    if not head or head.startswith(_OTLP_TAG):
        return "otlp", iter([_read_otlp(source)])
    if _is_length_prefixed(head):
        return "length-prefixed", _read_length_prefixed(source)
    raise _unknown(head)


def write_messages(messages: Iterable[bytes], stream: BinaryIO, container: str) -> None:
    """Writes OTLP protobuf messages to `stream` in a container, one of `CONTAINERS`.

    `otlp` and `json` hold one message: several are written as the one that they are together. Raises InputError for an
    unknown container, and for a message that is not OTLP if the container is JSON; nothing of that message is written.
    """
    if container not in _WRITERS:
        raise InputError(f"there is no container {container!r}; choose one of {', '.join(CONTAINERS)}")
    if isinstance(stream, io.RawIOBase):
        buffered = io.BufferedWriter(stream)  # a raw stream may write less than it is given
        try:
            _WRITERS[container](messages, buffered)
        finally:
            buffered.detach()
    else:
        _WRITERS[container](messages, stream)


# --- reading ----------------------------------------------------------------------------------------------------------


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


def _peeked(stream: IO[bytes]) -> tuple[bytes, io.BufferedReader]:
    """The first bytes of a stream, and the same stream with those still to be read."""
    head = _read_up_to(stream, HEAD_BYTES)
    return head, io.BufferedReader(_Rejoined(head, stream), 1 << 16)


def _read_up_to(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, or all that are left. Memory follows what there is, not what is asked for."""
    chunks = []
    while size and (chunk := _read_some(stream, min(size, CHUNK_BYTES))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _read_message(stream: IO[bytes]) -> bytes:
    """All that is left, if it is not too large for a message."""
    message = _read_up_to(stream, MAX_MESSAGE_BYTES + 1)
    if len(message) > MAX_MESSAGE_BYTES:
        raise InputError(
            f"one message of more than {MAX_MESSAGE_BYTES} bytes, the most that protobuf allows; split it", offset=0
        )
    return message


def _read_otlp(source: IO[bytes]) -> bytes:
    """The whole file. Only the length of its first field is checked: text that begins with a newline fails there."""
    from tracezip.convert.wire import read_length

    message = _read_message(source)
    if message:
        read_length(message, 1, len(message))
    return message


def _is_length_prefixed(head: bytes) -> bool:
    """Whether the first message that is not empty begins as OTLP protobuf or as a zstd frame."""
    at = 0
    while head.startswith(b"\0\0\0\0", at):
        at += 4
    size, body = int.from_bytes(head[at : at + 4], "big"), head[at + 4 :]
    if not body:
        return at > 0
    return size <= MAX_MESSAGE_BYTES and (_is_zstd(body) or _begins_as_otlp(body, size))


def _begins_as_otlp(head: bytes, size: int) -> bool:
    """Whether a message of `size` bytes begins with one ResourceSpans, and with another after it or its end."""
    from tracezip.convert.wire import read_length

    if not head.startswith(_OTLP_TAG):
        return False
    try:
        stop = read_length(head, 1, size)[1]
    except (InputError, IndexError):
        return False
    return stop == size or head.startswith(_OTLP_TAG, stop) or stop >= len(head)


def _is_zstd(head: bytes) -> bool:
    return head.startswith(ZSTD_MAGIC) or ZSTD_SKIPPABLE.match(head) is not None


def _read_length_prefixed(source: IO[bytes]) -> Iterator[bytes]:
    """If the first message that is not empty is a zstd frame, all are: the Collector compresses all or none."""
    compressed = None
    for offset, message in _length_prefixed(source):
        if compressed is None and message:
            compressed = _is_zstd(message)
        yield _decompressed_message(message, offset) if compressed and message else message


def _length_prefixed(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each message and the offset at which it starts."""
    offset = 0
    while prefix := _read_up_to(source, 4):
        size = int.from_bytes(prefix, "big")
        if len(prefix) < 4:
            raise _cut_off(f"{len(prefix)} of the 4 bytes of a length are", offset)
        if size > MAX_MESSAGE_BYTES:
            raise InputError(
                f"the length at byte {offset} is {size}, more than protobuf allows; the file is damaged", offset=offset
            )
        message = _read_up_to(source, size)
        if len(message) < size:
            raise _cut_off(f"{len(message)} of the {size} bytes of a message are", offset)
        yield offset + 4, message
        offset += 4 + size


def _cut_off(what: str, offset: int) -> InputError:
    return InputError(f"the file is cut off: {what} there at byte {offset}; those before it are whole", offset=offset)


def _unknown(head: bytes) -> InputError:
    if head.lstrip().startswith(b"["):
        what = "a JSON array; give one OTLP/JSON document, or one to a line without the brackets"
    else:
        what = (
            f"it begins with {head[:8].hex(' ')}; known are OTLP protobuf, length-prefixed OTLP protobuf, OTLP/JSON "
            "and OTLP/JSON Lines, each also inside gzip or zstd"
        )
    return InputError(f"not a file of traces: {what}", offset=0)


# --- reading JSON -----------------------------------------------------------------------------------------------------


def _read_json(source: io.BufferedReader) -> tuple[str, Iterator[bytes]]:
    """Whether there is one document or several shows after the first: one line more is read."""
    from tracezip.convert.otlp_json import parse_json

    number, offset, line = next(_lines(source, 1, 0))
    try:
        document = parse_json(line)
    except InputError:
        return _read_json_whole(line, source)
    first = _document(number, offset, document, {})
    rest = _lines(source, number + 1, offset + len(line))
    second = next(rest, None)
    if second is None:
        return "json", iter([first])
    return "jsonl", _documents(first, chain([second], rest))


def _documents(first: bytes, rest: Iterable[tuple[int, int, bytes]]) -> Iterator[bytes]:
    yield first
    seen: dict[Any, bytes] = {}
    for number, offset, line in rest:
        yield _document(number, offset, line, seen)


def _document(number: int, offset: int, document: Any, seen: dict[Any, bytes]) -> bytes:
    """The message of one document, parsed or still the bytes of its line."""
    from tracezip.convert.otlp_json import from_json

    try:
        return from_json(document, seen)
    except InputError as error:
        raise InputError(f"line {number}: {error}", offset=offset) from None


def _lines(source: io.BufferedReader, number: int, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """The lines that are not blank: their numbers, from `number` on, their offsets, and they themselves."""
    while line := source.readline(MAX_MESSAGE_BYTES + 1):
        if len(line) > MAX_MESSAGE_BYTES:
            raise InputError(f"line {number} has more than {MAX_MESSAGE_BYTES} bytes; split it", offset=offset)
        if not line.isspace():
            yield number, offset, line
        number += 1
        offset += len(line)


def _read_json_whole(start: bytes, source: io.BufferedReader) -> tuple[str, Iterator[bytes]]:
    """The first line is no document: one document over many lines, or several not one to a line, or not OTLP/JSON."""
    from tracezip.convert.json_values import encode_document
    from tracezip.convert.otlp_json import parse_documents

    documents = parse_documents(start + _read_message(source))
    messages = [encode_document(document) for document in documents]
    return "json" if len(messages) == 1 else "jsonl", iter(messages)


# --- reading compressed files -----------------------------------------------------------------------------------------


def _decompressed(head: bytes, source: io.BufferedReader) -> io.BufferedReader:
    if head.startswith(GZIP_MAGIC):
        return io.BufferedReader(_Gunzipped(source), 1 << 16)
    if _is_zstd(head):
        return io.BufferedReader(_Unzstd(source), 1 << 16)
    return source


def _decompressed_message(message: bytes, offset: int) -> bytes:
    try:
        return _read_message(io.BufferedReader(_Unzstd(io.BytesIO(message)), 1 << 16))
    except InputError as error:
        raise InputError(f"the message at byte {offset}: {error}", offset=offset) from None


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


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_otlp(messages: Iterable[bytes], stream: IO[bytes]) -> None:
    for message in messages:
        stream.write(message)


def _write_length_prefixed(messages: Iterable[bytes], stream: IO[bytes]) -> None:
    for message in messages:
        if len(message) > MAX_MESSAGE_BYTES:
            raise InputError(f"a message of {len(message)} bytes is larger than protobuf allows; write it as otlp")
        stream.write(len(message).to_bytes(4, "big"))
        stream.write(message)


def _write_json(messages: Iterable[bytes], stream: IO[bytes]) -> None:
    _write_json_lines([b"".join(messages)], stream)


def _write_json_lines(messages: Iterable[bytes], stream: IO[bytes]) -> None:
    from tracezip.convert.otlp_json import json_pieces

    seen: dict[bytes, str] = {}
    for index, message in enumerate(messages):
        try:
            pieces = list(json_pieces(message, seen))
        except InputError as error:
            raise InputError(f"message {index}: {error}", offset=error.offset) from None
        for piece in pieces:
            stream.write(piece.encode())
        stream.write(b"\n")


_WRITERS = {
    "otlp": _write_otlp,
    "length-prefixed": _write_length_prefixed,
    "json": _write_json,
    "jsonl": _write_json_lines,
}
