"""The protobuf wire format: the little of it that OTLP uses, as functions on bytes and positions.

Source: "Encoding" in the protobuf documentation. Where that leaves room, the limits are those of protobuf's own
parsers: tags and lengths have at most 5 bytes, other varints at most 10, groups nest at most `MAX_DEPTH` deep.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from tracezip.convert.schema import (
    FIXED32,
    FIXED64,
    GROUP_END,
    GROUP_START,
    LENGTH_DELIMITED,
    MAX_DEPTH,
    MESSAGES,
    VARINT,
    Field,
)
from tracezip.errors import InputError

UINT64 = (1 << 64) - 1


def malformed(what: str, offset: int) -> InputError:
    """The error for bytes that are not the protobuf message they should be; `offset` is where the bad field starts."""
    return InputError(
        f"not an OTLP protobuf message: {what} at byte {offset}; the data is damaged or something else", offset=offset
    )


def read_varint(data: bytes, position: int, end: int, max_bytes: int = 10) -> tuple[int, int]:
    """The varint at `position`, cut to 64 bits, and the position after it; it must end before `end`."""
    value = shift = 0
    for at in range(position, min(position + max_bytes, end)):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & UINT64, at + 1
        shift += 7
    if end - position >= max_bytes:
        raise malformed(f"a number of more than {max_bytes} bytes", position)
    raise malformed("a number cut off by the end of its message", position)


def read_tag(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The tag (field number << 3 | wire type) at `position`, and the position after it."""
    tag, after = read_varint(data, position, end, 5)
    if not 8 <= tag < 1 << 32:
        raise malformed(f"the impossible field number {tag >> 3}", position)
    return tag, after


def read_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Where the length-delimited value whose length is at `position` starts and stops; it must stop by `end`."""
    length, start = read_varint(data, position, end, 5)
    if length > end - start:
        raise malformed(f"a value of {length} bytes where only {end - start} are left", position)
    return start, start + length


def skip_value(data: bytes, position: int, end: int, tag: int, depth: int) -> int:
    """The position after the value at `position`, of a field whose `tag` nobody knows."""
    wire_type = tag & 7
    if wire_type == VARINT:
        return read_varint(data, position, end)[1]
    if wire_type == LENGTH_DELIMITED:
        return read_length(data, position, end)[1]
    if wire_type in (FIXED32, FIXED64):
        return fixed_end(position, end, 4 if wire_type == FIXED32 else 8)
    if wire_type == GROUP_START:
        return _skip_group(data, position, end, tag, depth)
    raise malformed(f"the impossible wire type {wire_type}", position)


def fixed_end(position: int, end: int, width: int) -> int:
    """The position after a value of `width` bytes."""
    if width > end - position:
        raise malformed(f"a value of {width} bytes where only {end - position} are left", position)
    return position + width


def _skip_group(data: bytes, position: int, end: int, tag: int, depth: int) -> int:
    """Groups are walked with a list, not by recursion: they nest as deep as the data says."""
    open_tags = [tag]
    while open_tags:
        if depth + len(open_tags) > MAX_DEPTH:
            raise malformed(f"messages nested more than {MAX_DEPTH} deep", position)
        tag, position = read_tag(data, position, end)
        if tag & 7 == GROUP_START:
            open_tags.append(tag)
        elif tag & 7 != GROUP_END:
            position = skip_value(data, position, end, tag, depth)
        elif tag >> 3 != open_tags.pop() >> 3:
            raise malformed("the end of a group that was not begun", position)
    return position


def varint(value: int) -> bytes:
    """The shortest varint of a number from 0 to 2**64 - 1."""
    if value < 0x80:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _signed_varint(value: int) -> bytes:
    return varint(value & UINT64)


def _delimited(value: bytes) -> bytes:
    return varint(len(value)) + value


def _text(value: str) -> bytes:
    return _delimited(utf8(value))


def utf8(text: str) -> bytes:
    """`text` in UTF-8; unpaired surrogates, which UTF-8 cannot have, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "string": _text,
    "bytes": _delimited,
    "trace_id": _delimited,
    "span_id": _delimited,
    "message": _delimited,
    "bool": varint,
    "int32": _signed_varint,
    "int64": _signed_varint,
    "uint32": varint,
    "enum": _signed_varint,
    "fixed32": struct.Struct("<I").pack,
    "fixed64": struct.Struct("<Q").pack,
    "double": struct.Struct("<d").pack,
}


class MessageWriter:
    """Writes messages of one type, canonically: fields by number, no default values, as protobuf's own writers do."""

    def __init__(self, name: str) -> None:
        self._fields = {field.name: self._writer_of(field) for field in MESSAGES[name]}

    @staticmethod
    def _writer_of(field: Field) -> tuple[bytes, Callable[[Any], bytes], bool, bool]:
        explicit = field.oneof or field.kind == "message"
        return varint(field.tag), _ENCODERS[field.kind], field.repeated, explicit

    def write(self, values: Mapping[str, Any]) -> bytes:
        """The message with these fields: names as in the .proto files, nested messages already encoded."""
        parts: list[bytes] = []
        for name in self._fields if len(values) > 1 else values:
            value = values.get(name)
            if value is None:
                continue
            tag, encode, repeated, explicit = self._fields[name]
            if repeated:
                parts += [tag + encode(item) for item in value]
            elif value or explicit:
                parts.append(tag + encode(value))
        return b"".join(parts)


WRITERS = {name: MessageWriter(name) for name in MESSAGES}
"""Message name -> its writer."""
