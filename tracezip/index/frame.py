"""The body of an index frame: units to bytes and back. FORMAT.md, "Index"."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import msgpack

from tracezip import limits
from tracezip.block import inflate, magicless_compressor
from tracezip.errors import FormatError
from tracezip.index.filter import TraceFilter, filter_bytes
from tracezip.index.units import Bounds, Pair, Summary, Unit
from tracezip.varint import pack_varints, read_varint

# --- columns ----------------------------------------------------------------------------------------------------------

_Column: TypeAlias = "array[int]"

_CODES = {array(code).itemsize: code for code in "BHIQ"}


def _pack_column(values: Sequence[int]) -> bytes:
    """Numbers, all in the smallest of 1, 2, 4 and 8 bytes that holds the largest."""
    largest = max(values, default=0)
    column = array(next(code for width, code in _CODES.items() if largest < 1 << 8 * width), values)
    return _little_endian(column).tobytes()


def _read_column(facts: dict[str, Any], key: str, n: int) -> _Column:
    data = facts.get(key)
    width = len(data) // n if isinstance(data, bytes) and n else 0
    if not isinstance(data, bytes) or len(data) != n * width or (n and width not in _CODES):
        raise FormatError(f"the index has no {key} for each of {n}")
    return _little_endian(array(_CODES.get(width, "B"), data))


def _little_endian(column: _Column) -> _Column:
    if sys.byteorder == "big":
        column.byteswap()
    return column


_DURATIONS = [*range(4), *(min(4 + m << e, (1 << 64) - 1) for e in range(63) for m in range(4))]
"""By code: durations with three binary digits, as far as 64 bits go."""


def _duration_codes(durations: Sequence[int]) -> list[int]:
    """The codes of the least durations in the table that are not less."""
    return [bisect_left(_DURATIONS, duration) for duration in durations]


def _durations(codes: _Column) -> list[int]:
    last = len(_DURATIONS) - 1
    return [_DURATIONS[min(code, last)] for code in codes]


# --- writing ----------------------------------------------------------------------------------------------------------


class _Numbers(dict[Any, int]):
    """Things by the number at which each came first."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


def pack_index(units: Sequence[Unit], n_back: int) -> bytes:
    """The body of the index frame that stands right behind these units.

    `n_back`: how many bytes before it the index frame before it in its stream begins; 0 if there is none.
    """
    summaries = [unit.summary for unit in units if unit.summary is not None]
    filters = [summary.trace_filter for summary in summaries]
    facts = _unit_columns(units) | _pair_columns(summaries) | _filter_columns(filters)
    plain: bytes = msgpack.packb(facts, use_bin_type=True)
    packed = magicless_compressor(limits.DEFAULT_LEVEL).compress(plain)
    return b"".join([pack_varints(n_back, len(packed), len(plain)), packed, *(each.data for each in filters)])


def _unit_columns(units: Sequence[Unit]) -> dict[str, Any]:
    summaries = [unit.summary for unit in units if unit.summary is not None]
    columns: dict[str, Sequence[int]] = {
        "n_bytes": [unit.n_bytes for unit in units],
        "n_blocks": [unit.n_blocks for unit in units],
        "n_spans": [unit.n_spans for unit in units],
        "known": [unit.summary is not None for unit in units],
        "n_errors": [summary.n_errors for summary in summaries],
        "min_start": [summary.min_start for summary in summaries],
        "max_end": [summary.max_end for summary in summaries],
        "min_duration": [summary.min_duration for summary in summaries],
        "max_duration": [summary.max_duration for summary in summaries],
    }
    return {"units": len(units), **{key: _pack_column(values) for key, values in columns.items()}}


def _pair_columns(summaries: Sequence[Summary]) -> dict[str, Any]:
    texts, kinds = _Numbers({None: 0}), _Numbers()
    rows: list[tuple[int, Pair]] = []
    for summary in summaries:
        rows += sorted([(kinds[pair[:2]], pair) for pair in summary.pairs])
    numbers, pairs = zip(*rows, strict=True) if rows else ((), ())
    _, _, spans, errors, durations, error_durations = zip(*pairs, strict=True) if pairs else ((),) * 6
    columns: dict[str, Sequence[int]] = {
        "services": [texts[service] for service, _ in kinds],
        "names": [texts[name] for _, name in kinds],
        "n_pairs": [len(summary.pairs) for summary in summaries],
        "pairs": numbers,
        "spans": spans,
        "errors": errors,
        "durations": _duration_codes(durations),
        "error_durations": _duration_codes(error_durations),
    }
    strings = [text for text in texts if text is not None]
    return {"strings": strings, "kinds": len(kinds), **{key: _pack_column(values) for key, values in columns.items()}}


def _filter_columns(filters: Sequence[TraceFilter]) -> dict[str, Any]:
    columns: dict[str, Sequence[int]] = {
        "traces": [each.n_entries for each in filters],
        "high_bits": [each.high_bits for each in filters],
        "low_bits": [each.low_bits for each in filters],
        "place_bits": [each.place_bits for each in filters],
    }
    return {key: _pack_column(values) for key, values in columns.items()}


# --- reading ----------------------------------------------------------------------------------------------------------


def read_index(body: memoryview, offset: int) -> tuple[list[Unit], int]:
    """The units that an index frame tells of, and how far back its predecessor begins, 0: there is none.

    offset: where the frame begins. Raises FormatError, without the place, and LimitError.
    """
    n_back, at = read_varint(body, 0)
    n_packed, at = read_varint(body, at)
    n_plain, at = read_varint(body, at)
    if n_packed > len(body) - at or n_plain > limits.MAX_INDEX_BYTES:
        raise FormatError("the index says it is larger than it can be")
    facts = _facts(inflate("index", bytes(body[at : at + n_packed]), n_plain))
    try:
        return _units(facts, body[at + n_packed :], offset), n_back
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"the index contradicts itself: {error}") from None


def _facts(plain: bytes) -> dict[str, Any]:
    try:
        facts = msgpack.unpackb(plain, raw=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FormatError(f"the index cannot be read: {error}") from None
    if not isinstance(facts, dict):
        raise FormatError("the index is not a map")
    return facts


def _count(facts: dict[str, Any], key: str) -> int:
    value = facts.get(key)
    if not isinstance(value, int) or not 0 <= value <= limits.MAX_INDEX_BYTES:
        raise FormatError(f"the index has no number of {key}")
    return value


def _units(facts: dict[str, Any], filters: memoryview, end: int) -> list[Unit]:
    n_units = _count(facts, "units")
    sizes, blocks, spans, known = (
        _read_column(facts, key, n_units).tolist() for key in ("n_bytes", "n_blocks", "n_spans", "known")
    )
    offset = end - sum(sizes)
    if offset < 0:
        raise FormatError("the index tells of more than stands before it")
    summaries = iter(_summaries(facts, filters, sum(map(bool, known))))
    units = []
    for n_bytes, n_blocks, n_spans, is_known in zip(sizes, blocks, spans, known, strict=True):
        if not 0 < n_blocks <= n_bytes:
            raise FormatError("the index tells of units without blocks, or of blocks without bytes")
        units.append(Unit(offset, n_bytes, n_blocks, n_spans, next(summaries) if is_known else None))
        offset += n_bytes
    return units


def _summaries(facts: dict[str, Any], data: memoryview, n: int) -> list[Summary]:
    errors, *bounds = (
        _read_column(facts, key, n).tolist()
        for key in ("n_errors", "min_start", "max_end", "min_duration", "max_duration")
    )
    make_pairs = _PairTable(facts, n).makers()
    filters = _filters(facts, data, n)
    return [Summary(*parts) for parts in zip(errors, map(Bounds, *bounds), make_pairs, filters, strict=True)]


class _PairTable:
    """The pairs of all units of an index frame, which are made when they are asked for."""

    def __init__(self, facts: dict[str, Any], n_units: int) -> None:
        n_kinds = _count(facts, "kinds")
        strings = facts.get("strings")
        if not isinstance(strings, list) or not all(isinstance(text, str) for text in strings):
            raise FormatError("the index has no strings")
        self._texts: list[str | None] = [None, *strings]
        self._kinds = [_read_column(facts, key, n_kinds) for key in ("services", "names")]
        self._n_pairs: list[int] = _read_column(facts, "n_pairs", n_units).tolist()
        n = sum(self._n_pairs)
        self._pairs, self._spans, self._errors, *codes = (
            _read_column(facts, key, n) for key in ("pairs", "spans", "errors", "durations", "error_durations")
        )
        self._codes = codes
        if any(max(column, default=0) > len(strings) for column in self._kinds):
            raise FormatError("the index names a string that it does not have")
        if n and max(self._pairs) >= n_kinds:
            raise FormatError("the index names a pair that it does not have")

    def makers(self) -> list[Callable[[], list[Pair]]]:
        """For each unit what makes its pairs."""
        ends = list(accumulate(self._n_pairs, initial=0))
        return [self._maker(slice(*ends[i : i + 2])) for i in range(len(self._n_pairs))]

    def _maker(self, rows: slice) -> Callable[[], list[Pair]]:
        return lambda: self._make(rows)

    def _make(self, rows: slice) -> list[Pair]:
        kinds, texts = self._pairs[rows], self._texts
        services, names = ([texts[column[kind]] for kind in kinds] for column in self._kinds)
        durations = (_durations(column[rows]) for column in self._codes)
        return list(map(Pair, services, names, self._spans[rows], self._errors[rows], *durations))


def _filters(facts: dict[str, Any], data: memoryview, n: int) -> list[TraceFilter]:
    columns = (_read_column(facts, key, n).tolist() for key in ("traces", "high_bits", "low_bits", "place_bits"))
    filters, at = [], 0
    for n_entries, high_bits, low_bits, place_bits in zip(*columns, strict=True):
        end = at + filter_bytes(n_entries, high_bits, low_bits, place_bits)
        if end > len(data):
            raise FormatError("the index ends inside a filter")
        filters.append(TraceFilter(n_entries, high_bits, low_bits, place_bits, data[at:end]))
        at = end
    return filters
