"""A trace as rows from top to bottom: a row for each span, or for many that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracezip.show.model import Trace

FOLD_FROM = 5
"""Siblings of one service, name, kind and outcome become one row if there are as many."""
MAX_GUIDES = 64
"""Of how many ancestors a row says whether lines go on below them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One span, or several siblings that are alike.

    members: places in the trace's spans, by start. depth: 0 for roots. guides: for the nearest ancestors below the
    root, outermost first, "|" if more of their siblings follow, else " ". is_last: no sibling follows.
    """

    members: Sequence[int]
    depth: int
    guides: str
    is_last: bool

    @property
    def span(self) -> int:
        """The span, or the first of several."""
        return self.members[0]

    @property
    def is_folded(self) -> bool:
        return len(self.members) > 1


@dataclass(frozen=True, slots=True)
class Summary:
    """The durations of the spans of a folded row, in ns."""

    n_spans: int
    p50_ns: int
    p99_ns: int
    max_ns: int
    total_ns: int


def rows(trace: Trace, *, fold: bool = True) -> Iterator[Row]:
    """The rows of a trace. Below a folded row stands the slowest of its spans, if there is anything below that."""
    waiting = _siblings(trace, trace.roots, 0, "", fold)
    while waiting:
        row = waiting.pop()
        yield row
        waiting += _below(trace, row, fold)


def summary(trace: Trace, row: Row) -> Summary:
    """What the durations of its spans are like; percentiles by nearest rank."""
    durations = sorted(trace.ends[i] - trace.starts[i] for i in row.members)
    n = len(durations)
    return Summary(n, durations[(n - 1) // 2], durations[(99 * n - 1) // 100], durations[-1], sum(durations))


def _below(trace: Trace, row: Row, fold: bool) -> list[Row]:
    guides = (row.guides + (" " if row.is_last else "|"))[-MAX_GUIDES:] if row.depth else ""
    if not row.is_folded:
        return _siblings(trace, trace.children[row.span], row.depth + 1, guides, fold)
    slowest = max(row.members, key=lambda i: trace.ends[i] - trace.starts[i])
    return [Row((slowest,), row.depth + 1, guides, True)] if trace.children[slowest] else []


def _siblings(trace: Trace, spans: Sequence[int], depth: int, guides: str, fold: bool) -> list[Row]:
    """Rows in reverse, to be popped from the end."""
    groups: dict[object, list[int]] = {}
    for i in spans:
        span = trace.spans[i]
        key = (span.service_name, span.name, span.kind, span.is_error) if fold and len(spans) >= FOLD_FROM else i
        groups.setdefault(key, []).append(i)
    members = [
        part for group in groups.values() for part in ([group] if len(group) >= FOLD_FROM else [[i] for i in group])
    ]
    members.sort(key=lambda part: (trace.starts[part[0]], part[0]))
    last = len(members) - 1
    return [Row(members[n], depth, guides, n == last) for n in range(last, -1, -1)]
