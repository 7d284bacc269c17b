"""Browsers: a value of V8's Math.random for each hexadecimal digit. The twin of csrc/find_digits.c."""

from __future__ import annotations

from tracezip.reference.find_parts import COST_PLACE, MAX_STREAMS, V8_DIGITS, Draw, IdRows, Source
from tracezip.reference.find_solver import Solver
from tracezip.reference.find_streams import Streams

_PLACES = 48
"""How many of a root's 48 digits come before a refill's end: 48 less the place."""


class Digits:
    def __init__(self, streams: Streams, sources: list[Source]) -> None:
        self.streams, self.sources = streams, sources
        self.solvers: list[Solver] = []

    def _solver(self, place: int) -> Solver:
        while len(self.solvers) <= place:
            self.solvers.append(Solver(4, _PLACES - len(self.solvers)))
        return self.solvers[place]

    def _of_root(self, resource: int, ids: tuple[int, int, int], places: range) -> int:
        for place in places:
            solver = self._solver(place)
            state = solver.solve(ids) if solver.all_even(ids) else (0, 0)
            if state != (0, 0):
                self.streams.add_v8(V8_DIGITS, resource, state)
                return 1
        return 0

    def _of_rows(self, rows: IdRows, resource: int, places: range) -> int:
        found = 0
        for row in self.sources[resource].rows:
            ids = rows.ids[row], rows.his[row], rows.los[row]
            if rows.parents[row] or len(self.streams.all) >= MAX_STREAMS or self.streams.find(ids[0]):
                continue
            if not self.streams.credit.pay_looks(len(places) * COST_PLACE):
                break
            found += self._of_root(resource, ids, places)
        return found

    def look(self, rows: IdRows, resource: int, sample: list[Draw]) -> int:
        """Every page has a state of its own. A root within a refill does not tell where this ends, so it comes last."""
        inside = self._solver(0)
        roots = [draw.order for draw in sample if not rows.parents[draw.order]]
        if not any(inside.all_even((rows.ids[row], rows.his[row], rows.los[row])) for row in roots):
            return 0
        return self._of_rows(rows, resource, range(1, _PLACES)) + self._of_rows(rows, resource, range(1))
