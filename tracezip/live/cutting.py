"""Cuts a message between its spans into two, each of which says of its spans all that the message says of them."""

from __future__ import annotations

from tracezip.varint import pack_varint
from tracezip.walk import SPANS_LEVEL, UNIT, fields


def halves(message: bytes) -> tuple[bytes, bytes] | None:
    """Two messages of roughly the same size; None for one span alone and for what is no OTLP."""
    return _halves(message, 0)


def _halves(data: bytes, level: int) -> tuple[bytes, bytes] | None:
    """Of a message (level 0), a ResourceSpans (1) or a ScopeSpans (2): its units shared out, all else in both."""
    units: list[tuple[int, int, int]] = []
    others: list[bytes] = []
    position = 0
    for tag, start, value, position in fields(data, 0, len(data)):
        if tag == UNIT[level]:
            units.append((start, value, position))
        else:
            others.append(data[start:position])
    if position < len(data) or not units:
        return None
    around = b"".join(others)
    if len(units) > 1:
        return _shared_out(data, units, around)
    _, value, end = units[0]
    inner = _halves(data[value:end], level + 1) if level < SPANS_LEVEL else None
    if inner is None:
        return None
    first, second = (around + pack_varint(UNIT[level]) + pack_varint(len(half)) + half for half in inner)
    return first, second


def _shared_out(data: bytes, units: list[tuple[int, int, int]], around: bytes) -> tuple[bytes, bytes]:
    """The first units, about half of the bytes, and the others; neither is empty."""
    parts = [data[start:end] for start, _, end in units]
    half = sum(map(len, parts)) / 2
    n_bytes, middle = len(parts[0]), 1
    while middle < len(parts) - 1 and n_bytes + len(parts[middle]) <= half:
        n_bytes += len(parts[middle])
        middle += 1
    return around + b"".join(parts[:middle]), around + b"".join(parts[middle:])
