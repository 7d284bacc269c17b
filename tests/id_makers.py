"""Processes that draw ids as their SDKs do, and spans with such ids.

Written from what is published, and not from the code under test; Python's generator is Python's own.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from independent_decoder import go_cooked

M64 = (1 << 64) - 1


class Process(NamedTuple):
    draw: Callable[[], int]
    """The next 64 bits for an id."""
    other: Callable[[], object] = int
    """A draw of other code."""
    foreign: float = 0.0
    """How many of these come before each span."""


class Row(NamedTuple):
    start: int
    id: int
    parent: int
    hi: int
    lo: int
    resource: int


def anything(seed: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "big")


# --- what processes draw ----------------------------------------------------------------------------------------------


def java_mix(z: int) -> int:
    z = ((z ^ (z >> 33)) * 0xFF51AFD7ED558CCD) & M64
    z = ((z ^ (z >> 33)) * 0xC4CEB9FE1A85EC53) & M64
    return z ^ (z >> 33)


def java_thread(seed: object, thread: int = 0) -> Process:
    """ThreadLocalRandom. Up to Java 16 the step is the same for all; from 17 on, twice the thread's id is added."""
    begin, step = anything(seed), 0x9E3779B97F4A7C15 + 2 * thread
    seeds = (begin + step * i & M64 for i in itertools.count(1))
    return Process(lambda: java_mix(next(seeds)))


def math_random(seed: object) -> Iterator[int]:
    """V8: xorshift128+ fills a cache of 64, which is emptied from its end. 64 bits, of which the upper 52 are used."""
    s0, s1 = anything((seed, 0)), anything((seed, 1))
    while True:
        cache = []
        for _ in range(64):
            a, b = s0, s1
            s0 = b
            a ^= a << 23 & M64
            a ^= a >> 17
            a ^= b
            a ^= b >> 26
            s1 = a
            cache.append(s0)
        yield from reversed(cache)


def node_process(seed: object, foreign: float = 0.0) -> Process:
    """32 bits of two values."""
    values = math_random(seed)
    return Process(lambda: next(values) >> 32 << 32 | next(values) >> 32, lambda: next(values), foreign)


def browser_page(seed: object) -> Process:
    """A value for each hexadecimal digit."""
    values = math_random(seed)
    return Process(lambda: int("".join(f"{next(values) >> 60:x}" for _ in range(16)), 16))


def python_process(seed: object, foreign: float = 0.0) -> Process:
    generator = random.Random(anything(seed))
    return Process(lambda: generator.getrandbits(64), lambda: generator.getrandbits(32), foreign)


def ruby_process(seed: object, foreign: float = 0.0) -> Process:
    """Ruby's Random is the same generator, and its `bytes` are those of whole words."""
    generator = random.Random(anything(seed))
    return Process(
        lambda: int.from_bytes(generator.getrandbits(64).to_bytes(8, "little"), "big"),
        lambda: generator.getrandbits(32),
        foreign,
    )


class GoRand:
    """A source of math/rand, as Go has it."""

    def __init__(self, seed: int) -> None:
        x = seed * pow(48271, 20, 2**31 - 1) % (2**31 - 1)
        self.register = []
        for cooked in go_cooked():
            word = cooked
            for shift in (40, 20, 0):
                x = x * 48271 % (2**31 - 1)
                word ^= x << shift & M64
            self.register.append(word)
        self.tap, self.feed = 0, 607 - 273
        self.left = b""

    def int63(self) -> int:
        self.tap, self.feed = (self.tap - 1) % 607, (self.feed - 1) % 607
        self.register[self.feed] = self.register[self.feed] + self.register[self.tap] & M64
        return self.register[self.feed] & M64 >> 1

    def read(self, n: int = 8) -> bytes:
        """Seven bytes of each number; what is left of one is kept for the next time."""
        while len(self.left) < n:
            self.left += (self.int63() & (1 << 56) - 1).to_bytes(7, "little")
        read, self.left = self.left[:n], self.left[n:]
        return read


def go_reader(seed: int, before: int = 0, foreign: float = 0.0) -> Process:
    """OpenTelemetry, in a process that has drawn ids before."""
    source = GoRand(seed)
    source.read(8 * before)
    return Process(lambda: int.from_bytes(source.read(), "big"), source.read, foreign)


def go_int63(seed: int, before: int = 0, foreign: float = 0.0) -> Process:
    """Jaeger, Datadog, SignalFx."""
    source = GoRand(seed)
    for _ in range(before):
        source.int63()
    return Process(source.int63, source.int63, foreign)


def no_generator(seed: object) -> Process:
    numbers = itertools.count()
    return Process(lambda: anything((seed, next(numbers))))


# --- spans -----------------------------------------------------------------------------------------------------------

JAVA, JAVASCRIPT, PYTHON = ("hi", "lo", "id"), ("id", "hi", "lo"), ("lo", "hi", "id")
GO = RUBY = JAVA
"""The order in which a root's ids are drawn."""


def spans(
    resource: int, process: Process, n: int, order: Sequence[str], begin: int = 0, in_trace: int = 4
) -> list[Row]:
    """Each root is followed by its children, one below the other."""
    rows: list[Row] = []
    for i in range(n):
        for _ in range(int(anything((resource, i)) / 2**64 * 2 * process.foreign + 0.5)):
            process.other()
        if i % in_trace == 0:
            root = {part: process.draw() for part in order}
            rows.append(Row(begin + 10 * i, root["id"], 0, root.get("hi", 0), root["lo"], resource))
        else:
            rows.append(Row(begin + 10 * i, process.draw(), rows[-1].id, rows[-1].hi, rows[-1].lo, resource))
    return rows


def merged(*processes: list[Row]) -> list[Row]:
    return sorted(itertools.chain(*processes), key=lambda row: row.start)


def late(rows: list[Row], seed: object, by: int = 300) -> list[Row]:
    """As they arrive: children mostly before their parents, some spans much later."""
    delay = {row: anything((seed, row.id)) % by for row in rows}
    return sorted(rows, key=lambda row: row.start + delay[row])


def some(rows: list[Row], seed: object, of_ten: int = 9) -> list[Row]:
    return [row for row in rows if anything((seed, row.id)) % 10 < of_ten]
