"""Generators of ids that were told, and the ids that they draw. FORMAT.md, "Generators"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tracezip.mix import mix
from tracezip.reference.generators import GOLDEN, M64, MT_M, MT_N, REFILL, mt_id, temper, twist, v8_step
from tracezip.reference.go_rand import GO_BATCH, GO_N, go_forth, go_seeded, go_skip, go_values


class GeneratorKind(IntEnum):
    SPLITMIX = 0
    V8_WORDS = 1
    V8_DIGITS = 2
    MT19937 = 3
    GO_READ = 4
    GO_INT63 = 5
    MT19937_BYTES = 6

    @property
    def is_mt(self) -> bool:
        return self in (GeneratorKind.MT19937, GeneratorKind.MT19937_BYTES)

    @property
    def is_go(self) -> bool:
        return self in (GeneratorKind.GO_READ, GeneratorKind.GO_INT63)

    @property
    def n_bytes(self) -> int:
        """Go: of a word; and values of a batch."""
        return 7 if self is GeneratorKind.GO_READ else 8

    @property
    def lower_half_first(self) -> bool:
        """Of a trace id."""
        return self in (GeneratorKind.MT19937, GeneratorKind.GO_INT63)


@dataclass(frozen=True)
class GeneratorState:
    """What is told of a generator."""

    kind: int
    thread: int = 0
    """SPLITMIX; 0 up to Java 16."""
    seed: int = 0
    """SPLITMIX: of position 0. Go: of the process, or 0."""
    skip: int = 0
    """Go with a seed: batches of words before position 0."""
    v8: tuple[int, int] = (0, 0)
    """V8: before the refill that begins at position 0."""
    words: tuple[int, ...] = ()
    """MT19937: the first 624, untempered. Go without a seed: the 607 before position 0."""

    @staticmethod
    def of(kind: int, parameters: tuple[int, ...]) -> GeneratorState:
        """From the parameters that a finder gives."""
        if kind == GeneratorKind.SPLITMIX:
            return GeneratorState(kind, seed=parameters[0], thread=parameters[1])
        if GeneratorKind(kind).is_mt:
            return GeneratorState(kind, words=parameters)
        if GeneratorKind(kind).is_go:
            return GeneratorState(kind, seed=parameters[0], skip=parameters[1], words=parameters[2:])
        return GeneratorState(kind, v8=(parameters[0], parameters[1]))


class Generator:
    """A generator that has been told, and how far it has come."""

    def __init__(self, state: GeneratorState) -> None:
        self.kind = GeneratorKind(state.kind)
        self.process = 0
        """Its number, once it is defined."""
        self.last = 0
        """The position that was told last."""
        self.extent = 0
        """Values that were needed for what was told."""
        self._seed, self._step = state.seed, GOLDEN + 2 * state.thread & M64
        self._v8 = state.v8
        self._values = [] if self.kind.is_go else list(state.words)
        self._go: list[int] = list(state.words)
        """Go: the last words, from which the next ones follow."""
        if self.kind.is_go and state.seed:
            self._go = go_skip(go_seeded(state.seed), GO_BATCH * state.skip)

    @property
    def width(self) -> int:
        """Values of an id."""
        return {GeneratorKind.SPLITMIX: 0, GeneratorKind.V8_DIGITS: 16}.get(self.kind, 2)

    def id_at(self, position: int) -> int:
        if self.kind == GeneratorKind.SPLITMIX:
            return mix(self._seed + position * self._step & M64)
        self._make(position + self.width)
        values = self._values[position : position + self.width]
        if self.kind.is_mt:
            return mt_id(temper(values[0]), temper(values[1]), self.kind == GeneratorKind.MT19937_BYTES)
        n_bits = 64 // self.width
        return sum(value >> 32 - n_bits << 64 - n_bits * (i + 1) for i, value in enumerate(values))

    def trace_id_at(self, position: int) -> tuple[int, int]:
        """Upper and lower half."""
        first = self.id_at(position)
        second = self.id_at(position + (self.width or 1) & M64)
        return (second, first) if self.kind.lower_half_first else (first, second)

    def _make(self, n: int) -> None:
        while len(self._values) < n:
            if self.kind.is_mt:
                x = self._values
                x.append(x[MT_M - MT_N] ^ twist(x[-MT_N], x[1 - MT_N]))
            elif self.kind.is_go:
                self._more_of_go()
            else:
                self._refill()

    def _more_of_go(self) -> None:
        made = go_forth(self._go, GO_N + 1)
        self._values += go_values(made, self.kind.n_bytes)
        self._go = made[-GO_N:]

    def _refill(self) -> None:
        made = []
        for _ in range(REFILL):
            made.append(self._v8[0] >> 32)
            self._v8 = v8_step(self._v8)
        self._values += reversed(made)


class Origin(NamedTuple):
    """Where an id comes from."""

    generator: Generator
    position: int


class Origins(NamedTuple):
    """Where the ids of a span come from, as far as the writer knows."""

    own: Origin | None = None
    parent: Origin | None = None
    trace: Origin | None = None
