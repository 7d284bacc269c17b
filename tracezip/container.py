"""Frames, the container around everything. FORMAT.md, "Frames".

    frame = marker (3) | type (1) | body length (varint) | body | checksum (4, little-endian)

The checksum is the low half of XXH3-64 over type, length and body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack
import xxhash

from tracezip import limits
from tracezip.errors import ChecksumError, FormatError, InputError, LimitError, TruncatedError, UnsupportedError
from tracezip.source import Source
from tracezip.varint import pack_varint, pack_varints, read_varint

MARKER = b"\x8eTZ"
HEADER = 0x48  # H
BLOCK = 0x42  # B
END = 0x45  # E
OPTIONAL = 0x80
"""Set in a type: a reader that does not know the type passes over the frame."""
INDEX = OPTIONAL | 0x49  # I

MAGIC = MARKER + bytes([HEADER])
"""The first bytes of every file."""

CHECKSUM_BYTES = 4
HEAD_BYTES = 9
"""Marker, type and the longest length that is allowed; and no frame is shorter than this."""

_MAX_BODY_BYTES = {HEADER: limits.MAX_HEADER_BYTES, END: limits.MAX_END_BYTES}


class Frame(NamedTuple):
    kind: int
    body: memoryview
    offset: int
    """Of its marker in the file."""
    n_bytes: int
    """All of it, with marker and checksum."""


def checksum_of(*parts: bytes | memoryview) -> int:
    """The low 32 bits of XXH3-64 (seed 0) of the parts, one after the other."""
    if len(parts) == 1:
        return xxhash.xxh3_64_intdigest(parts[0]) & 0xFFFFFFFF
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return state.intdigest() & 0xFFFFFFFF


def pack_frame(kind: int, *body: bytes) -> bytes:
    """The frame of a body, which is given in one piece or in several."""
    limit = _MAX_BODY_BYTES.get(kind, limits.MAX_FRAME_BYTES)
    n_body = sum(map(len, body))
    if n_body > limit:
        raise LimitError(f"a frame of {n_body} bytes cannot be written, the limit is {limit}: write smaller messages")
    checked = bytes([kind]) + pack_varint(n_body), *body
    return b"".join([MARKER, *checked, checksum_of(*checked).to_bytes(CHECKSUM_BYTES, "little")])


def read_head(head: bytes, offset: int) -> tuple[int, int, int]:
    """Type, size of the head and size of the body of the frame that begins with `head` (HEAD_BYTES, fewer at the end).

    `offset` is where it stands. Raises FormatError, TruncatedError, and LimitError for a body that may not be so large.
    """
    if not head.startswith(MARKER[: len(head)]):
        raise FormatError(f"no frame begins at byte {offset}: the data is damaged, or not tracezip data", offset=offset)
    try:
        n_body, n_head = read_varint(head, len(MARKER) + 1)
    except FormatError as error:
        if len(head) < HEAD_BYTES and all(byte > 0x7F for byte in head[len(MARKER) + 1 :]):
            raise cut_off(offset) from None
        raise FormatError(f"the length of the frame at byte {offset}: {error}; damaged", offset=offset) from None
    kind = head[len(MARKER)]
    limit = _MAX_BODY_BYTES.get(kind, limits.MAX_FRAME_BYTES)
    if n_body > limit:
        raise LimitError(
            f"the frame at byte {offset} says it has {n_body} bytes, the limit is {limit}: the data is damaged",
            offset=offset,
        )
    return kind, n_head, n_body


def peek_frame(source: Source) -> Frame | None:
    """The frame at the position of `source`, which stays where it is; None at the end.

    The body is given out only after its checksum was found right.
    """
    offset = source.offset
    head = source.peek(HEAD_BYTES)
    if not head:
        return None
    kind, n_head, n_body = read_head(head, offset)
    return _frame(source.peek(n_head + n_body + CHECKSUM_BYTES), kind, n_head, n_body, offset)


def frame_of(data: bytes, offset: int = 0) -> Frame:
    """The frame that begins with these bytes, which stand at `offset`. Raises as peek_frame, and if there are none."""
    if not data:
        raise cut_off(offset)
    return _frame(data, *read_head(data[:HEAD_BYTES], offset), offset)


def _frame(begun: bytes, kind: int, n_head: int, n_body: int, offset: int) -> Frame:
    """The frame with which these bytes begin, without a copy of them."""
    n_bytes = n_head + n_body + CHECKSUM_BYTES
    data = memoryview(begun)[:n_bytes]
    if len(data) < n_bytes:
        raise cut_off(offset)
    checked, stored = data[len(MARKER) : -CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if checksum_of(checked) != int.from_bytes(stored, "little"):
        raise ChecksumError(
            f"the frame at byte {offset} does not match its checksum: the data was changed after it was written",
            offset=offset,
        )
    return Frame(kind, data[n_head:-CHECKSUM_BYTES], offset, n_bytes)


def read_frame(source: Source) -> Frame | None:
    """The next frame; None at the end. After an error the position is still before the bad frame."""
    frame = peek_frame(source)
    if frame is not None:
        source.skip(frame.n_bytes)
    return frame


def cut_off(offset: int) -> TruncatedError:
    """The error for a file that ends inside the frame at `offset`."""
    return TruncatedError(
        f"the data ends inside the frame at byte {offset}: it is cut short; everything before that can be read",
        offset=offset,
    )


_HAS_DICTIONARY = 1
DICTIONARY_ID_BYTES = 4


# --- stream header ----------------------------------------------------------------------------------------------------


class StreamHeader(NamedTuple):
    dictionary: bytes | None
    """The 4 bytes that name the dictionary with which restart groups begin."""
    facts: dict[str, Any]
    """What the stream says of itself; unknown keys are for later versions and are kept."""


def pack_header(facts: Mapping[str, Any], dictionary: bytes | None = None) -> bytes:
    """The frame that begins a stream. Raises InputError for what cannot be stored as metadata."""
    body = bytes([limits.FORMAT_VERSION]) + (bytes([_HAS_DICTIONARY]) + dictionary if dictionary else b"\0")
    if facts:
        _check_plain(facts, 0, InputError)
        body += _packed(facts)
    if len(body) > limits.MAX_HEADER_BYTES:
        raise InputError(f"metadata of {len(body)} bytes is too large, the limit is {limits.MAX_HEADER_BYTES}")
    return pack_frame(HEADER, body)


def _packed(facts: Mapping[str, Any]) -> bytes:
    try:
        return bytes(msgpack.packb(facts, use_bin_type=True))
    except (ValueError, OverflowError) as error:
        raise InputError(f"metadata cannot be stored as MessagePack: {error}") from error


def read_header(frame: Frame) -> StreamHeader:
    body = frame.body
    if body and body[0] != limits.FORMAT_VERSION:
        raise UnsupportedError(
            f"the format version of the stream at byte {frame.offset} is {body[0]}, "
            f"this tracezip reads {limits.FORMAT_VERSION}: upgrade tracezip",
            offset=frame.offset,
        )
    at = 2 + (DICTIONARY_ID_BYTES if len(body) > 1 and body[1] & _HAS_DICTIONARY else 0)
    if len(body) < at:
        raise FormatError(f"the stream header at byte {frame.offset} is too short: damaged", offset=frame.offset)
    if body[1] & ~_HAS_DICTIONARY:
        raise UnsupportedError(
            f"the stream at byte {frame.offset} uses parts that this tracezip does not know: upgrade tracezip",
            offset=frame.offset,
        )
    return StreamHeader(bytes(body[2:at]) or None, _unpacked(bytes(body[at:]), frame.offset) if len(body) > at else {})


def _unpacked(data: bytes, offset: int) -> dict[str, Any]:
    try:
        facts = msgpack.unpackb(data, raw=False, strict_map_key=False)
        if not isinstance(facts, dict):
            raise FormatError("not a map")
        _check_plain(facts, 0, FormatError)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FormatError(f"the metadata of the stream at byte {offset} is damaged: {error}", offset=offset) from None
    return facts


def _check_plain(value: object, depth: int, error: type[InputError] | type[FormatError]) -> None:
    """Metadata is data and names no code: maps with text keys, arrays, text, bytes, numbers, booleans, nothing."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return
    if depth >= limits.MAX_METADATA_DEPTH:
        raise error(f"metadata is nested more than {limits.MAX_METADATA_DEPTH} deep")
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        children = list(value.values())
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        children = list(value)
    else:
        raise error(f"metadata cannot hold a {type(value).__name__}, or a map with such keys")
    for child in children:
        _check_plain(child, depth + 1, error)


# --- end record -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Totals:
    """What is in a stream, or in several; what an end record says of its stream."""

    n_blocks: int = 0
    n_messages: int = 0
    """Whole ones."""
    n_spans: int = 0
    n_bytes: int = 0
    """OTLP bytes."""

    def add(self, n_blocks: int, n_messages: int, n_spans: int, n_bytes: int) -> None:
        self.n_blocks += n_blocks
        self.n_messages += n_messages
        self.n_spans += n_spans
        self.n_bytes += n_bytes


class EndRecord(NamedTuple):
    totals: Totals
    n_stream_bytes: int
    """Of the stream before the end record."""
    n_back: int
    """How far before the end record its last index frame begins; 0 if it has none."""


def pack_end(record: EndRecord) -> bytes:
    totals = record.totals
    counts = (totals.n_blocks, totals.n_messages, totals.n_spans, totals.n_bytes)
    return pack_frame(END, pack_varints(*counts, record.n_stream_bytes, record.n_back))


def read_end(frame: Frame) -> EndRecord:
    """Raises FormatError, without the place, if it is not six numbers."""
    at, numbers = 0, []
    for _ in range(6):
        number, at = read_varint(frame.body, at)
        numbers.append(number)
    if at != len(frame.body):
        raise FormatError("the end record has more than it should")
    return EndRecord(Totals(*numbers[:4]), *numbers[4:])
