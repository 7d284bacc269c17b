"""What the tests of the container share: small traces, and frames taken apart and put together without the codec."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import xxhash

import tracezip

MARKER = b"\x8eTZ"
HEADER, BLOCK, END, INDEX = 0x48, 0x42, 0x45, 0xC9


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str) -> bytes:
    """A length-delimited protobuf field."""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def span(number: int, name: str = "GET /cart") -> bytes:
    """A span, different for each number: ids, name, start."""
    trace_id, span_id = struct.pack(">QQ", 0xA1B2C3D4E5F60718, number // 4 + 1), struct.pack(">Q", number + 1)
    return field(1, trace_id) + field(2, span_id) + field(5, name) + b"\x39" + struct.pack("<Q", 10**18 + number)


def message(number: int, n_spans: int = 2, name: str = "GET /cart") -> bytes:
    """An OTLP message of one resource and one scope."""
    spans = b"".join(field(2, span(number * n_spans + i, name)) for i in range(n_spans))
    attribute = field(1, "service.name") + field(2, field(1, "checkout"))
    return field(1, field(1, field(1, attribute)) + field(2, field(1, field(1, "tests")) + spans))


MESSAGES = [message(number) for number in range(6)]


def archive(messages: Iterable[bytes] = MESSAGES, *, flush: bool = True, **options: object) -> bytes:
    """An archive; with `flush` each message is a block, and a restart group, of its own."""
    file = io.BytesIO()
    with tracezip.open(file, "wb", **options) as writer:  # type: ignore[call-overload]
        for item in messages:
            writer.write(item)
            if flush:
                writer.flush()
    return file.getvalue()


def chained(messages: Iterable[bytes] = MESSAGES, level: int = 3, **options: Any) -> list[bytes]:
    """What each call of one compressor returns: blocks of one restart group."""
    compressor = tracezip.Compressor(level, **options)
    return [*map(compressor.compress, messages), compressor.finish()]


class Read(NamedTuple):
    """What can be read of an archive, and the error at which it ends."""

    messages: list[bytes]
    error: tracezip.TracezipError | None


def read(data: bytes, **options: object) -> Read:
    messages: list[bytes] = []
    try:
        with tracezip.open(io.BytesIO(data), **options) as reader:  # type: ignore[call-overload]
            for item in reader:
                messages.append(item)
    except tracezip.TracezipError as error:
        return Read(messages, error)
    return Read(messages, None)


# --- frames, as FORMAT.md has them ------------------------------------------------------------------------------------


class Frame(NamedTuple):
    kind: int
    body: bytes
    offset: int
    end: int


def frame(kind: int, body: bytes) -> bytes:
    checked = bytes([kind]) + varint(len(body)) + body
    return MARKER + checked + (xxhash.xxh3_64_intdigest(checked) & 0xFFFFFFFF).to_bytes(4, "little")


def frames(data: bytes) -> Iterator[Frame]:
    at = 0
    while at < len(data):
        assert data[at : at + 3] == MARKER
        body, size, shift = at + 4, 0, 0
        while True:
            byte = data[body]
            size |= (byte & 0x7F) << shift
            shift, body = shift + 7, body + 1
            if byte < 0x80:
                break
        yield Frame(data[at + 3], data[body : body + size], at, body + size + 4)
        at = body + size + 4


def pack(parts: Iterable[Frame]) -> bytes:
    return b"".join(frame(part.kind, part.body) for part in parts)
