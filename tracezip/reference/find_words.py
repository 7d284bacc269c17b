"""Node.js: two values of V8's Math.random an id. Three ids in a row tell the state. The twin of csrc/find_words.c."""

from __future__ import annotations

from collections import Counter

from tracezip.reference.find_parts import MAX_STREAMS, SAMPLE, V8_WORDS, WINDOW, Draw, IdRows
from tracezip.reference.find_solver import Solver
from tracezip.reference.find_streams import State, Streams
from tracezip.reference.generators import REFILL, v8_back, v8_step

_PARITIES, _NEAR_ROWS = 32, 8
_PHASE_BACK, _PHASE_VALUES, _PHASE_ACROSS, _PHASE_FAR = 1024, 4096, 2 * REFILL - 1, 1 << 16


class _Phase:
    """Of the ids of the sample: which value their first one is, and how many lie across an end at each place."""

    def __init__(self, state: State, sample: list[Draw]) -> None:
        self.made: list[int] = []
        self.across: Counter[int] = Counter()
        for _ in range(_PHASE_BACK):
            state = v8_back(state)
        values = []
        for _ in range(_PHASE_VALUES):
            values.append(state[0] >> 32)
            state = v8_step(state)
        place = {value: i for i, value in enumerate(values)}
        for draw in sample:
            first, second = draw.id >> 32, draw.id & 0xFFFFFFFF
            at = place.get(first)
            if at is None:
                continue
            if at > 0 and values[at - 1] == second:
                self.made.append(at)
            elif at + _PHASE_ACROSS < _PHASE_VALUES and values[at + _PHASE_ACROSS] == second:
                self.across[at % REFILL] += 1

    def way(self, end: int) -> tuple[int, int]:
        """The way from id to id, if refills end here: back is far, and no id may lie across the end."""
        way = before = 0
        for i, at in enumerate(self.made):
            made = at + REFILL - end
            position = made ^ REFILL - 1
            if i:
                way += position - before if 0 <= position - before < _PHASE_FAR else _PHASE_FAR
            if made % REFILL == 0:
                way += 16 * _PHASE_FAR
            before = position
        return SAMPLE - self.across[end], way


class Words:
    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.solver: Solver | None = None

    def _parities(self, of: int, span_id: int) -> int:
        assert self.solver
        return self.solver.parities(span_id << 64 * of, _PARITIES)

    def _solved(self, sample: list[Draw], resource: int, ids: tuple[int, int, int]) -> bool:
        assert self.solver
        if len(self.streams.all) >= MAX_STREAMS or not self.solver.all_even(ids):
            return False
        state = self.solver.solve(ids)
        if state == (0, 0):
            return False
        phase = _Phase(state, sample)
        for _ in range(min(range(REFILL), key=phase.way)):
            state = v8_step(state)
        self.streams.add_v8(V8_WORDS, resource, state)
        return True

    def look(self, rows: IdRows, resource: int, sample: list[Draw]) -> int:
        """A root draws its own id and then its trace's. Or any three, of which the first two start close together."""
        self.solver = self.solver or Solver(32, REFILL)
        window = sample[:WINDOW]
        of = [[self._parities(place, draw.id) for draw in window] for place in range(3)]
        third = {parities: k for k, parities in enumerate(of[2])}
        for i, draw in enumerate(window):
            row = draw.order
            if not rows.parents[row]:
                ids = (draw.id, rows.his[row], rows.los[row])
                if of[0][i] == self._parities(1, ids[1]) ^ self._parities(2, ids[2]) and self._solved(
                    sample, resource, ids
                ):
                    return 1
            for j in range(max(i - _NEAR_ROWS, 0), min(i + _NEAR_ROWS + 1, len(window))):
                k = third.get(of[0][i] ^ of[1][j]) if i != j else None
                if k is not None and self._solved(sample, resource, (draw.id, window[j].id, window[k].id)):
                    return 1
        return 0
