"""Moves a message in time, for what shows the present."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tracezip.walk import SPANS_LEVEL, UNIT, fields

_TIME = struct.Struct("<Q")
_START, _END, _EVENT, _EVENT_TIME = 0x39, 0x41, 0x5A, 0x09
_MAX_TIME = (1 << 64) - 1


def shifted(message: bytes, shift_ns: int) -> bytes:
    """The message with the times of its spans and their events so much later; 0, which is no time, stays 0.

    What is no OTLP stays as it is, and so do times in attributes.
    """
    moved = bytearray(message)
    for at in _times(message, 0, len(message), 0):
        (time_ns,) = _TIME.unpack_from(message, at)
        if time_ns:
            _TIME.pack_into(moved, at, min(max(time_ns + shift_ns, 1), _MAX_TIME))
    return bytes(moved)


def _times(data: bytes, at: int, stop: int, level: int) -> Iterator[int]:
    """Where the times stand: in a message (level 0), a ResourceSpans (1) or a ScopeSpans (2), or a span."""
    for tag, _, value, end in fields(data, at, stop):
        if level <= SPANS_LEVEL and tag == UNIT[level]:
            yield from _times(data, value, end, level + 1)
        elif level > SPANS_LEVEL and tag in (_START, _END):
            yield value
        elif level > SPANS_LEVEL and tag == _EVENT:
            yield from (place for inner, _, place, _ in fields(data, value, end) if inner == _EVENT_TIME)
