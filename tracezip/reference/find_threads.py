"""Threads of a JVM: SplitMix64, of which one id tells the position. The twin of csrc/find_threads.c."""

from __future__ import annotations

from tracezip.mix import mix
from tracezip.reference.find_parts import (
    MAX_THREADS,
    SPLITMIX,
    WINDOW,
    Credit,
    Draw,
    Found,
    IdRows,
    Numbers,
    Origin,
    Source,
    Thread,
)
from tracezip.reference.generators import GOLDEN, M64, unmix

_RANGE_BITS = 16
_RANGES_FULL = 4096
_STEPS_OF_SOURCE = 32
_MAX_THREAD = 1 << 20
_MAX_DRAWS, _NEAR_ROWS = 5, 4


def _inverse(odd: int) -> int:
    return pow(odd, -1, 1 << 64)


_GOLDEN_INVERSE = _inverse(GOLDEN)


def usual_position(span_id: int) -> int:
    return unmix(span_id) * _GOLDEN_INVERSE & M64


class Threads:
    def __init__(self, credit: Credit, numbers: Numbers, sources: list[Source]) -> None:
        self.credit, self.numbers, self.sources = credit, numbers, sources
        self.all: list[Thread] = []
        self.of_range: dict[int, Thread] = {}

    # --- look-up ------------------------------------------------------------------------------------------------------

    def _near(self, position: int) -> Thread | None:
        """The thread that drew near this place; the place's range becomes its own as well."""
        home = position >> _RANGE_BITS
        thread = self.of_range.get(home) or self.of_range.get(home - 1) or self.of_range.get(home + 1)
        if thread:
            self.of_range[home] = thread
        return thread

    def _met(self, thread: Thread, position: int) -> Found:
        self.credit.earn_found()
        thread.met = True
        thread.last = position
        return thread.number, position

    def _own_step(self, span_id: int, resource: int) -> tuple[Thread, int] | None:
        """A thread of the resource with a step of its own, and the position."""
        for thread in self.sources[resource].own_steps if resource < len(self.sources) else []:
            position = (unmix(span_id) - thread.seed) * _inverse(thread.step) & M64
            if position - thread.last + (1 << _RANGE_BITS) & M64 < 2 << _RANGE_BITS:
                return thread, position
        return None

    def find(self, span_id: int, resource: int) -> Found | None:
        if self.of_range:
            position = usual_position(span_id)
            thread = self._near(position)
            if thread:
                return self._met(thread, position)
        at = self._own_step(span_id, resource)
        return self._met(*at) if at else None

    def find_trace(self, hi: int, lo: int, resource: int) -> Found | None:
        """The upper half is drawn first; some have none."""
        if not hi:
            return self.find(lo, resource)
        if self.of_range:
            position = usual_position(hi)
            if mix((position + 1) * GOLDEN & M64) == lo:
                thread = self._near(position)
                if thread:
                    return self._met(thread, position)
        at = self._own_step(hi, resource)
        if at and mix(at[0].seed + (at[1] + 1) * at[0].step & M64) == lo:
            return self._met(*at)
        return None

    # --- the usual step -----------------------------------------------------------------------------------------------

    def _add(self, resource: int, thread: int, seed: int, last: int) -> Thread:
        self.all.append(Thread(self.numbers.take(), resource, thread, seed, last))
        return self.all[-1]

    def _usual_thread(self, seen: dict[int, int], resource: int, span_id: int) -> int:
        """Two ids that lie close together are of one thread. One alone tells nothing, nor does the same again."""
        position = usual_position(span_id)
        home = position >> _RANGE_BITS
        if len(self.all) >= MAX_THREADS or self._near(position):
            return 0
        if home - 1 in seen or seen.get(home, position) != position or home + 1 in seen:
            self.of_range[home] = self._add(resource, 0, 0, position)
            return 1
        seen[home] = position
        return 0

    def look(self, rows: IdRows, resource: int, sample: list[Draw]) -> int:
        """A thread in the sample is a reason to look at all rows."""
        seen: dict[int, int] = {}
        found = sum(self._usual_thread(seen, resource, draw.id) for draw in sample)
        if found:
            found += sum(self._usual_thread(seen, resource, rows.ids[row]) for row in self.sources[resource].rows)
        return found

    # --- Java 17: steps of their own ----------------------------------------------------------------------------------

    @staticmethod
    def _thread_with_step(apart: int, n: int) -> int:
        """The thread of which two seeds are `n` draws apart; or 0."""
        twos = (n & -n).bit_length() - 1
        if apart & (1 << twos) - 1:
            return 0
        step = (apart >> twos) * _inverse(n >> twos)
        twice = (step - GOLDEN & M64) << twos & M64
        twice >>= twos
        return 0 if twice & 1 or twice >> 1 >= _MAX_THREAD else twice >> 1

    def _thread_between(self, a: int, b: int) -> int:
        for draws in range(1, _MAX_DRAWS + 1):
            thread = self._thread_with_step(b - a & M64, draws) or self._thread_with_step(a - b & M64, draws)
            if thread:
                return thread
        return 0

    def _own_step_add(self, resource: int, seed: int, thread: int) -> int:
        own_steps = self.sources[resource].own_steps
        if len(self.all) >= MAX_THREADS or len(own_steps) >= _STEPS_OF_SOURCE:
            return 0
        own_steps.insert(0, self._add(resource, thread, seed, 0))
        return 1

    def look_for_own_steps(self, resource: int, sample: list[Draw]) -> int:
        window = sample[:WINDOW]
        seeds = [unmix(draw.id) for draw in window]
        found = 0
        for i, draw in enumerate(window):
            if self._own_step(draw.id, resource):
                continue
            for other in seeds[i + 1 : i + 1 + _NEAR_ROWS]:
                thread = self._thread_between(seeds[i], other)
                if thread:
                    found += self._own_step_add(resource, seeds[i], thread)
                    break
        return found

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """When there are many, those that were not met since the last time."""
        if len(self.all) < MAX_THREADS and len(self.of_range) < _RANGES_FULL:
            return
        self.of_range = {}
        for source in self.sources:
            source.own_steps = []
        self.all = [thread for thread in self.all if thread.met]
        for thread in self.all:
            thread.met = False
            if thread.thread:
                self.sources[thread.resource].own_steps.insert(0, thread)
            else:
                self.of_range[thread.last >> _RANGE_BITS] = thread

    def of(self, generator: int) -> Thread | None:
        return next((thread for thread in self.all if thread.number == generator), None)

    @staticmethod
    def origin(thread: Thread, position: int) -> Origin:
        return position, SPLITMIX, (thread.seed + position * thread.step & M64, thread.thread)
