"""The finder knows the ids of generators, is never wrong, and finds the same on both backends.

The processes of id_makers.py draw as their SDKs do.
"""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from backends import DATA, NO_DATA, recorded_messages
from finders import MT19937, MT19937_BYTES, SPLITMIX, V8_DIGITS, V8_WORDS, Both, share
from id_makers import (
    JAVA,
    JAVASCRIPT,
    M64,
    PYTHON,
    RUBY,
    Row,
    browser_page,
    java_thread,
    late,
    merged,
    no_generator,
    node_process,
    python_process,
    ruby_process,
    some,
    spans,
)

from tracezip.reference.find_generators import Finder
from tracezip.reference.find_parts import SEARCHES_MOST

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


@pytest.mark.parametrize(("foreign", "wanted"), [(0.0, 0.9), (0.5, 0.6)])
def test_ruby_is_found(foreign: float, wanted: float) -> None:
    rows = spans(0, ruby_process(1, foreign), 6000, RUBY, in_trace=3)
    both = Both().blocks(late(rows, 1, 60), 2000)
    assert share(both.own) > wanted
    assert share(both.trace) > wanted
    assert both.kinds() == [MT19937_BYTES]


def test_ruby_itself_draws_so() -> None:
    """Four bytes of a word, the least significant one first."""
    code = "r, s = Random.new(7), Random.new(7); puts r.bytes(8) == s.bytes(4) + s.bytes(4)"
    words = "t, u = Random.new(7), Random.new(7); puts t.bytes(4) == [u.rand(2**32)].pack('V')"
    try:
        run = subprocess.run(["ruby", "-e", f"{code}; {words}"], capture_output=True, check=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs Ruby")
    assert run.stdout.split() == ["true", "true"]


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
    assert both.reference.credit.searches == SEARCHES_MOST, "nothing was searched"


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
