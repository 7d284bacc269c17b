"""The finder knows the ids of generators, is never wrong, and finds the same on both backends.

The processes here draw as their SDKs do, written from what is published and not from the code under test; Python's
generator is Python's own.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from backends import DATA, NO_DATA, recorded_messages

from tracezip import _native
from tracezip.reference.drawn import Generator, GeneratorState
from tracezip.reference.find_generators import Finder

M64 = (1 << 64) - 1
SPLITMIX, V8_WORDS, V8_DIGITS, MT19937 = range(4)
Found = tuple[int, int]


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


def no_generator(seed: object) -> Process:
    numbers = itertools.count()
    return Process(lambda: anything((seed, next(numbers))))


# --- spans -----------------------------------------------------------------------------------------------------------

JAVA, JAVASCRIPT, PYTHON = ("hi", "lo", "id"), ("id", "hi", "lo"), ("lo", "hi", "id")
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


# --- both finders, side by side ---------------------------------------------------------------------------------------


class Told:
    """What a reader is told of a generator: it must give the ids back."""

    def __init__(self, origin: int, kind: int, parameters: tuple[int, ...]) -> None:
        self.origin, self.kind = origin, kind
        self.generator = Generator(GeneratorState.of(kind, parameters))

    def id_at(self, position: int) -> int:
        return self.generator.id_at(position - self.origin & M64)

    def trace_at(self, position: int, hi: int) -> tuple[int, int]:
        if self.kind == MT19937:
            return self.id_at(position + 2), self.id_at(position)
        if self.kind == SPLITMIX and not hi:
            return 0, self.id_at(position)
        return self.id_at(position), self.id_at(position + {SPLITMIX: 1, V8_WORDS: 2, V8_DIGITS: 16}[self.kind])


class Both:
    """The native finder and the reference: given the same blocks, they must find the same, and what is true."""

    def __init__(self, level: int = 3) -> None:
        self.native, self.reference = _native.Finder(level), Finder(level)
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


# --- what is found ---------------------------------------------------------------------------------------------------


def jvm(resource: int, n: int, java_17: bool = False, n_threads: int = 3) -> list[Row]:
    return merged(
        *(
            spans(resource, java_thread((resource, i), 30 + i if java_17 else 0), n // n_threads, JAVA, begin=i)
            for i in range(n_threads)
        )
    )


@pytest.mark.parametrize("java_17", [False, True])
def test_threads_of_a_jvm_are_found(java_17: bool) -> None:
    both = Both().blocks(late(jvm(0, 3000, java_17), 1))
    assert share(both.own) > 0.95
    assert share(both.trace) > 0.95
    assert both.kinds() == [SPLITMIX] * 3


def test_a_trace_without_an_upper_half_is_found() -> None:
    rows = spans(0, java_thread(7), 400, ("lo", "id"))
    both = Both().blocks(rows)
    assert share(both.trace) == 1


@pytest.mark.parametrize("foreign", [0.0, 0.6])
def test_node_js_is_found(foreign: float) -> None:
    both = Both().blocks(late(spans(0, node_process(1, foreign), 4000, JAVASCRIPT), 1))
    assert share(both.own) > 0.99
    assert share(both.trace) > 0.99
    assert both.kinds() == [V8_WORDS]


@pytest.mark.parametrize(("level", "wanted"), [(3, 0.0), (5, 0.9), (9, 0.9)])
def test_browsers_are_found_from_level_5_on(level: int, wanted: float) -> None:
    pages = [spans(0, browser_page(i), 20, JAVASCRIPT, begin=150 * i) for i in range(25)]
    both = Both(level).blocks(merged(*pages))
    assert share(both.own) >= wanted
    assert set(both.kinds()) == ({V8_DIGITS} if wanted else set())


@pytest.mark.parametrize(("foreign", "wanted"), [(0.0, 0.6), (0.5, 0.6), (2.0, 0.3)])
def test_python_is_found_from_samples_of_several_blocks(foreign: float, wanted: float) -> None:
    rows = spans(0, python_process(1, foreign), 9000, PYTHON, in_trace=3)
    both = Both().blocks(late(rows, 1, 60), 600)
    assert share(both.own) > wanted
    assert share(both.trace) > wanted
    assert both.kinds() == [MT19937]


def test_processes_between_each_other_are_found() -> None:
    rows = merged(
        jvm(0, 2000),
        jvm(1, 2000, java_17=True),
        spans(2, node_process(2), 2000, JAVASCRIPT),
        spans(3, python_process(3), 3000, PYTHON),
        spans(4, no_generator(4), 1000, PYTHON),
    )
    both = Both().blocks(some(late(rows, 1), 2), 2000)
    assert set(both.kinds()) == {SPLITMIX, V8_WORDS, MT19937}
    assert share(both.own) > 0.6
    assert {both.native.resource(generator) for generator in both.told} == {0, 1, 2, 3}


def test_a_process_that_starts_anew_is_a_new_generator() -> None:
    first, second = (spans(0, node_process(seed), 1500, JAVASCRIPT, begin=100000 * seed) for seed in (0, 1))
    both = Both().blocks(first + second, 500)
    assert share(both.own) == 1
    assert both.kinds() == [V8_WORDS] * 2


def test_positions_stay_the_same_while_old_values_are_let_go() -> None:
    """Far more values than the table holds."""
    rows = spans(0, node_process(5, 12.0), 40000, JAVASCRIPT)
    both = Both().blocks(rows, 4000)
    positions = [found[1] for found in both.own if found]
    assert share(both.own) > 0.9
    assert positions == sorted(positions)
    assert both.kinds() == [V8_WORDS]


def test_ids_seen_only_as_parents_are_found() -> None:
    rows = spans(0, node_process(6), 2000, JAVASCRIPT, in_trace=2)
    both = Both()
    both.block(rows[:1000])
    both.block([row for row in rows[1000:] if row.parent])
    assert share(both.parent[1000:]) == 1


def test_a_sparse_process_does_not_cost_more_values_than_its_ids_pay_for() -> None:
    process = node_process(8, 400.0)
    finder = Finder(3)
    for part in range(12):
        rows = spans(0, process, 1500, JAVASCRIPT)
        finder.block(*([row[at] for row in rows] for at in (1, 2, 3, 4, 0, 5)))
        assert len(finder.streams.table) <= 1 << 18, part
    assert finder.credit.values >= 0


# --- nothing to find --------------------------------------------------------------------------------------------------


def test_random_ids_are_left_alone_and_cost_what_their_rows_earn() -> None:
    rows = merged(*(spans(i, no_generator(i), 2500, PYTHON, begin=i) for i in range(8)))
    both = Both(9).blocks(rows, 2000)
    assert not both.told
    assert both.own + both.parent + both.trace == [None] * (3 * len(rows))
    assert both.reference.credit.looks >= 0
    assert both.reference.credit.mt == 4_000_000, "nothing was searched"


@pytest.mark.parametrize("number", [0, 1, M64, 0x0123456789ABCDEF])
def test_the_same_id_again_and_again_is_no_generator(number: int) -> None:
    both = Both(9).blocks([Row(i, number, 0 if i % 3 else number, number, number, i % 2) for i in range(3000)])
    assert not both.told


def test_counting_ids_are_bounded_work() -> None:
    Both(9).blocks([Row(0, i + 1, i, 0, i // 9 + 1, 0) for i in range(4000)])


def test_empty_and_tiny_blocks() -> None:
    both = Both(9)
    both.block([])
    for row in spans(0, node_process(1), 50, JAVASCRIPT):
        both.block([row])
    both.block([Row(0, 1, 2, 3, 4, 100_000)])  # a resource beyond those that are looked at


# --- recorded traces -------------------------------------------------------------------------------------------------


def recorded(path: Path, n_spans: int) -> list[Row]:
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    rows: list[Row] = []
    resources: dict[bytes, int] = {}
    for message in recorded_messages(path):
        for group in TracesData.FromString(message).resource_spans:
            resource = resources.setdefault(group.resource.SerializeToString(), len(resources))
            for span in itertools.chain.from_iterable(scope.spans for scope in group.scope_spans):
                ids = (span.span_id, span.parent_span_id, span.trace_id[:8], span.trace_id[8:])
                rows.append(Row(span.start_time_unix_nano, *(int.from_bytes(x, "big") for x in ids), resource=resource))
        if len(rows) >= n_spans:
            break
    return rows[:n_spans]


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason=NO_DATA)
@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name.partition(".")[0])
@pytest.mark.parametrize(("level", "block"), [(3, 16384), (9, 3000)])
def test_both_find_the_same_in_recorded_traces(path: Path, level: int, block: int) -> None:
    Both(level).blocks(recorded(path, 20000), block)
