"""What the parts of the finder share. The twin of csrc/find_parts.h."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tracezip.reference.generators import GOLDEN, M64

SPLITMIX, V8_WORDS, V8_DIGITS, MT19937, GO_READ, GO_INT63, MT19937_BYTES = range(7)
"""The kinds of generators."""

SAMPLE, WINDOW, LEAST = 192, 48, 4
"""Rows of a resource that are looked at; of these, those tried against each other; and without which nothing is."""
DIGITS_LEVEL = 5
"""Browsers are looked for from this level on."""
MAX_THREADS, MAX_STREAMS, MAX_SOURCES = 1024, 512, 4096
DRAWS_LEAST = 700
"""Draws with which MT19937 and Go are tried first."""

LOOKS_FIRST, LOOKS_MOST = 200_000, 1_000_000
EARNED_LOOKS, EARNED_DIGITS = 4, 6
COST_LOOK, COST_LOOK_ROW, COST_PLACE = 2500, 25, 10
PROBES_FIRST, PROBES_MOST, EARNED_PROBES, COST_PROBE = 500_000, 1_000_000, 12, 100_000
SEARCHES_MOST, EARNED_SEARCHES, COST_DRAW = 12_000_000, 10, 350
VALUES_FIRST, VALUES_MOST, EARNED_VALUES, COST_VALUE = 2_000_000, 4_000_000, 64, 5

Found = tuple[int, int]
"""The number of a generator, and a position."""
Origin = tuple[int, int, tuple[int, ...]]
"""Where a reader counts from, the kind of the generator, and its parameters there."""


class Result(enum.Enum):
    """Of a search among draws."""

    FOUND = 0
    NOT_FOUND = 1
    HOPELESS = 2
    """Nor worth another search with more draws."""


class Sizes:
    """Of a finder whose tables are halved so often."""

    def __init__(self, halvings: int) -> None:
        self.halvings = halvings
        self.entered_most, self.entered_full, self.entered_kept = (n >> halvings for n in (1 << 18, 3 << 16, 1 << 17))
        """Ids in the table; with which it is time to begin anew; and that are kept then."""
        self.most_draws = max(5120 >> halvings, 2 * DRAWS_LEAST)
        """Draws with which MT19937 and Go are tried last."""
        self.most_sampling = max(32 >> halvings, 1)
        """Resources of which draws are kept at the same time."""


@dataclass
class Credit:
    """For looking, for seeing whether a search among draws is worth it, for such searches, and for making values."""

    looks: int = LOOKS_FIRST
    probes: int = PROBES_FIRST
    searches: int = SEARCHES_MOST
    values: int = VALUES_FIRST

    def earn_rows(self, n: int, level: int) -> None:
        each = EARNED_LOOKS if level < DIGITS_LEVEL else EARNED_LOOKS + EARNED_DIGITS
        self.looks = min(self.looks + n * each, LOOKS_MOST)
        self.probes = min(self.probes + n * EARNED_PROBES, PROBES_MOST)
        self.searches = min(self.searches, SEARCHES_MOST)
        self.values = min(self.values, VALUES_MOST)

    def earn_found(self) -> None:
        self.searches += EARNED_SEARCHES
        self.values += EARNED_VALUES

    def pay_looks(self, cost: int) -> bool:
        if self.looks < cost:
            return False
        self.looks -= cost
        return True

    def pay_probe(self) -> bool:
        if self.probes < COST_PROBE:
            return False
        self.probes -= COST_PROBE
        return True

    def pay_values(self, cost: int) -> bool:
        if self.values < cost:
            return False
        self.values -= cost
        return True


@dataclass
class Numbers:
    """Of generators: each is given once."""

    n: int = 0

    def take(self) -> int:
        self.n += 1
        return self.n - 1


@dataclass(frozen=True)
class IdRows:
    """The spans of a block, in order. Absent ids are 0; so no parent marks a root."""

    ids: Sequence[int]
    parents: Sequence[int]
    his: Sequence[int]
    los: Sequence[int]
    starts: Sequence[int]
    resources: Sequence[int]


class Draw(NamedTuple):
    """Draws are sorted by their starts, and then by this order."""

    start: int
    order: int
    id: int


@dataclass(eq=False)
class Thread:
    """A thread of a JVM. With the usual step, thread is 0 and all are places of one sequence, of seed 0."""

    number: int
    resource: int
    thread: int
    seed: int
    last: int
    met: bool = True

    @property
    def step(self) -> int:
        return GOLDEN + 2 * self.thread & M64


@dataclass(eq=False)
class Source:
    """What is known of a resource, which as a rule is a process."""

    rows: list[int] = field(default_factory=list)
    """Those of this block that no generator explains."""
    failed: int = 0
    again: int = 0
    own_steps: list[Thread] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    """For MT19937 and Go, of several blocks."""
    n_searches_failed: int = 0
    least_draws: int = 0
    """Without which there is no search, or no other one."""
    search_again: int = 0
    """The block before which no draws are kept."""
    suspected: int = 0
    """The kind for which a search is worth it, or 0."""
