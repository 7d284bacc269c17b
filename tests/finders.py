"""The native finder of generators and the reference's, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from id_makers import M64, Row

from tracezip import _native
from tracezip.reference.drawn import Generator, GeneratorState
from tracezip.reference.find_generators import Finder

SPLITMIX, V8_WORDS, V8_DIGITS, MT19937, GO_READ, GO_INT63, MT19937_BYTES = range(7)
Found = tuple[int, int]


class Told:
    """What a reader is told of a generator: it must give the ids back."""

    def __init__(self, origin: int, kind: int, parameters: tuple[int, ...]) -> None:
        self.origin, self.kind, self.parameters = origin, kind, parameters
        self.generator = Generator(GeneratorState.of(kind, parameters))

    def id_at(self, position: int) -> int:
        return self.generator.id_at(position - self.origin & M64)

    def trace_at(self, position: int, hi: int) -> tuple[int, int]:
        if not hi:
            return 0, self.id_at(position)
        first, second = self.id_at(position), self.id_at(position + {SPLITMIX: 1, V8_DIGITS: 16}.get(self.kind, 2))
        return (second, first) if self.kind in (MT19937, GO_INT63) else (first, second)


class Both:
    """The native finder and the reference: given the same blocks, they must find the same, and what is true."""

    def __init__(self, level: int = 3, halvings: int = 0) -> None:
        self.native, self.reference = _native.Finder(level, halvings), Finder(level, halvings)
        self.told: dict[int, Told] = {}
        self.own: list[Found | None] = []
        self.parent: list[Found | None] = []
        self.trace: list[Found | None] = []

    def block(self, rows: Sequence[Row]) -> None:
        columns = [[row[at] for row in rows] for at in (1, 2, 3, 4, 0, 5)]
        own, parent, trace = found = self.native.block(*columns)
        assert found == self.reference.block(*columns)
        for row, of_own, of_parent, of_trace in zip(rows, own, parent, trace, strict=True):
            self._check(of_own, lambda told, at, row=row: told.id_at(at) == row.id)
            self._check(of_parent, lambda told, at, row=row: told.id_at(at) == row.parent)
            self._check(of_trace, lambda told, at, row=row: told.trace_at(at, row.hi) == (row.hi, row.lo))
        self.own += own
        self.parent += parent
        self.trace += trace

    def _check(self, found: Found | None, holds: Callable[[Told, int], bool]) -> None:
        if found is None:
            return
        generator, position = found
        told = self.told.get(generator)
        if told is None or (told.kind != SPLITMIX and position < told.origin):
            given = self.native.origin(generator, position)
            assert given == self.reference.origin(generator, position)
            assert self.native.resource(generator) == self.reference.resource(generator)
            told = self.told[generator] = Told(*given)
        assert holds(told, position)

    def blocks(self, rows: Sequence[Row], n: int = 1000) -> Both:
        for at in range(0, len(rows), n):
            self.block(rows[at : at + n])
        return self

    def kinds(self) -> list[int]:
        """Of the generators that were found, in the order of their numbers."""
        return [self.told[generator].kind for generator in sorted(self.told)]


def share(found: Sequence[object]) -> float:
    return sum(x is not None for x in found) / len(found)
