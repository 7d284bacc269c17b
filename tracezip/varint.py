"""Numbers as they stand in frames: LEB128, 7 bits to a byte, lowest first, always in the shortest form."""

from __future__ import annotations

from tracezip.errors import FormatError

MAX_BYTES = 10
"""A varint is below 2**64."""


def pack_varint(value: int) -> bytes:
    """The shortest varint of a number from 0 to 2**64 - 1."""
    if value < 0x80:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack_varints(*values: int) -> bytes:
    return b"".join(map(pack_varint, values))


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at position `at`, and the position after it.

    Raises FormatError if it is cut off, is not in its shortest form or does not fit 64 bits.
    """
    value = shift = 0
    for position in range(at, min(at + MAX_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (byte == 0 and shift) or value >> 64:
                raise FormatError("a number is not in its shortest form")
            return value, position + 1
        shift += 7
    raise FormatError("a number is cut off" if len(data) - at < MAX_BYTES else "a number has more than 64 bits")
