"""What the backend says of blocks -> the summary of the unit that they are. FORMAT.md, "Index"."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence

from tracezip import limits
from tracezip._backend import BlockSummary
from tracezip.index.filter import MAX_LOW_BITS, MAX_PLACE_BITS, TraceFilter, make_filter
from tracezip.index.units import Bounds, Pair, Summary

_PAIR = struct.Struct("=4I2Q")

Blocks = Sequence[tuple[int, BlockSummary]]
"""What the backend says of each block that has spans, with the number of spans before it."""


def summary_of(blocks: Blocks, n_spans: int, n_bytes: int) -> Summary:
    """Of a unit of so many spans that takes so many bytes."""
    pairs = _fewer(_joined(_pairs(block) for _, block in blocks), n_spans)
    return Summary(
        sum(pair.n_errors for pair in pairs), _bounds(blocks), lambda: pairs, _filter(blocks, n_spans, n_bytes)
    )


def _bounds(blocks: Blocks) -> Bounds:
    if not blocks:
        return Bounds(0, 0, 0, 0)
    starts, ends, shortest, longest = zip(*(bounds for _, (bounds, *_) in blocks), strict=True)
    return Bounds(min(starts), max(ends), min(shortest), max(longest))


# --- services and names -----------------------------------------------------------------------------------------------


def _pairs(block: BlockSummary) -> Iterator[Pair]:
    strings = [_text(data) for data in block[1]]
    for service, name, *counts in _PAIR.iter_unpack(block[2]):
        text = strings[service]
        yield Pair(text, None if text is None else strings[name], *counts)


def _text(data: bytes) -> str | None:
    """As readers of OTLP show it; None if it is too long to be told."""
    return data.decode("utf-8", "replace") if len(data) <= limits.INDEX_TEXT_BYTES else None


def _joined(groups: Iterable[Iterable[Pair]]) -> list[Pair]:
    """One pair for each service and name."""
    joined: dict[tuple[str | None, str | None], Pair] = {}
    for pair in itertools.chain.from_iterable(groups):
        key = pair[:2]
        other = joined.get(key)
        joined[key] = pair if other is None else _sum(other, pair)
    return list(joined.values())


def _sum(one: Pair, other: Pair) -> Pair:
    return Pair(
        one.service,
        one.name,
        one.n_spans + other.n_spans,
        one.n_errors + other.n_errors,
        max(one.max_duration, other.max_duration),
        max(one.max_error_duration, other.max_error_duration),
    )


def _by_size(pairs: list[Pair]) -> list[Pair]:
    """Those with the most spans come first."""
    return sorted(pairs, key=lambda pair: (-pair.n_spans, pair.service or "", pair.name or ""))


def _fewer(pairs: list[Pair], n_spans: int) -> list[Pair]:
    """Rare names are not told one by one, and where that is not enough, rare services are not."""
    if len(pairs) <= limits.INDEX_SURE_PAIRS:
        return pairs
    pairs, rare = _by_size(pairs), n_spans // limits.INDEX_RARE
    n = sum(i < limits.INDEX_SURE_PAIRS or pair.n_spans > rare for i, pair in enumerate(pairs[: limits.INDEX_PAIRS]))
    fewer = _joined([pairs[:n], (pair._replace(name=None) for pair in pairs[n:])])
    if len(fewer) <= 2 * limits.INDEX_PAIRS:
        return fewer
    fewer, n = _by_size(fewer), limits.INDEX_PAIRS
    return _joined([fewer[:n], (pair._replace(service=None, name=None) for pair in fewer[n:])])


# --- traces -----------------------------------------------------------------------------------------------------------

_ROW_BYTES = 4
_OTHER_BITS = 3
"""What an entry takes besides its lower bits and its place."""
_FAIR_LOW_BITS, _MIN_LOW_BITS = 5, 2
"""Places get what the first leave; there are never fewer than the second."""


def _filter_bits(n_traces: int, n_spans: int, n_bytes: int) -> tuple[int, int]:
    """How many lower bits, and how many of places: 1.5 bits a span, or 1.5 % of the unit, are for the filter."""
    n_free = max(3 * n_spans // 2, 3 * n_bytes // 25) // max(n_traces, 1) - _OTHER_BITS
    place_bits = max(min(n_free - _FAIR_LOW_BITS, MAX_PLACE_BITS), 0)
    return max(min(n_free - place_bits, MAX_LOW_BITS), _MIN_LOW_BITS), place_bits


def _filter(blocks: Blocks, n_spans: int, n_bytes: int) -> TraceFilter:
    n_traces = sum(len(block[4]) for _, block in blocks) // _ROW_BYTES
    low_bits, place_bits = _filter_bits(n_traces, n_spans, n_bytes)
    traces = [(before, block[3], block[4]) for before, block in blocks]
    return make_filter(traces, n_traces, n_spans, low_bits, place_bits)
