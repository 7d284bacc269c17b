"""What the backend says of blocks -> the summary of the unit that they are. FORMAT.md, "Index"."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from tracezip import limits
from tracezip._backend import BlockSummary
from tracezip.index.failures import Failures, failures_of
from tracezip.index.filter import MAX_PLACE_BITS, TraceFilter, make_filter
from tracezip.index.units import Bounds, Pair, Summary

_PAIR_WORDS = 8
"""What the backend says of a pair is so many uint32."""

Blocks = Sequence[tuple[int, BlockSummary]]
"""What the backend says of each block that has spans, with the number of spans before it."""


def summary_of(blocks: Blocks, n_spans: int, n_bytes: int) -> Summary:
    """Of a unit of so many spans that takes so many bytes."""
    tables = [(block[1], block[2]) for _, block in blocks]
    n_errors = sum(sum(array("I", table)[3::_PAIR_WORDS]) for _, table in tables)
    failures = _failures(blocks) if n_errors else None
    trace_filter = _filter(blocks, n_spans, n_bytes)
    return Summary(n_errors, _bounds(blocks), _pair_maker(tables, n_spans), trace_filter, lambda: failures)


def _bounds(blocks: Blocks) -> Bounds:
    if not blocks:
        return Bounds(0, 0, 0, 0)
    starts, ends, shortest, longest = zip(*(bounds for _, (bounds, *_) in blocks), strict=True)
    return Bounds(min(starts), max(ends), min(shortest), max(longest))


def _failures(blocks: Blocks) -> Failures | None:
    told = []
    for before, (_, strings, table, _, _, data) in blocks:
        if data is None:
            return None
        if data:
            texts = [_text(text) for text in strings]
            told.append((before, [pair[:2] for pair in _pairs(table, texts)], data))
    return failures_of(told)


# --- services and names -----------------------------------------------------------------------------------------------


_Tables = list[tuple[list[bytes], bytes]]
"""1 and 2 of the BlockSummary of each block."""
_SMALL_BYTES = 1 << 16
"""What a unit may hold until its pairs are made with those of the others, which takes half the time."""


def _pair_maker(tables: _Tables, n_spans: int) -> Callable[[], list[Pair]]:
    if sum(sum(map(len, strings)) + len(table) for strings, table in tables) <= _SMALL_BYTES:
        return lambda: _fewer(_pairs_of(tables), n_spans)
    pairs = _fewer(_pairs_of(tables), n_spans)
    return lambda: pairs


def _pairs_of(tables: _Tables) -> list[Pair]:
    """One pair for each service and name."""
    texts = [[_text(data) for data in strings] for strings, _ in tables]
    pairs = [pair for (_, table), of_table in zip(tables, texts, strict=True) for pair in _pairs(table, of_table)]
    has_each_once = len(texts) == 1 and len(set(texts[0])) == len(texts[0]) and None not in texts[0]
    return pairs if has_each_once else _joined(pairs)


def _pairs(table: bytes, texts: list[str | None]) -> list[Pair]:
    words, wide = array("I", table), array("Q", table)
    services, names = ([texts[number] for number in words[i::_PAIR_WORDS]] for i in (0, 1))
    if None in services:
        names = [None if service is None else name for service, name in zip(services, names, strict=True)]
    counts = words[2::_PAIR_WORDS], words[3::_PAIR_WORDS], wide[2 :: _PAIR_WORDS // 2], wide[3 :: _PAIR_WORDS // 2]
    return list(map(Pair._make, zip(services, names, *counts, strict=True)))


def _text(data: bytes) -> str | None:
    """As readers of OTLP show it; None if it is too long to be told."""
    return data.decode("utf-8", "replace") if len(data) <= limits.INDEX_TEXT_BYTES else None


def _joined(pairs: list[Pair]) -> list[Pair]:
    joined: dict[tuple[str | None, str | None], Pair] = {}
    for pair in pairs:
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
    n_sure, n_most, rare = limits.INDEX_SURE_PAIRS, limits.INDEX_PAIRS, n_spans // limits.INDEX_RARE
    if len(pairs) <= n_sure:
        return pairs
    pairs = _by_size(pairs)
    n = n_sure + sum(pair.n_spans > rare for pair in pairs[n_sure:n_most])
    if n == len(pairs):
        return pairs
    fewer = _joined(pairs[:n] + [pair._replace(name=None) for pair in pairs[n:]])
    if len(fewer) <= 2 * n_most:
        return fewer
    fewer = _by_size(fewer)
    return _joined(fewer[:n_most] + [pair._replace(service=None, name=None) for pair in fewer[n_most:]])


# --- traces -----------------------------------------------------------------------------------------------------------

_ROW_BYTES = 4
_OTHER_BITS = 3
"""What an entry takes besides its lower bits and its place."""
_FAIR_LOW_BITS, _MIN_LOW_BITS, _MOST_LOW_BITS = 5, 2, 11
"""Places get what the first leave; there are never fewer than the second, nor more than the third."""


def _filter_bits(n_traces: int, n_spans: int, n_bytes: int) -> tuple[int, int]:
    """How many lower bits, and how many of places: 1.5 bits a span, or 1.5 % of the unit, are for the filter."""
    n_free = max(3 * n_spans // 2, 3 * n_bytes // 25) // max(n_traces, 1) - _OTHER_BITS
    place_bits = max(min(n_free - _FAIR_LOW_BITS, MAX_PLACE_BITS), 0)
    return max(min(n_free - place_bits, _MOST_LOW_BITS), _MIN_LOW_BITS), place_bits


def _filter(blocks: Blocks, n_spans: int, n_bytes: int) -> TraceFilter:
    n_traces = sum(len(block[4]) for _, block in blocks) // _ROW_BYTES
    low_bits, place_bits = _filter_bits(n_traces, n_spans, n_bytes)
    traces = [(before, block[3], block[4]) for before, block in blocks]
    return make_filter(traces, n_traces, n_spans, low_bits, place_bits)
