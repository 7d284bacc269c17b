"""The failed spans of an archive, all that is mostly asked of them, where they are few. FORMAT.md, "Index"."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from tracezip import limits
from tracezip.errors import FormatError
from tracezip.index.columns import Column, pack_planes, read_planes

Kind: TypeAlias = "tuple[str | None, str | None]"
"""A service and a name."""

TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
_MASK = (1 << 32) - 1
_OTHER_BYTES = 4
"""What a failed span takes besides its ids, about."""


class Failures(NamedTuple):
    """The spans of a unit with status ERROR, in their order."""

    kinds: Sequence[Kind]
    kind: Sequence[int]
    """Of each, its number in `kinds`; neither is None."""
    rows: Sequence[int]
    """Spans are counted through the unit from 0."""
    durations: Sequence[int]
    """ns, below 2^64; none is negative."""
    traces: Sequence[int]
    """Of each, the number of its trace in `trace_ids`."""
    trace_ids: bytes
    span_ids: bytes

    @property
    def n_bytes(self) -> int:
        """About what they take in an index frame, but for texts."""
        n_short = sum(not any(self.trace_ids[at : at + 8]) for at in range(0, len(self.trace_ids), TRACE_ID_BYTES))
        return len(self.rows) * _OTHER_BYTES + len(self.span_ids) + len(self.trace_ids) - 8 * n_short


def failures_of(blocks: Iterable[tuple[int, list[Kind], bytes]]) -> Failures | None:
    """Of the blocks of a unit: the spans before it, its pairs, and what the backend says of its failed spans.

    None if they cannot be told, or are too many.
    """
    kinds: dict[Kind, int] = {}
    traces: dict[bytes, int] = {}
    kind, rows, trace = array("I"), array("I"), array("I")
    durations, span_ids = array("Q"), array("Q")
    for before, pairs, data in blocks:
        wide, narrow = array("Q", data), array("I", data)
        span_ids += wide[2::5]
        kind.extend([kinds.setdefault(pairs[pair], len(kinds)) for pair in narrow[9::10]])
        rows.extend([before + row for row in narrow[8::10]])
        durations.extend(wide[3::5])
        ids = [(hi << 64 | lo).to_bytes(TRACE_ID_BYTES) for hi, lo in zip(wide[0::5], wide[1::5], strict=True)]
        trace.extend([traces.setdefault(trace_id, len(traces)) for trace_id in ids])
    packed = b"".join([span_id.to_bytes(SPAN_ID_BYTES) for span_id in span_ids])
    failures = Failures(list(kinds), kind, rows, durations, trace, b"".join(traces), packed)
    is_told = all(None not in kind for kind in kinds) and failures.n_bytes <= limits.INDEX_FAILED_BYTES
    return failures if is_told else None


def affordable(units: Sequence[Failures | None], known: Iterable[Kind], n_bytes: int) -> list[int]:
    """The numbers of units whose failed spans can be told in so many bytes: those with the fewest first."""
    named = set(known)
    told = []
    costs = sorted((failures.n_bytes, i) for i, failures in enumerate(units) if failures is not None)
    for cost, i in costs:
        failures = units[i]
        assert failures is not None
        kinds = {failures.kinds[kind] for kind in failures.kind} - named
        n_bytes -= cost + sum(len((text or "").encode()) for kind in kinds for text in kind)
        if n_bytes < 0:
            break
        named |= kinds
        told.append(i)
    return told


def pack_failures(units: Iterable[Failures], number: dict[Any, int]) -> dict[str, bytes]:
    """The facts of failed spans, one unit after the other. `number`: of kinds; it makes those that are new."""
    kinds: list[int] = []
    rows: list[int] = []
    durations: list[int] = []
    traces: list[int] = []
    n_traces, trace_ids, span_ids = [], [], []
    for unit in units:
        kinds += [number[unit.kinds[kind]] for kind in unit.kind]
        rows += _steps(unit.rows)
        durations += unit.durations
        traces += _steps(unit.traces)
        n_traces.append(len(unit.trace_ids) // TRACE_ID_BYTES)
        trace_ids.append(unit.trace_ids)
        span_ids.append(unit.span_ids)
    columns: dict[str, Sequence[int]] = {
        "n_traces": n_traces,
        "kinds": kinds,
        "rows": rows,
        "durations": durations,
        "traces": traces,
    }
    ids = {"trace_ids": b"".join(trace_ids), "span_ids": b"".join(span_ids)}
    return {key: pack_planes(values) for key, values in columns.items()} | ids


def _steps(values: Sequence[int]) -> list[int]:
    return [(value - before) & _MASK for value, before in zip(values, [0, *values], strict=False)]


class FailureTable:
    """The failed spans of the units of an index frame. Raises FormatError if it is none of them."""

    def __init__(self, facts: dict[str, Any], kinds: Sequence[Kind], n_failures: Sequence[int]) -> None:
        self._kinds = kinds
        self._ends = list(accumulate(n_failures, initial=0))
        n = self._ends[-1]
        self._span_ids = _ids(facts, "span_ids", n * SPAN_ID_BYTES)  # first, for it bounds what the others take
        self._kind, self._rows, self._durations, self._traces = (
            read_planes(facts, key, n) for key in ("kinds", "rows", "durations", "traces")
        )
        n_traces = read_planes(facts, "n_traces", len(n_failures))
        self._trace_ends = list(accumulate(n_traces, initial=0))
        self._trace_ids = _ids(facts, "trace_ids", self._trace_ends[-1] * TRACE_ID_BYTES)
        if any(None in kinds[kind] if kind < len(kinds) else True for kind in set(self._kind)):
            raise FormatError("the index names a kind of failed spans that it does not have")

    def of_unit(self, i: int, n_spans: int) -> Failures:
        first, stop = self._ends[i : i + 2]
        ids = slice(*(end * TRACE_ID_BYTES for end in self._trace_ends[i : i + 2]))
        rows, traces = _sums(self._rows[first:stop]), _sums(self._traces[first:stop])
        trace_ids = self._trace_ids[ids]
        if max(rows, default=0) >= max(n_spans, 1) or max(traces, default=-1) * TRACE_ID_BYTES >= len(trace_ids):
            raise FormatError("the index tells of failed spans that a unit does not have")
        span_ids = self._span_ids[first * SPAN_ID_BYTES : stop * SPAN_ID_BYTES]
        return Failures(
            self._kinds, self._kind[first:stop], rows, self._durations[first:stop], traces, trace_ids, span_ids
        )


def _ids(facts: dict[str, Any], key: str, n_bytes: int) -> bytes:
    data = facts.get(key)
    if not isinstance(data, bytes) or len(data) != n_bytes:
        raise FormatError(f"the index has no {key} of its failed spans")
    return data


def _sums(steps: Column) -> list[int]:
    return [total & _MASK for total in accumulate(steps)]
