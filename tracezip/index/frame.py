"""The body of an index frame: units to bytes and back. FORMAT.md, "Index"."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property, partial
from itertools import accumulate
from typing import Any

import msgpack

from tracezip import limits
from tracezip.block import inflate, magicless_compressor
from tracezip.errors import FormatError, LimitError
from tracezip.index.columns import pack_column, read_column
from tracezip.index.failures import Failures, FailureTable, Kind, affordable, pack_failures
from tracezip.index.filter import TraceFilter, filter_bytes
from tracezip.index.units import Bounds, Pair, Summary, Unit, UnitPairs
from tracezip.varint import pack_varints, read_varint

# --- columns ----------------------------------------------------------------------------------------------------------

_DURATIONS = [*range(4), *(min(4 + m << e, (1 << 64) - 1) for e in range(63) for m in range(4))]
"""By code: durations with three binary digits, as far as 64 bits go."""


def _duration_codes(durations: Sequence[int]) -> list[int]:
    """The codes of the least durations in the table that are not less."""
    return [bisect_left(_DURATIONS, duration) for duration in durations]


# --- writing ----------------------------------------------------------------------------------------------------------


class _Numbers(dict[Any, int]):
    """Things by the number at which each came first."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


def pack_index(units: Sequence[Unit], n_back: int) -> bytes:
    """The body of the index frame that stands right behind these units.

    `n_back`: how many bytes before it the index frame before it in its stream begins; 0 if there is none. Failed spans
    are told of as many units as the index may have room for.
    """
    most_bytes = sum(unit.n_spans for unit in units) * limits.INDEX_SPAN_BITS // 8
    most_bytes = max(most_bytes, sum(unit.n_bytes for unit in units) // limits.INDEX_PART)
    summaries = [unit.summary for unit in units if unit.summary is not None]
    failures = [summary.failures for summary in summaries]
    body = _body(units, n_back, failures, [])
    if not any(failure is not None and failure.rows for failure in failures):
        return body
    kinds = {pair[:2] for summary in summaries for pair in summary.pairs}
    told = affordable(failures, kinds, most_bytes - len(body))
    while told and len(body := _body(units, n_back, failures, sorted(told))) > most_bytes:
        told.pop()
    return body if told else _body(units, n_back, failures, [])


def _body(units: Sequence[Unit], n_back: int, failures: Sequence[Failures | None], told: Sequence[int]) -> bytes:
    """`told`: of which units with a summary the failed spans are told."""
    summaries = [unit.summary for unit in units if unit.summary is not None]
    filters = [summary.trace_filter for summary in summaries]
    kinds = _Numbers()
    facts = _unit_columns(units) | _pair_columns(summaries, kinds) | _filter_columns(filters)
    failed = pack_failures([each for i in told if (each := failures[i]) is not None], kinds) if told else {}
    facts |= _kind_columns(kinds) | {"told": pack_column([i in told for i in range(len(summaries))])}
    (packed, n_plain), (packed_failed, n_failed) = _packed(facts), _packed(failed) if failed else (b"", 0)
    sizes = pack_varints(n_back, len(packed), n_plain, len(packed_failed), n_failed)
    return b"".join([sizes, packed, packed_failed, *(each.data for each in filters)])


def _packed(facts: dict[str, Any]) -> tuple[bytes, int]:
    """And the size before compression."""
    plain: bytes = msgpack.packb(facts, use_bin_type=True)
    return magicless_compressor(limits.DEFAULT_LEVEL).compress(plain), len(plain)


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
    return {"units": len(units), **{key: pack_column(values) for key, values in columns.items()}}


def _pair_columns(summaries: Sequence[Summary], kinds: _Numbers) -> dict[str, Any]:
    rows: list[tuple[int, Pair]] = []
    for summary in summaries:
        rows += sorted([(kinds[pair[:2]], pair) for pair in summary.pairs])
    numbers, pairs = zip(*rows, strict=True) if rows else ((), ())
    _, _, spans, errors, durations, error_durations = zip(*pairs, strict=True) if pairs else ((),) * 6
    columns: dict[str, Sequence[int]] = {
        "n_pairs": [len(summary.pairs) for summary in summaries],
        "pairs": numbers,
        "spans": spans,
        "errors": errors,
        "durations": _duration_codes(durations),
        "error_durations": _duration_codes(error_durations),
    }
    return {key: pack_column(values) for key, values in columns.items()}


def _kind_columns(kinds: _Numbers) -> dict[str, Any]:
    texts = _Numbers({None: 0})
    services, names = [texts[service] for service, _ in kinds], [texts[name] for _, name in kinds]
    strings = [text for text in texts if text is not None]
    columns = {"services": pack_column(services), "names": pack_column(names)}
    return {"strings": strings, "kinds": len(kinds), **columns}


def _filter_columns(filters: Sequence[TraceFilter]) -> dict[str, Any]:
    columns: dict[str, Sequence[int]] = {
        "traces": [each.n_entries for each in filters],
        "high_bits": [each.high_bits for each in filters],
        "low_bits": [each.low_bits for each in filters],
        "place_bits": [each.place_bits for each in filters],
    }
    return {key: pack_column(values) for key, values in columns.items()}


# --- reading ----------------------------------------------------------------------------------------------------------


def read_index(body: memoryview, offset: int) -> tuple[list[Unit], int]:
    """The units that an index frame tells of, and how far back its predecessor begins, 0: there is none.

    offset: where the frame begins. Raises FormatError, without the place, and LimitError.
    """
    n_back, at = read_varint(body, 0)
    sizes = []
    for _ in range(4):
        size, at = read_varint(body, at)
        sizes.append(size)
    n_packed, n_plain, n_packed_failed, n_failed = sizes
    if n_packed + n_packed_failed > len(body) - at or max(n_plain, n_failed) > limits.MAX_INDEX_BYTES:
        raise FormatError("the index says it is larger than it can be")
    facts = _facts(inflate("index", bytes(body[at : at + n_packed]), n_plain))
    failed, filters = body[at + n_packed :][:n_packed_failed], body[at + n_packed + n_packed_failed :]
    try:
        return _units(facts, (failed, n_failed), filters, offset), n_back
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


_Failed = tuple[memoryview, int]
"""What an index frame says of failed spans, and its size before compression."""


def _units(facts: dict[str, Any], failed: _Failed, filters: memoryview, end: int) -> list[Unit]:
    n_units = _count(facts, "units")
    sizes, blocks, spans, known = (
        read_column(facts, key, n_units).tolist() for key in ("n_bytes", "n_blocks", "n_spans", "known")
    )
    offset = end - sum(sizes)
    if offset < 0:
        raise FormatError("the index tells of more than stands before it")
    known_spans = [n for n, is_known in zip(spans, known, strict=True) if is_known]
    summaries = iter(_summaries(facts, failed, filters, known_spans))
    units = []
    for n_bytes, n_blocks, n_spans, is_known in zip(sizes, blocks, spans, known, strict=True):
        if not 0 < n_blocks <= n_bytes:
            raise FormatError("the index tells of units without blocks, or of blocks without bytes")
        units.append(Unit(offset, n_bytes, n_blocks, n_spans, next(summaries) if is_known else None))
        offset += n_bytes
    return units


def _summaries(facts: dict[str, Any], failed: _Failed, data: memoryview, n_spans: Sequence[int]) -> list[Summary]:
    n = len(n_spans)
    errors, *bounds = (
        read_column(facts, key, n).tolist()
        for key in ("n_errors", "min_start", "max_end", "min_duration", "max_duration")
    )
    pairs = _PairTable(facts, n)
    failures = _FailedSpans(failed, pairs.kinds, read_column(facts, "told", n).tolist(), errors)
    filters = _filters(facts, data, n)
    summaries = []
    for i, (n_errors, *bound) in enumerate(zip(errors, *bounds, strict=True)):
        make_failures = partial(failures.of_unit, i, n_spans[i])
        summaries.append(Summary(n_errors, Bounds(*bound), pairs.of_unit(i), filters[i], make_failures))
    return summaries


class _PairTable:
    """The pairs of all units of an index frame, which are made when they are asked for."""

    def __init__(self, facts: dict[str, Any], n_units: int) -> None:
        n_kinds = _count(facts, "kinds")
        strings = facts.get("strings")
        if not isinstance(strings, list) or not all(isinstance(text, str) for text in strings):
            raise FormatError("the index has no strings")
        services, names = (read_column(facts, key, n_kinds) for key in ("services", "names"))
        n_pairs = read_column(facts, "n_pairs", n_units)
        self._ends = list(accumulate(n_pairs, initial=0))
        n = self._ends[-1]
        self._pairs, self._spans, self._errors, *codes = (
            read_column(facts, key, n) for key in ("pairs", "spans", "errors", "durations", "error_durations")
        )
        self._codes = codes
        if max(max(services, default=0), max(names, default=0)) > len(strings):
            raise FormatError("the index names a string that it does not have")
        if n and max(self._pairs) >= n_kinds:
            raise FormatError("the index names a pair that it does not have")
        texts: list[str | None] = [None, *strings]
        self.kinds: list[Kind] = [(texts[i], texts[k]) for i, k in zip(services, names, strict=True)]

    def of_unit(self, i: int) -> UnitPairs:
        return UnitPairs(self.kinds, self._pairs, (self._ends[i], self._ends[i + 1]), self._pair)

    def _pair(self, i: int) -> Pair:
        durations = (_DURATIONS[min(column[i], len(_DURATIONS) - 1)] for column in self._codes)
        return Pair(*self.kinds[self._pairs[i]], self._spans[i], self._errors[i], *durations)


class _FailedSpans:
    """The failed spans of all units of an index frame, read when they are asked for; no errors if they contradict."""

    def __init__(self, failed: _Failed, kinds: Sequence[Kind], told: Sequence[int], n_errors: Sequence[int]) -> None:
        self._failed, self._kinds = failed, kinds
        self._place = list(accumulate(map(bool, told), initial=0))
        self._n_failures = [n for n, is_told in zip(n_errors, told, strict=True) if is_told]

    def of_unit(self, i: int, n_spans: int) -> Failures | None:
        """None if they are not told."""
        first, stop = self._place[i : i + 2]
        if stop == first or self._table is None:
            return None
        try:
            return self._table.of_unit(first, n_spans)
        except FormatError:
            return None

    @cached_property
    def _table(self) -> FailureTable | None:
        data, n_plain = self._failed
        try:
            return FailureTable(_facts(inflate("index", bytes(data), n_plain)), self._kinds, self._n_failures)
        except (FormatError, LimitError):
            return None


def _filters(facts: dict[str, Any], data: memoryview, n: int) -> list[TraceFilter]:
    columns = (read_column(facts, key, n).tolist() for key in ("traces", "high_bits", "low_bits", "place_bits"))
    filters, at = [], 0
    for n_entries, high_bits, low_bits, place_bits in zip(*columns, strict=True):
        end = at + filter_bytes(n_entries, high_bits, low_bits, place_bits)
        if end > len(data):
            raise FormatError("the index ends inside a filter")
        filters.append(TraceFilter(n_entries, high_bits, low_bits, place_bits, data[at:end]))
        at = end
    return filters
