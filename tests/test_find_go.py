"""Ids of Go's math/rand are known, whatever of a process is seen; and real Go's are among the examples."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from finders import GO_INT63, GO_READ, Both, share
from id_makers import GO, Process, Row, go_int63, go_reader, late, merged, no_generator, node_process, some, spans

from tracezip.reference.find_parts import SEARCHES_MOST
from tracezip.reference.go_rand import go_back, go_cooked, go_find_seed, go_forth, go_mask, go_seeded, go_skip

MAKERS = {GO_READ: go_reader, GO_INT63: go_int63}
KINDS = pytest.mark.parametrize("kind", [GO_READ, GO_INT63], ids=["read", "int63"])


def seeds(both: Both) -> set[int]:
    return {told.parameters[0] for told in both.told.values()}


def half_traces(process: Process, n: int, in_trace: int = 4) -> list[Row]:
    """As Jaeger has them: a trace has 64 bits, which are its root's id."""
    rows: list[Row] = []
    for i in range(n):
        drawn = process.draw()
        root = rows[-1] if i % in_trace else Row(0, 0, 0, 0, drawn, 0)
        rows.append(Row(10 * i, drawn, root.id, 0, root.lo, 0))
    return rows


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def test_the_table_of_the_kernel_is_what_the_format_computes() -> None:
    text = (Path(__file__).parent.parent / "csrc" / "go_cooked.h").read_text()
    numbers = text.split("{", 1)[1].split("}")[0].replace("u", "").split(",")
    assert tuple(int(number, 16) for number in numbers if number.strip()) == go_cooked()


def test_words_go_forth_and_back() -> None:
    words = go_seeded(12345)
    assert go_skip(words, 5_000) == go_forth(words, 5_000)[-607:]
    assert go_back(go_skip(words, 5_000), 5_000) == [*words, *go_forth(words, 5_000 - 607)]


@pytest.mark.parametrize("n_bytes", [7, 8])
@pytest.mark.parametrize("before", [0, 1, 4_095, 4_096, 4_097, 20_000])
def test_a_seed_is_found_from_words_far_behind_it(n_bytes: int, before: int) -> None:
    words = [word & go_mask(n_bytes) for word in go_skip(go_seeded(2**31 - 2), before + 607)]
    assert go_find_seed(words, n_bytes, 30_000) == (2**31 - 2, before + 607)
    assert go_find_seed([word ^ 1 for word in words], n_bytes, 30_000) is None


# --- what is found ----------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("before", [0, 5, 30_000])
def test_a_process_is_known_by_its_seed(kind: int, before: int) -> None:
    both = Both().blocks(spans(0, MAKERS[kind](4711, before), 3000, GO if kind == GO_READ else ("lo", "hi", "id")))
    assert both.kinds() == [kind]
    assert seeds(both) == {4711}
    assert share(both.own) > 0.99
    assert share(both.trace) > 0.99


def test_traces_of_64_bits_are_found() -> None:
    both = Both().blocks(half_traces(go_int63(1), 3000))
    assert share(both.own) > 0.99
    assert share(both.trace) > 0.99


@KINDS
def test_all_ids_of_the_first_block_are_found(kind: int) -> None:
    both = Both()
    both.block(half_traces(MAKERS[kind](7, 1_000), 1_200))
    assert share(both.own) == 1


@KINDS
def test_late_spans_and_other_draws_are_no_hindrance(kind: int) -> None:
    both = Both().blocks(late(spans(0, MAKERS[kind](5, 100, 0.3), 6000, GO), 1, 60))
    assert seeds(both) == {5}
    assert share(both.own[-3000:]) == 1


@KINDS
def test_dropped_spans_are_no_hindrance(kind: int) -> None:
    both = Both().blocks(some(spans(0, MAKERS[kind](6, 100), 8000, GO), 1, 7), 600)
    assert seeds(both) == {6}
    assert share(both.own[-2000:]) == 1


@KINDS
def test_a_process_that_starts_anew_is_a_new_generator(kind: int) -> None:
    first, second = (spans(0, MAKERS[kind](seed), 2000, GO, begin=100_000 * seed) for seed in (1, 2))
    both = Both().blocks(first + second, 500)
    assert both.kinds() == [kind, kind]
    assert seeds(both) == {1, 2}
    assert share(both.own[1500:2000] + both.own[3500:]) == 1


def test_processes_between_each_other_are_found() -> None:
    rows = merged(
        spans(0, go_reader(1, 50), 2000, GO),
        spans(1, go_int63(2, 50), 2000, GO),
        spans(2, node_process(3), 2000, ("id", "hi", "lo")),
        spans(3, no_generator(4), 1000, GO),
    )
    both = Both().blocks(late(rows, 1, 40), 2000)
    assert {GO_READ, GO_INT63} < set(both.kinds())
    assert {both.native.resource(generator) for generator in both.told} == {0, 1, 2}
    assert share([own for own, row in zip(both.own, late(rows, 1, 40), strict=True) if row.resource < 2][2500:]) == 1


@KINDS
def test_ids_seen_only_as_parents_are_found(kind: int) -> None:
    rows = spans(0, MAKERS[kind](6), 3000, GO, in_trace=2)
    both = Both()
    both.block(rows[:1500])
    both.block([row for row in rows[1500:] if row.parent])
    assert share(both.parent[1500:]) == 1


@KINDS
def test_positions_stay_the_same_while_old_values_are_let_go(kind: int) -> None:
    """Far more values than the table holds."""
    process = MAKERS[kind](8)
    rows = spans(0, process, 3_000, GO) + spans(0, process._replace(foreign=12.0), 12_000, GO, begin=30_000)
    both = Both().blocks(rows, 3_000)
    positions = [found[1] for found in both.own if found]
    assert share(both.own) > 0.8
    assert positions == sorted(positions)
    assert both.kinds() == [kind]
    assert seeds(both) == {8}


@KINDS
def test_without_a_seed_words_are_told(kind: int) -> None:
    """A program may draw from a source that is no plain Go's, or that it has had for very long."""
    words = [word & go_mask(7) for word in go_skip(go_seeded(3), 5000)]
    words[5] ^= 1
    made = go_forth(words, 4000)
    if kind == GO_READ:
        drawn = b"".join([(word & go_mask(7)).to_bytes(7, "little") for word in made])
        ids = [int.from_bytes(drawn[at : at + 8], "big") for at in range(0, len(drawn) - 7, 8)]
    else:
        ids = made
    both = Both().blocks([Row(10 * i, drawn, 1, 0, 1, 0) for i, drawn in enumerate(ids)], 1000)
    assert seeds(both) == {0}
    assert share(both.own[1000:]) == 1


# --- what is left alone -----------------------------------------------------------------------------------------------


def test_positive_random_ids_are_no_generator() -> None:
    process = no_generator(1)
    both = Both(9).blocks([Row(i, process.draw() >> 1, 1, 0, 1, 0) for i in range(4000)], 1000)
    assert not both.told
    assert both.reference.credit.searches == SEARCHES_MOST, "nothing was searched"


@pytest.mark.parametrize("step", [0, 1, 1 << 40, 0x0102030405060708])
def test_sums_that_chance_makes_are_no_generator(step: int) -> None:
    Both(9).blocks([Row(i, (i + 1) * step & (1 << 63) - 1, 1, 0, 1, 0) for i in range(6000)], 3000)


# --- real Go ----------------------------------------------------------------------------------------------------------

GO_PROGRAM = """package main

import ("fmt"; "math/rand")

func main() {
	r, s, b := rand.New(rand.NewSource(%d)), rand.New(rand.NewSource(%d)), make([]byte, 8)
	for i := 0; i < 2000; i++ { r.Read(b); fmt.Printf("%%x %%016x\\n", b, s.Int63()) }
}
"""


def test_go_itself_draws_what_we_say(tmp_path: Path) -> None:
    seed = 1_234_567_890_123
    (tmp_path / "main.go").write_text(GO_PROGRAM % (seed, seed))
    try:
        run = subprocess.run(["go", "run", tmp_path / "main.go"], capture_output=True, check=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs Go")
    read, int63 = go_reader(seed % (2**31 - 1)), go_int63(seed % (2**31 - 1))
    for line in run.stdout.splitlines():
        assert [int(number, 16) for number in line.split()] == [read.draw(), int63.draw()]
