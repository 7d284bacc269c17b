"""Files of traces as other programs keep them: which container one is, the messages in it, and the container back.

    otlp             one OTLP protobuf message, the whole file
    length-prefixed  [4-byte big-endian length][message], repeated: the Collector's file format. Where the Collector
                     compresses, each message is a zstd frame of its own; written back, they are plain
    json             one OTLP/JSON document, on any number of lines
    jsonl            OTLP/JSON documents one after the other, usually one to a line
    jaeger           Jaeger's JSON, of its query API and its UI, {"data": [trace, ...]}: each trace is a message
    zipkin           Zipkin's JSON, version 2, a list of spans

Each may be inside gzip or zstd as a whole. Reading is streaming: memory holds the message at hand and no more. The one
exception is an OTLP/JSON file whose first document spans lines, which is read whole. Writing is streaming too; for
Jaeger's traces, which must be whole, see `tracezip.convert.whole_traces`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Any, BinaryIO

from tracezip.convert.schema import MAX_MESSAGE_BYTES
from tracezip.errors import InputError
from tracezip.unpack import decompressed, is_zstd, peeked, read_message, read_up_to, unzstd

CONTAINERS = ("otlp", "length-prefixed", "json", "jsonl", "jaeger", "zipkin")

ZIPKIN_MESSAGE_SPANS = 512
"""A Zipkin file has no messages: so many of its spans are made one, as many as SDKs send at a time."""


_OTLP_TAG = b"\x0a"
_JSON_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*("|\}|\Z)')
_JSON_ARRAY = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*([\[{\]]|\Z)")
_JAEGER = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(data|total|limit|offset|errors)"\s*:')
"""The keys of Jaeger's document in any order; its query API writes `data` first."""


def read_messages(stream: BinaryIO) -> tuple[str, Iterator[bytes]]:
    """The container of a file (one of `CONTAINERS`) and its messages, each as OTLP protobuf bytes.

    Raises InputError, here or from the iterator, that says what is wrong, at which byte or line, and what to do.
    An empty file is one empty message.
    """
    head, source = peeked(decompressed(*peeked(stream)))
    if _JAEGER.match(head):
        return "jaeger", _read_jaeger(source)
    if _JSON_ARRAY.match(head):
        return "zipkin", _read_zipkin(source)
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
    It also raises InputError for spans that Zipkin cannot hold, those without ids.
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


def _read_otlp(source: IO[bytes]) -> bytes:
    """The whole file. Only the length of its first field is checked: text that begins with a newline fails there."""
    from tracezip.convert.wire import read_length

    message = read_message(source)
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
    return size <= MAX_MESSAGE_BYTES and (is_zstd(body) or _begins_as_otlp(body, size))


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


def _read_length_prefixed(source: IO[bytes]) -> Iterator[bytes]:
    """If the first message that is not empty is a zstd frame, all are: the Collector compresses all or none."""
    compressed = None
    for offset, message in _length_prefixed(source):
        if compressed is None and message:
            compressed = is_zstd(message)
        yield _unzstd(message, offset) if compressed and message else message


def _unzstd(message: bytes, offset: int) -> bytes:
    try:
        return unzstd(message)
    except InputError as error:
        raise InputError(f"the message at byte {offset}: {error}", offset=offset) from None


def _length_prefixed(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each message and the offset at which it starts."""
    offset = 0
    while prefix := read_up_to(source, 4):
        size = int.from_bytes(prefix, "big")
        if len(prefix) < 4:
            raise _cut_off(f"{len(prefix)} of the 4 bytes of a length are", offset)
        if size > MAX_MESSAGE_BYTES:
            raise InputError(
                f"the length at byte {offset} is {size}, more than protobuf allows; the file is damaged", offset=offset
            )
        message = read_up_to(source, size)
        if len(message) < size:
            raise _cut_off(f"{len(message)} of the {size} bytes of a message are", offset)
        yield offset + 4, message
        offset += 4 + size


def _cut_off(what: str, offset: int) -> InputError:
    return InputError(f"the file is cut off: {what} there at byte {offset}; those before it are whole", offset=offset)


def _unknown(head: bytes) -> InputError:
    return InputError(
        f"not a file of traces: it begins with {head[:8].hex(' ')}; known are OTLP protobuf, length-prefixed OTLP "
        "protobuf, OTLP/JSON, OTLP/JSON Lines, and Jaeger's and Zipkin's JSON, each also inside gzip or zstd",
        offset=0,
    )


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


def _read_jaeger(source: IO[bytes]) -> Iterator[bytes]:
    from tracezip.convert.from_jaeger import read_jaeger
    from tracezip.convert.messages import encode_plain_spans

    return map(encode_plain_spans, read_jaeger(source))


def _read_zipkin(source: IO[bytes]) -> Iterator[bytes]:
    from tracezip.convert.from_zipkin import read_zipkin
    from tracezip.convert.messages import message_batches

    return message_batches(read_zipkin(source), ZIPKIN_MESSAGE_SPANS)


def _read_json_whole(start: bytes, source: io.BufferedReader) -> tuple[str, Iterator[bytes]]:
    """The first line is no document: one document over many lines, or several not one to a line, or not OTLP/JSON."""
    from tracezip.convert.json_values import encode_document
    from tracezip.convert.otlp_json import parse_documents

    documents = parse_documents(start + read_message(source))
    messages = [encode_document(document) for document in documents]
    return "json" if len(messages) == 1 else "jsonl", iter(messages)


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


def _write_jaeger(messages: Iterable[bytes], stream: BinaryIO) -> None:
    from tracezip.convert.formats import write_format

    write_format("jaeger", messages, stream)


def _write_zipkin(messages: Iterable[bytes], stream: BinaryIO) -> None:
    from tracezip.convert.formats import write_format

    write_format("zipkin", messages, stream)


_WRITERS = {
    "otlp": _write_otlp,
    "length-prefixed": _write_length_prefixed,
    "json": _write_json,
    "jsonl": _write_json_lines,
    "jaeger": _write_jaeger,
    "zipkin": _write_zipkin,
}
