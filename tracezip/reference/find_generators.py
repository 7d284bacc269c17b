"""Which ids of a block come out of which generator: the writer looks, the reader is told. FORMAT.md, "Generators".

The finder's rounds: ids are looked up; rows that nothing explains are looked at, resource by resource. The twin of
csrc/find_generators.c: both find the same, for what is found decides what is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracezip.reference.find_digits import Digits
from tracezip.reference.find_draws import DrawsOfSources
from tracezip.reference.find_parts import (
    COST_LOOK,
    COST_LOOK_ROW,
    DIGITS_LEVEL,
    LEAST,
    MAX_SOURCES,
    SAMPLE,
    WINDOW,
    Credit,
    Draw,
    Found,
    IdRows,
    Numbers,
    Origin,
    Sizes,
    Source,
)
from tracezip.reference.find_streams import Streams
from tracezip.reference.find_threads import Threads
from tracezip.reference.find_words import Words

_CACHED_ROWS = 1 << 14
_ROUNDS = 8
"""Looks at a resource in one block."""
_MOST_FAILED = 10
"""Each look in vain doubles the blocks until the next one."""


class Finder:
    """Lives as long as its stream. After `block`, own, parent and trace say what is known of each row's ids.

    halvings: how often the table, and what is kept for MT19937, is halved.
    """

    def __init__(self, level: int, halvings: int = 0) -> None:
        self.level = level
        self.sizes = Sizes(halvings)
        self.credit, self.n_block = Credit(), 0
        self.sources: list[Source] = []
        self._numbers = numbers = Numbers()
        self.threads = Threads(self.credit, numbers, self.sources)
        self.streams = Streams(self.credit, numbers, self.sizes)
        self.draws = DrawsOfSources(self.credit, self.streams, self.sources, level)
        self.words, self.digits = Words(self.streams), Digits(self.streams, self.sources)
        self.own: list[Found | None] = []
        self.parent: list[Found | None] = []
        self.trace: list[Found | None] = []

    def resource(self, generator: int) -> int:
        """The resource that used a generator first."""
        thread = self.threads.of(generator)
        return thread.resource if thread else self.streams.of(generator).resource

    def origin(self, generator: int, position: int) -> Origin:
        """The generator's parameters somewhat before this position, or at it; and where."""
        thread = self.threads.of(generator)
        if thread:
            return self.threads.origin(thread, position)
        return self.streams.origin(self.streams.of(generator), position)

    def _find(self, span_id: int, resource: int) -> Found | None:
        found = self.streams.find(span_id) if self.streams.all else None
        if found is None and self.threads.all and span_id:
            found = self.threads.find(span_id, resource)
        return found

    def _find_trace(self, hi: int, lo: int, resource: int) -> Found | None:
        found = self.streams.find_trace(hi, lo) if self.streams.all else None
        if found is None and self.threads.all and (hi or lo):
            found = self.threads.find_trace(hi, lo, resource)
        return found

    def _explain(self, rows: IdRows, resource: int) -> None:
        """Keeps the rows of a resource that are still not explained."""
        kept = []
        for row in self.sources[resource].rows:
            self.own[row] = self._find(rows.ids[row], resource)
            if self.own[row] is None:
                kept.append(row)
        self.sources[resource].rows = kept

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look_once(self, rows: IdRows, resource: int) -> int:
        unexplained = self.sources[resource].rows[:SAMPLE]
        sample = sorted(Draw(rows.starts[row], row, rows.ids[row]) for row in unexplained)
        return (
            self.threads.look(rows, resource, sample)
            or self.words.look(rows, resource, sample)
            or self.threads.look_for_own_steps(resource, sample)
            or (self.digits.look(rows, resource, sample) if self.level >= DIGITS_LEVEL else 0)
        )

    def _look(self, rows: IdRows, resource: int) -> None:
        """What is left after something was found says nothing of the next block."""
        s = self.sources[resource]
        found = 0
        for _ in range(_ROUNDS):
            cost = COST_LOOK + COST_LOOK_ROW * min(len(s.rows), SAMPLE)
            if len(s.rows) < LEAST or not self.credit.pay_looks(cost):
                return
            more = self._look_once(rows, resource)
            found += more
            if not more:
                if not found:
                    s.failed = min(s.failed + 1, _MOST_FAILED)
                    s.again = self.n_block + (2 if len(s.rows) < WINDOW else 1 << s.failed)
                return
            self.credit.looks += cost
            s.failed = 0
            self._explain(rows, resource)

    # --- a block ------------------------------------------------------------------------------------------------------

    def _begin(self, rows: IdRows) -> None:
        top = min(max(rows.resources, default=-1) + 1, MAX_SOURCES)
        self.sources += (Source() for _ in range(len(self.sources), top))
        for source in self.sources:
            source.rows = []
        self.n_block += 1
        self.draws.n_block = self.n_block
        self.credit.earn_rows(len(rows.ids), self.level)
        self.streams.forget()
        self.threads.forget()

    def _own_ids(self, rows: IdRows) -> list[int]:
        """The resources with rows that nothing explains."""
        touched: dict[int, None] = {}
        for row, (span_id, resource) in enumerate(zip(rows.ids, rows.resources, strict=True)):
            self.own[row] = self._find(span_id, resource)
            if self.own[row] is None and span_id and resource < len(self.sources):
                touched[resource] = None
                self.sources[resource].rows.append(row)
        return list(touched)

    def _parent_ids(self, rows: IdRows) -> None:
        """Most parents are rows of the block, or were asked for before."""
        last = {span_id % _CACHED_ROWS: row for row, span_id in enumerate(rows.ids)}
        for row, span_id in enumerate(rows.parents):
            at = last.get(span_id % _CACHED_ROWS)
            if row and span_id == rows.parents[row - 1]:
                self.parent[row] = self.parent[row - 1]
            elif at is not None and rows.ids[at] == span_id:
                self.parent[row] = self.own[at]
            elif span_id:
                self.parent[row] = self._find(span_id, rows.resources[row])

    def _trace_ids(self, rows: IdRows) -> None:
        last: dict[int, int] = {}
        for row, (hi, lo) in enumerate(zip(rows.his, rows.los, strict=True)):
            at = last.get(lo % _CACHED_ROWS)
            if at is not None and (rows.his[at], rows.los[at]) == (hi, lo):
                self.trace[row] = self.trace[at]
            else:
                self.trace[row] = self._find_trace(hi, lo, rows.resources[row])
            last[lo % _CACHED_ROWS] = row

    def _own_ids_again(self, rows: IdRows) -> None:
        """A generator that was found knows the ids around those that it was found with, and with each that is met more.

        So the last ones come first.
        """
        for row in reversed(range(len(rows.ids))):
            if self.own[row] is None and rows.ids[row]:
                self.own[row] = self._find(rows.ids[row], rows.resources[row])

    def _knows_any(self) -> bool:
        return bool(self.threads.all or self.streams.all)

    def find(self, rows: IdRows) -> None:
        n, n_numbers = len(rows.ids), self._numbers.n
        self._begin(rows)
        self.own, self.parent, self.trace = [None] * n, [None] * n, [None] * n
        for resource in self._own_ids(rows):
            if self.n_block >= self.sources[resource].again:
                self._look(rows, resource)
            if self.draws.look(rows, resource):
                self._explain(rows, resource)
        if self._numbers.n != n_numbers:
            self._own_ids_again(rows)
        if self._knows_any():
            self._parent_ids(rows)
            self._trace_ids(rows)

    def block(
        self,
        ids: Sequence[int],
        parents: Sequence[int],
        his: Sequence[int],
        los: Sequence[int],
        starts: Sequence[int],
        resources: Sequence[int],
    ) -> tuple[list[Found | None], list[Found | None], list[Found | None]]:
        """Of each row's own id, its parent's and its trace's: the generator's number and the position."""
        self.find(IdRows(ids, parents, his, los, starts, resources))
        return self.own, self.parent, self.trace
