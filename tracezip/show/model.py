"""The spans of one trace as a tree, whatever they say of each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntFlag

from tracezip.convert.spans import Span

NO_PARENT = -1


class Flaw(IntFlag):
    """What is odd about a span's place in its trace."""

    MISSING_PARENT = 1
    """It names a parent that is not there; shown as a root."""
    CYCLE = 2
    """It is its own ancestor; of the spans that are, the one that starts first is shown as a root."""
    DUPLICATE_ID = 4
    """An earlier span has the same id, and the children that name it."""
    EARLY = 8
    """It starts before its parent does: the clocks differ."""
    NEGATIVE = 16
    """It ends before it starts; shown without duration."""
    UNFINISHED = 32
    """It has no end; shown without duration."""


FLAW_TEXTS = {
    Flaw.MISSING_PARENT: ("parent missing", "whose parent is not there"),
    Flaw.CYCLE: ("parent cycle", "where a cycle of parents was cut"),
    Flaw.DUPLICATE_ID: ("duplicate id", "with the id of an earlier span"),
    Flaw.EARLY: ("starts before its parent", "with a start before the parent's (clock skew)"),
    Flaw.NEGATIVE: ("ends before it starts", "with an end before the start"),
    Flaw.UNFINISHED: ("no end", "without an end"),
}
"""What is said of a span, and behind "3 spans"."""


class Trace:
    """The spans of one trace and how they hang together; a span is named by its place in `spans`.

    parents: the parent of each span, `NO_PARENT` for roots. children: of each span, by start. roots: by start.
    starts, ends: when each span is shown to start and to end, in ns since 1970; never an end before its start. A span
    without start is shown at the start of the trace. flaws: of each span.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans
        self.flaws = [Flaw(0)] * len(spans)
        self.start_ns = min((span.start_ns for span in spans if span.start_ns), default=0)
        self.starts = [span.start_ns or self.start_ns for span in spans]
        self.ends = [self._end(i) for i in range(len(spans))]
        self.end_ns = max(self.ends, default=0)
        self.parents = self._find_parents()
        self._cut_cycles()
        self.children: list[list[int]] = [[] for _ in spans]
        self.roots = self._hang()
        self.max_skew_ns = self._find_skew()

    @property
    def trace_id(self) -> bytes:
        return self.spans[0].trace_id if self.spans else b""

    @property
    def duration_ns(self) -> int:
        """From the first start to the last end."""
        return self.end_ns - self.start_ns

    @property
    def main_root(self) -> int:
        """The root that lasts longest, a real one (which names no parent) if there is any."""
        return max(self.roots, key=lambda i: (not self.flaws[i], self.ends[i] - self.starts[i], -i))

    @property
    def n_errors(self) -> int:
        return sum(span.is_error for span in self.spans)

    def services(self) -> Counter[str]:
        """How many spans each service has."""
        return Counter(span.service_name for span in self.spans)

    def flaw_counts(self) -> dict[Flaw, int]:
        """How many spans have each flaw, of those that any has."""
        counts = Counter(self.flaws)
        sums = {flaw: sum(n for flaws, n in counts.items() if flaws & flaw) for flaw in FLAW_TEXTS}
        return {flaw: n for flaw, n in sums.items() if n}

    def _end(self, i: int) -> int:
        start, end = self.starts[i], self.spans[i].end_ns
        if end >= start:
            return end
        self.flaws[i] |= Flaw.NEGATIVE if end else Flaw.UNFINISHED
        return start

    def _find_parents(self) -> list[int]:
        by_id: dict[bytes, int] = {}
        for i, span in enumerate(self.spans):
            if span.span_id and by_id.setdefault(span.span_id, i) != i:
                self.flaws[i] |= Flaw.DUPLICATE_ID
        return [self._parent(i, by_id) for i in range(len(self.spans))]

    def _parent(self, i: int, by_id: dict[bytes, int]) -> int:
        parent_id = self.spans[i].parent_span_id
        if not parent_id.strip(b"\0"):  # some exporters write zeros for "none"
            return NO_PARENT
        parent = by_id.get(parent_id, NO_PARENT)
        if parent == NO_PARENT:
            self.flaws[i] |= Flaw.MISSING_PARENT
        return parent

    def _cut_cycles(self) -> None:
        """Walks from each span upwards until where somebody has been; who meets himself there is in a cycle."""
        walked = [NO_PARENT] * len(self.spans)  # by the walk that began at this span
        for first in range(len(self.spans)):
            at = first
            while at != NO_PARENT and walked[at] == NO_PARENT:
                walked[at] = first
                at = self.parents[at]
            if at != NO_PARENT and walked[at] == first:
                self._cut_cycle(at)

    def _cut_cycle(self, member: int) -> None:
        cycle = [member]
        while (at := self.parents[cycle[-1]]) != member:
            cycle.append(at)
        first = min(cycle, key=lambda i: (self.starts[i], i))
        self.parents[first] = NO_PARENT
        self.flaws[first] |= Flaw.CYCLE

    def _hang(self) -> list[int]:
        """Gives every span its children; returns the roots."""
        roots: list[int] = []
        for i in sorted(range(len(self.spans)), key=lambda i: (self.starts[i], i)):
            parent = self.parents[i]
            (roots if parent == NO_PARENT else self.children[parent]).append(i)
        return roots

    def _find_skew(self) -> int:
        """Marks the spans that start before their parent; returns by how much at most."""
        largest = 0
        for i, parent in enumerate(self.parents):
            if parent != NO_PARENT and self.starts[i] < self.starts[parent]:
                self.flaws[i] |= Flaw.EARLY
                largest = max(largest, self.starts[parent] - self.starts[i])
        return largest
