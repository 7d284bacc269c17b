"""Walks the fields of OTLP messages that nobody has parsed yet, and counts their spans.

It accepts any varint, shortest or not: what it walks is only cut, and kept byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator

# Field 1, length-delimited, is the ResourceSpans of a message; field 2 is the ScopeSpans of a ResourceSpans and the
# span of a ScopeSpans.
UNIT = (0x0A, 0x12, 0x12)
"""By level: what a message, a ResourceSpans and a ScopeSpans consist of."""
SPANS_LEVEL = 2
_MAX_TAG_BYTES = 5
_FIXED = {1: 8, 5: 4}


def count_spans(data: bytes, level: int) -> int:
    """The spans in the fields of a message (level 0), of a ResourceSpans (1) or of a ScopeSpans (2).

    Of what cannot be walked it counts the bytes that could begin a span, so that the number is never too small.
    """
    return _count_spans(bytes(data), 0, len(data), level)


def other_fields(data: bytes | memoryview, tag: int, most: int) -> list[tuple[int, int]] | None:
    """Start and end of each field that has not this tag, as far as it can be walked; None if more than `most`."""
    data = bytes(data)
    places = [(start, end) for its_tag, start, _, end in fields(data, 0, len(data)) if its_tag != tag]
    return places if len(places) <= most else None


def run_end(data: bytes | memoryview, at: int, most: int) -> int:
    """The end of the run of whole fields that begins at `at`: `most` bytes at most, or one field that is larger."""
    data, run = bytes(data), at
    for _, start, _, end in fields(data, at, len(data)):
        if start > at and end - at > most:
            break
        run = end
    return run


def _tags(data: bytes, start: int, stop: int) -> int:
    """No less than the spans there: each begins with a tag, 0x12, or 0x92 where a writer was wasteful."""
    return data.count(b"\x12", start, stop) + data.count(b"\x92", start, stop)


def _count_spans(data: bytes, at: int, stop: int, level: int) -> int:
    """The spans between two positions; of what cannot be walked, what it could have at most."""
    n_spans = 0
    for tag, _, value, end in fields(data, at, stop):
        at = end
        if tag == UNIT[level]:
            n_spans += 1 if level == SPANS_LEVEL else _count_spans(data, value, end, level + 1)
    return n_spans + _tags(data, at, stop)


def fields(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, start, start of the value and end of each field; ends at the first that cannot be walked."""
    while at < stop:
        start, tag = at, data[at]
        at += 1
        if tag > 0x7F:
            tag, at = _varint(data, start, min(stop, start + _MAX_TAG_BYTES))
        if tag & 7 == 2:
            size, value = _varint(data, at, stop)
            end = value + size
        else:
            value, end = at, _scalar_end(data, at, stop, tag & 7)
        if not start < at <= value <= end <= stop:
            return
        yield tag, start, value, end
        at = end


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The number and the position after it; a position before `at` if there is none."""
    value = shift = 0
    for position in range(at, min(stop, at + 10)):
        value |= (data[position] & 0x7F) << shift
        if data[position] < 0x80:
            return value, position + 1
        shift += 7
    return 0, -1


def _scalar_end(data: bytes, at: int, stop: int, wire_type: int) -> int:
    """The position after a value that has no length, -1 if it cannot be known."""
    if wire_type == 0:
        return _varint(data, at, stop)[1]
    return at + _FIXED[wire_type] if wire_type in _FIXED else -1
