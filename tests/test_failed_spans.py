"""Failed spans out of the index: what it tells of them is what the blocks say, and a search for them reads no block."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from archives import BLOCK, INDEX, archive, field, frames, varint
from backends import BACKENDS, running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_maker import Maker, fixed64

import tracezip
from tracezip import limits, merging
from tracezip.convert.spans import Span, read_spans
from tracezip.errors import FormatError, InputError
from tracezip.index import Unit, read_units
from tracezip.index.failures import FailureTable, pack_failures
from tracezip.scan.columns import COLUMNS, COLUMNS_OF_FAILED
from tracezip.where import parse

SERVICES = ["cart", "shop", "", "caf\u00e9"]
START = 10**18
backends = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def small_units() -> Iterator[None]:
    """Archives of a few spans have an index of several units, which may tell all failed spans."""
    with mock.patch.multiple(limits, BLOCK_SPANS=3, UNIT_SPANS=5, INDEX_SPAN_BITS=1 << 20):
        yield


def span(i: int, r: random.Random, *, extra: bytes = b"") -> bytes:
    ids = field(1, struct.pack(">QQ", i // 4 % 3, i // 4 + 1)) + field(2, struct.pack(">Q", i + 1))
    times = fixed64(7, START + 1000 * i) + fixed64(8, START + 1000 * i + r.choice([0, 5, 10**6, 3 * 10**9]))
    status = field(15, b"\x18" + varint(r.choice([1, 2, 2]))) if r.randrange(3) else b""
    return field(2, ids + field(5, f"name {i % 3}") + times + status + extra)


def messages(seed: int, n: int = 40) -> list[bytes]:
    r = random.Random(seed)
    return [in_service(r.choice(SERVICES), span(i, r)) for i in range(n)]


def in_service(service: str, spans: bytes) -> bytes:
    attribute = field(1, "service.name") + field(2, field(1, service))
    return field(1, field(1, field(1, attribute)) + field(2, spans))


def question(r: random.Random) -> str:
    """Some expression that failed spans can mostly answer."""
    terms = [
        f'service {r.choice(["=", "!=", "^="])} "{r.choice(SERVICES)}"',
        f'resource.service.name = "{r.choice(SERVICES)}"',
        f'name in ("name 0", "name {r.randrange(4)}")',
        f"duration {r.choice(['<', '>=', '=', '!='])} {r.choice(['0', '5', '1ms', '2s'])}",
        f"start >= {START + r.randrange(50_000)}",
        f"trace_id ^= 000000000000000{r.randrange(3)}",
        f"span_id != {r.randrange(40):016x}",
        "kind = 0",
        "status != ok",
    ]
    joined = f" {r.choice(['&&', '||'])} ".join(r.sample(terms, r.randrange(1, 4)))
    return f"{r.choice(['status = error', 'status in (error)', 'status > 1'])} && {r.choice(['', '!'])}({joined})"


def naive(contents: Sequence[bytes], where: str) -> list[Span]:
    expression = parse(where)
    return [one for content in contents for one in read_spans(content) if expression.matches(one)]


def told(data: bytes) -> list[bool]:
    """Of each unit, whether its failed spans are, if it has any."""
    summaries = [unit.summary for unit in read_units(data)]
    return [each is not None and (each.failures is not None or not each.n_errors) for each in summaries]


def otlp_of(maker: Maker) -> Iterator[bytes]:
    for content in (maker.message() for _ in range(30)):
        try:
            list(read_spans(content))
        except InputError:
            continue
        yield content


# --- answers ----------------------------------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("oddity", [None, 0, 3])
@given(st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_failed_spans_are_those_of_a_naive_filter(
    small_units: None, backend: str, oddity: int | None, seed: int
) -> None:
    contents = messages(seed) if oddity is None else list(otlp_of(Maker(seed, oddity)))
    r = random.Random(seed)
    if backend == "reference":
        contents = contents[:10]
    with running(backend), tracezip.open(io.BytesIO(archive(contents, flush=False))) as reader:
        for where in [question(r) for _ in range(10 if backend == "native" else 1)]:
            spans = naive(contents, where)
            for names in (sorted(COLUMNS_OF_FAILED), r.sample(sorted(COLUMNS), 3)):
                batches = list(reader.scan(where, names))
                for name in names:
                    found = [value for batch in batches for value in batch[name].tolist()]
                    assert found == [COLUMNS[name].of(one) for one in spans], (where, name)
            assert [one.span_id for one in reader.spans(where)] == [one.span_id for one in spans]
            wanted = list(dict.fromkeys(one.trace_id for one in spans if any(one.trace_id)))
            assert list(reader.traces(where)) == [reader.trace(trace_id) for trace_id in wanted]


def test_a_search_for_failed_spans_reads_no_block(small_units: None) -> None:
    contents = messages(1)
    data = bytearray(archive(contents, flush=False))
    assert all(told(bytes(data)))
    for part in list(frames(bytes(data))):
        if part.kind == BLOCK:
            data[part.offset + 9 : part.end] = bytes(part.end - part.offset - 9)
    where = 'service = "cart" && status = error && duration >= 5'
    with tracezip.open(io.BytesIO(data)) as reader:
        found = [text for batch in reader.scan(where, ["span_id"]) for text in batch["span_id"]]
        assert found == [one.span_id.hex() for one in naive(contents, where)] != []
        with pytest.raises(FormatError):
            list(reader.scan(where, ["span_id", "span_attributes"]))
        with pytest.raises(FormatError):
            list(reader.scan('service = "cart" && duration >= 5', ["span_id"]))


def test_the_failed_spans_of_copied_blocks_stay_told(small_units: None, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tzip", "b.tzip", "all.tzip")]
    for seed, path in enumerate(paths[:2]):
        path.write_bytes(archive(messages(seed), flush=False))
    with mock.patch.object(merging, "_SMALL_BLOCK_SPANS", 0), paths[2].open("wb") as file:
        merger = merging.Merger(3, None)
        file.write(merger.header)
        for path in paths[:2]:
            file.writelines(merger.add(path))
        file.write(merger.end())
    units = [read_units(path) for path in paths]
    assert [in_words(unit) for unit in units[2]] == [in_words(unit) for unit in (*units[0], *units[1])]
    assert all(told(paths[2].read_bytes()))


def in_words(unit: Unit) -> object:
    assert unit.summary is not None
    failures = unit.summary.failures
    if failures is None:
        return None
    kinds = [failures.kinds[kind] for kind in failures.kind]
    return kinds, list(failures.rows), list(failures.durations), list(failures.traces), failures[5:]


# --- what is told -----------------------------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(field(2, b"sevenby"), id="short span id"),
        pytest.param(field(1, bytes(15)), id="short trace id"),
        pytest.param(field(1, bytes(16)), id="no span id"),
        pytest.param(
            field(1, bytes(16)) + field(2, bytes(8)) + fixed64(7, 5) + fixed64(8, 4), id="ends before it starts"
        ),
        pytest.param(field(1, bytes(16)) + field(2, bytes(8)) + fixed64(8, 4), id="no start"),
    ],
)
def test_failed_spans_that_columns_cannot_tell_leave_their_unit_untold(
    small_units: None, odd: bytes, backend: str
) -> None:
    contents = messages(2)
    contents[1] = in_service("cart", field(2, odd + field(15, b"\x18\x02")))
    with running(backend):
        data = archive(contents, flush=False)
    assert told(data) == [False, *[True] * (len(told(data)) - 1)]
    with tracezip.open(io.BytesIO(data)) as reader:
        for name in COLUMNS_OF_FAILED:
            found = [value for batch in reader.scan("status = error", [name]) for value in batch[name].tolist()]
            assert found == [COLUMNS[name].of(one) for one in naive(contents, "status = error")]


def test_failed_spans_with_a_text_too_long_to_be_told_are_not(small_units: None) -> None:
    contents = messages(3)
    contents[1] = in_service(
        "x" * (limits.INDEX_TEXT_BYTES + 1), span(1, random.Random(1), extra=field(15, b"\x18\x02"))
    )
    assert not told(archive(contents, flush=False))[0]


def test_an_index_tells_the_failed_spans_that_it_has_room_for() -> None:
    """Many in one unit and few in the others: with less room the unit with many is left out, and then all are."""
    r = random.Random(4)
    failed, fine = field(15, b"\x18\x02"), b""
    plain = [in_service("cart", random_span(r, failed if i < 300 or i % 50 == 0 else fine)) for i in range(1200)]
    seen = []
    for bits in (1 << 20, 48, 4):
        with mock.patch.multiple(limits, BLOCK_SPANS=300, UNIT_SPANS=300, INDEX_SPAN_BITS=bits, INDEX_PART=10**9):
            data = archive(plain, flush=False)
        seen.append(told(data))
        if any(seen[-1]):
            n_index = sum(len(part.body) for part in frames(data) if part.kind == INDEX)
            assert n_index <= 1200 * bits // 8
    assert seen == [[True] * 4, [False, True, True, True], [False] * 4]


def random_span(r: random.Random, status: bytes) -> bytes:
    ids = field(1, r.randbytes(16)) + field(2, r.randbytes(8))
    return field(2, ids + field(5, "name") + fixed64(7, START) + fixed64(8, START + r.randrange(10**9)) + status)


# --- what is wrong ----------------------------------------------------------------------------------------------------


def facts_of(data: bytes) -> tuple[dict[str, bytes], list[int]]:
    """What an index frame says of failed spans, and how many each unit has."""
    units = [unit.summary.failures for unit in read_units(data) if unit.summary is not None]
    failures = [unit for unit in units if unit is not None]
    numbers = {kind: i for i, kind in enumerate(failures[0].kinds)}
    return pack_failures(failures, numbers), [len(unit.rows) for unit in failures]


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_failed_spans_that_contradict_themselves_are_refused_or_read(small_units: None, data: st.DataObject) -> None:
    facts, n_failures = facts_of(archive(messages(5), flush=False))
    changed: dict[str, Any] = dict(facts)
    key = data.draw(st.sampled_from(sorted(facts)))
    value = bytearray(facts[key])
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    changed[key] = data.draw(st.sampled_from([None, 5, b"", "text", bytes(value), facts[key][1:], facts[key] * 9]))
    try:
        table = FailureTable(changed, [("a", "b"), ("c", None), ("d", "e")] * 4, n_failures)
        units = [table.of_unit(i, 9) for i in range(len(n_failures))]
    except FormatError:
        return
    for unit, n in zip(units, n_failures, strict=True):
        assert len(unit.rows) == len(unit.kind) == len(unit.durations) == len(unit.traces) == n
        assert all(row < 9 for row in unit.rows)
        assert all(trace * 16 < len(unit.trace_ids) for trace in unit.traces)


@pytest.mark.parametrize("n", [1 << 40, 1 << 63])
def test_more_failed_spans_than_there_are_bytes_take_no_memory(n: int) -> None:
    empty = dict.fromkeys(("kinds", "rows", "durations", "traces", "n_traces", "trace_ids", "span_ids"), b"")
    with pytest.raises(FormatError, match="span_ids"):
        FailureTable(empty, [], [n])


def test_blocks_answer_where_the_index_contradicts_itself(small_units: None) -> None:
    contents = messages(6)
    data = archive(contents, flush=False)
    with mock.patch("tracezip.index.failures.FailureTable.of_unit", side_effect=FormatError("no")):
        assert not any(told(data))
        with tracezip.open(io.BytesIO(data)) as reader:
            found = [text for batch in reader.scan("status = error", ["span_id"]) for text in batch["span_id"]]
    assert found == [one.span_id.hex() for one in naive(contents, "status = error")]
