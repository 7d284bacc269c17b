"""FORMAT.md, "Generators": what a reader is told of a generator, and the id at a position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tracezip.reference.contexts import MASK64

_GOLDEN = 0x9E3779B97F4A7C15
_REFILL = 64
N_MT_WORDS = 624
"""Words of the state of MT19937."""
_M = 397


class GeneratorKind(IntEnum):
    SPLITMIX = 0
    V8_WORDS = 1
    V8_DIGITS = 2
    MT19937 = 3


@dataclass(frozen=True)
class GeneratorState:
    """What is told of a generator."""

    kind: int
    thread: int = 0
    """SPLITMIX; 0 up to Java 16."""
    seed: int = 0
    """SPLITMIX: of position 0."""
    v8: tuple[int, int] = (0, 0)
    """V8: before the refill that begins at position 0."""
    words: tuple[int, ...] = ()
    """MT19937: the first 624, untempered."""


def mix(z: int) -> int:
    z = (z ^ z >> 33) * 0xFF51AFD7ED558CCD & MASK64
    z = (z ^ z >> 33) * 0xC4CEB9FE1A85EC53 & MASK64
    return z ^ z >> 33


def step_v8(s0: int, s1: int) -> tuple[int, int]:
    a = s0 ^ s0 << 23 & MASK64
    a ^= a >> 17
    return s1, a ^ s1 ^ s1 >> 26


def twist(first: int, second: int) -> int:
    """What x(n) and x(n + 1) of MT19937 add to x(n + 397) for x(n + 624)."""
    y = first & 0x80000000 | second & 0x7FFFFFFF
    return y >> 1 ^ (0x9908B0DF if y & 1 else 0)


def temper(y: int) -> int:
    y ^= y >> 11
    y ^= y << 7 & 0x9D2C5680
    y ^= y << 15 & 0xEFC60000
    return y ^ y >> 18


class Generator:
    """A generator that has been told, and how far it has come."""

    def __init__(self, state: GeneratorState, process: int) -> None:
        self.kind = state.kind
        self.process = process
        self.last = 0
        """The position that was told last."""
        self.extent = 0
        """Values that were needed for what was told."""
        self._seed, self._step = state.seed, _GOLDEN + 2 * state.thread & MASK64
        self._v8 = state.v8
        self._values = list(state.words)

    @property
    def width(self) -> int:
        """Values of an id."""
        return {GeneratorKind.SPLITMIX: 0, GeneratorKind.V8_DIGITS: 16}.get(GeneratorKind(self.kind), 2)

    def id_at(self, position: int) -> int:
        if self.kind == GeneratorKind.SPLITMIX:
            return mix(self._seed + position * self._step & MASK64)
        self._make(position + self.width)
        values = self._values[position : position + self.width]
        if self.kind == GeneratorKind.MT19937:
            return temper(values[0]) | temper(values[1]) << 32
        n_bits = 64 // self.width
        return sum(value >> 32 - n_bits << 64 - n_bits * (i + 1) for i, value in enumerate(values))

    def trace_id_at(self, position: int) -> tuple[int, int]:
        """Upper and lower half."""
        first = self.id_at(position)
        second = self.id_at(position + (self.width or 1) & MASK64)
        return (second, first) if self.kind == GeneratorKind.MT19937 else (first, second)

    def _make(self, n: int) -> None:
        while len(self._values) < n:
            if self.kind == GeneratorKind.MT19937:
                x = self._values
                x.append(x[_M - N_MT_WORDS] ^ twist(x[-N_MT_WORDS], x[1 - N_MT_WORDS]))
            else:
                self._refill()

    def _refill(self) -> None:
        made = []
        for _ in range(_REFILL):
            made.append(self._v8[0] >> 32)
            self._v8 = step_v8(*self._v8)
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
