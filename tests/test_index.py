"""The index of an archive: what it says is so, whatever is written, and whatever becomes of the file."""

from __future__ import annotations

import io
import itertools
import mmap
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from archives import END, INDEX, MESSAGES, Frame, archive, chained, field, frames, message, pack, span, varint
from backends import BACKENDS, DATA, NO_DATA, first_spans, recorded_messages, running
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_maker import Maker, fixed64

import tracezip
from tracezip import limits
from tracezip.convert.spans import STATUS_ERROR, Span, read_spans
from tracezip.index import Unit, read_units, scan_units

backends = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(autouse=True)
def small_units() -> Iterator[None]:
    """Blocks, units and index frames hold little, but all failed spans."""
    with mock.patch.multiple(limits, BLOCK_SPANS=6, UNIT_SPANS=12, INDEX_UNITS=3, INDEX_SPAN_BITS=1 << 20):
        yield


def spans_of(data: bytes, unit: Unit) -> list[Span]:
    """The spans that a unit holds, from its blocks alone."""
    blocks = [part for part in frames(data) if unit.offset <= part.offset < unit.end]
    assert blocks[0].offset == unit.offset
    assert blocks[-1].end == unit.end
    assert len(blocks) == unit.n_blocks
    alone = data[: next(frames(data)).end] + data[unit.offset : unit.end]
    messages: list[bytes] = []
    with pytest.raises(tracezip.TruncatedError), tracezip.open(io.BytesIO(alone)) as reader:
        messages.extend(reader)
    return [one for content in messages for one in read_spans(content)]


def duration(one: Span) -> int:
    return max(one.end_ns - one.start_ns, 0)


def rounds_up(stated: int, true: int) -> bool:
    return true <= stated <= true + true // 4


def check_pairs(unit: Unit, spans: Sequence[Span]) -> None:
    assert unit.summary is not None
    assert sum(pair.n_spans for pair in unit.summary.pairs) == len(spans)
    left = list(spans)
    for pair in sorted(unit.summary.pairs, key=lambda pair: (pair.service is None) + (pair.name is None)):
        of_pair = [s for s in left if pair.service in (None, s.service_name) and pair.name in (None, s.name)]
        left = [s for s in left if s not in of_pair]
        errors = [s for s in of_pair if s.status_code == STATUS_ERROR]
        assert (pair.n_spans, pair.n_errors) == (len(of_pair), len(errors))
        assert rounds_up(pair.max_duration, max(map(duration, of_pair)))
        assert rounds_up(pair.max_error_duration, max(map(duration, errors), default=0))
    assert not left


def check_failures(unit: Unit, spans: Sequence[Span]) -> None:
    assert unit.summary is not None
    failures = unit.summary.failures
    if failures is None:
        return
    failed = [(row, s) for row, s in enumerate(spans) if s.status_code == STATUS_ERROR]
    assert list(failures.rows) == [row for row, _ in failed]
    assert list(failures.durations) == [s.end_ns - s.start_ns for _, s in failed]
    assert [failures.kinds[kind] for kind in failures.kind] == [(s.service_name, s.name) for _, s in failed]
    assert [failures.trace_ids[16 * i : 16 * i + 16] for i in failures.traces] == [s.trace_id for _, s in failed]
    assert failures.span_ids == b"".join(s.span_id for _, s in failed)


def check_traces(unit: Unit, spans: Sequence[Span]) -> None:
    assert unit.summary is not None
    last = {s.trace_id: row for row, s in enumerate(spans)}
    for trace_id, row in last.items():
        last = unit.summary.last_sixteenth(trace_id)
        assert last is not None
        assert last >= 16 * row // len(spans) + 1
    r = random.Random(1)
    n_false = sum(unit.summary.last_sixteenth(r.randbytes(16)) is not None for _ in range(200))
    assert n_false < 100


def check_unit(data: bytes, unit: Unit) -> None:
    """What the index says of a unit is what its spans say."""
    summary = unit.summary
    if summary is None:
        return
    try:
        spans = spans_of(data, unit)
    except tracezip.InputError:  # an event or an attribute is no protobuf: nothing can be compared
        return
    assert len(spans) == unit.n_spans
    assert summary.n_errors == sum(s.status_code == STATUS_ERROR for s in spans)
    if spans:
        durations = [duration(s) for s in spans]
        assert summary.min_start == min(s.start_ns for s in spans)
        assert summary.max_end == max(s.end_ns for s in spans)
        assert (summary.min_duration, summary.max_duration) == (min(durations), max(durations))
    check_pairs(unit, spans)
    check_failures(unit, spans)
    check_traces(unit, spans)


def places(units: Sequence[Unit]) -> list[tuple[int, int, int, int]]:
    return [(unit.offset, unit.n_bytes, unit.n_blocks, unit.n_spans) for unit in units]


def facts(unit: Unit) -> object:
    summary = unit.summary
    if summary is None:
        return None
    failures = summary.failures
    told = failures and (*map(list, failures[1:5]), *failures[5:])
    return summary.n_errors, summary.bounds, summary.pairs, bytes(summary.trace_filter.data), told


def services(data: bytes) -> set[str | None]:
    summaries = [unit.summary for unit in read_units(data)]
    return {pair.service for summary in summaries if summary is not None for pair in summary.pairs}


def many(n: int = 60) -> list[bytes]:
    return [message(number, 3, f"GET /{number % 5}") for number in range(n)]


# --- what it says -----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 0, 2, 10, 30]), st.integers(1, 40))
def test_the_index_says_what_the_spans_say(seed: int, oddity: int, n_messages: int) -> None:
    maker = Maker(seed, oddity)
    data = archive([maker.message() for _ in range(n_messages)], flush=False)
    units = read_units(data)
    assert sum(unit.n_spans for unit in units) == tracezip.info(io.BytesIO(data))["spans"]
    for unit in units:
        check_unit(data, unit)


@pytest.mark.skipif(not DATA, reason=NO_DATA)
@pytest.mark.parametrize("path", DATA, ids=[path.stem for path in DATA])
def test_the_index_of_recorded_traces_says_what_their_spans_say(path: Path) -> None:
    with mock.patch.multiple(limits, BLOCK_SPANS=200, UNIT_SPANS=300):
        data = archive(first_spans(recorded_messages(path), 3000), flush=False)
        units = read_units(data)
    assert any(unit.summary is not None for unit in units) or len(units) == 1
    for unit in units:
        check_unit(data, unit)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 5, 30]))
def test_both_backends_sum_up_the_same(seed: int, oddity: int) -> None:
    maker = Maker(seed, oddity)
    messages = [maker.message() for _ in range(12)]
    made = []
    for backend in BACKENDS:
        with running(backend):
            made.append(archive(messages, flush=False))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(field(2, b"\xff" * 9), id="span that is no message"),
        pytest.param(field(2, span(1) + field(5, "again")), id="two names"),
        pytest.param(field(2, span(1) + field(1, bytes(16))), id="two trace ids"),
        pytest.param(field(2, span(1) + fixed64(7, 5)), id="two starts"),
        pytest.param(field(2, span(1) + field(15, b"\x18\x02") + field(15, b"\x18\x01")), id="two statuses"),
        pytest.param(field(2, span(1) + field(15, b"\x18\x82\x80\x00")), id="status with a long number"),
    ],
)
@backends
def test_of_spans_that_leave_open_what_they_say_nothing_is_said(odd: bytes, backend: str) -> None:
    messages = many(12)
    messages[1] = field(1, field(2, odd))
    with running(backend):
        units = read_units(archive(messages, flush=False))
    assert [unit.summary is None for unit in units] == [True, *[False] * (len(units) - 1)]


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param([field(1, "service.name") + field(2, field(1, name)) for name in "ab"], id="two services"),
        pytest.param([field(1, "service.name") + field(2, b"\x18\x05")], id="a number"),
        pytest.param([field(2, field(1, "a")) + field(1, "service.name")], id="the value first"),
    ],
)
@backends
def test_of_resources_that_leave_open_what_they_say_nothing_is_said(resource: list[bytes], backend: str) -> None:
    messages = many(12)
    attributes = b"".join(field(1, attribute) for attribute in resource)
    messages[1] = field(1, field(1, attributes) + field(2, field(2, span(1))))
    with running(backend):
        units = read_units(archive(messages, flush=False))
    assert [unit.summary is None for unit in units] == [True, *[False] * (len(units) - 1)]


@backends
def test_a_span_without_service_and_name_and_trace_id_is_counted_as_such(backend: str) -> None:
    bare = field(1, field(2, field(2, fixed64(7, 10**18))))
    with running(backend):
        data = archive([bare, *many(12)], flush=False)
    unit = read_units(data)[0]
    assert unit.summary is not None
    assert [(pair.service, pair.name) for pair in unit.summary.pairs if not pair.service] == [("", "")]
    assert unit.summary.last_sixteenth(b"") in (1, 2, 4)  # the first place of 16, 8 or 4
    check_unit(data, unit)


def test_rare_names_are_told_by_their_services_and_rare_services_together() -> None:
    def contents(n_services: int) -> Iterator[bytes]:
        for number in range(3000):
            name = field(1, "service.name") + field(2, field(1, f"service {number % n_services}"))
            yield field(1, field(1, field(1, name)) + field(2, field(2, span(number, f"name {number}"))))

    with mock.patch.multiple(limits, BLOCK_SPANS=1500, UNIT_SPANS=1500):
        few, several = (archive(contents(n), flush=False) for n in (3, 1000))
    for data in (few, several):
        for unit in read_units(data):
            assert unit.summary is not None
            assert len(unit.summary.pairs) <= 2 * limits.INDEX_PAIRS + 1
            check_pairs(unit, spans_of(data, unit))
    assert services(few) == {f"service {i}" for i in range(3)}
    assert None in services(several)


def test_the_wrapped_parts_of_a_message_keep_their_service_and_large_resources_are_unknown() -> None:
    spans = b"".join(field(2, span(i)) for i in range(60))
    for filling, is_known in ((b"", True), (field(1, "key") + field(2, field(1, "x" * 400)), False)):
        resource = field(1, field(1, "service.name") + field(2, field(1, "cart"))) + field(1, filling) * bool(filling)
        with mock.patch.multiple(limits, PART_BYTES=300, MAX_CONTEXT_BYTES=100):
            data = archive([field(1, field(1, resource) + field(2, spans))], flush=False)
        units = read_units(data)
        assert len(units) > 2
        assert all((unit.summary is not None) is is_known for unit in units[1:])
        if is_known:
            assert services(data) == {"cart"}


def test_of_a_large_resource_in_two_pieces_nothing_is_said() -> None:
    pieces = [field(1, field(1, field(1, "service.name") + field(2, field(1, name)))) for name in ("cart", "shop")]
    spans = [field(2, b"".join(field(2, span(k)) for k in range(20))) for _ in range(2)]
    content = field(1, pieces[0] + spans[0] + pieces[1] + spans[1])
    with mock.patch.object(limits, "PART_BYTES", 300):
        data = archive([content, *many(12)], flush=False)
    assert next(tracezip.open(io.BytesIO(data))) == content
    assert None in [unit.summary for unit in read_units(data)]
    assert "cart" not in services(data)


@pytest.mark.skipif(not DATA, reason=NO_DATA)
@pytest.mark.parametrize("name", ["hipstershop", "astronomy", "trainticket", "shop-capture"])
def test_the_index_takes_two_hundredths_or_a_quarter_of_a_byte_a_span(name: str) -> None:
    path = next((path for path in DATA if path.name == f"{name}.otlp.zst"), None)
    if path is None:
        pytest.skip(f"no {name} in TRACEZIP_DATA")
    with mock.patch.multiple(limits, BLOCK_SPANS=1 << 14, UNIT_SPANS=1 << 13, INDEX_UNITS=1 << 8, INDEX_SPAN_BITS=2):
        data = archive(recorded_messages(path), flush=False)
        units = read_units(data)
    assert all(unit.summary is not None for unit in units)
    n_index = sum(part.end - part.offset for part in frames(data) if part.kind == INDEX)
    assert n_index <= max(len(data) // 50, sum(unit.n_spans for unit in units) // 4)


# --- where it is ------------------------------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_index_is_the_same_for_any_number_of_threads(threads: int, backend: str) -> None:
    with running(backend):
        assert archive(many(), flush=False, threads=threads) == archive(many(), flush=False)


def test_units_are_whole_restart_groups_that_cover_the_stream() -> None:
    for flush in (False, True):
        data = archive(many(), flush=flush)
        units = read_units(data)
        blocks = [part for part in frames(data) if part.kind == 0x42]
        assert sum(unit.n_blocks for unit in units) == len(blocks)
        assert all(unit.n_spans >= 12 for unit in units[:-1])
        assert places(units) == places(scan_units(data))
        assert [facts(unit) for unit in units] == [facts(unit) for unit in scan_units(data)]
        assert sum(part.kind == INDEX for part in frames(data)) == -(-len(units) // 3)


def test_info_says_what_the_index_takes() -> None:
    data = archive(many(), flush=False)
    n_index = sum(part.end - part.offset for part in frames(data) if part.kind == INDEX)
    assert tracezip.info(io.BytesIO(data))["bytes_by_part"]["index"] == n_index > 0


def test_what_is_small_or_no_file_has_no_index() -> None:
    for data in (archive(MESSAGES[:2], flush=False), tracezip.compress(b"".join(many())), b"".join(chained(many()))):
        assert INDEX not in {part.kind for part in frames(data)}
        units = read_units(data)
        assert sum(unit.n_spans for unit in units) == tracezip.info(io.BytesIO(data))["spans"]
        assert all(unit.summary is None for unit in units)
    assert read_units(archive([])) == []


def test_concatenated_and_appended_archives_have_the_units_of_all(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    several = [archive(many(30), flush=False), archive([]), archive(MESSAGES[:1]), tracezip.compress(many(1)[0])]
    for first, second in itertools.product(several, repeat=2):
        units = read_units(first + second)
        moved = [(offset + len(first), *rest) for offset, *rest in places(read_units(second))]
        assert places(units) == [*places(read_units(first)), *moved]
        path.write_bytes(first)
        with tracezip.open(path, "ab") as writer:
            for content in many(30):
                writer.write(content)
        units = read_units(path)
        assert [facts(unit) for unit in units[-8:]] == [facts(unit) for unit in read_units(several[0])[-8:]]


class Remote(io.RawIOBase):
    """Has what fsspec's files have, and counts what is read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.n_read = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._data.seek(offset, whence)

    def tell(self) -> int:
        return self._data.tell()

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._data.read(min(n_bytes, 100))
        self.n_read += len(data)
        return data


def test_units_come_from_a_path_an_open_file_bytes_and_memory_maps(tmp_path: Path) -> None:
    data, path = archive(many(), flush=False), tmp_path / "a.tzip"
    path.write_bytes(data)
    expected = places(read_units(data))
    assert places(read_units(path)) == places(read_units(str(path))) == places(read_units(memoryview(data))) == expected
    with path.open("rb") as file:
        assert places(read_units(file)) == expected
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert places(read_units(mapped)) == expected


def test_little_more_than_the_end_is_read() -> None:
    noise = random.Random(1)
    data = archive([field(1, field(2, field(2, span(i) + field(9, noise.randbytes(500))))) for i in range(99)])
    remote = Remote(data)
    assert places(read_units(remote)) == places(read_units(data))
    assert remote.n_read < sum(p.end - p.offset for p in frames(data) if p.kind == INDEX) + 1000 < len(data) / 3


def test_a_file_that_cannot_seek_is_refused_with_a_reason() -> None:
    class Pipe(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation("seek")

    for source in (Pipe(archive(many())), object()):
        with pytest.raises(tracezip.InputError, match="cannot seek"):
            read_units(source)


# --- what can become of it --------------------------------------------------------------------------------------------


def covered(units: Sequence[Unit]) -> int:
    return sum(unit.n_blocks for unit in units)


def test_without_its_end_a_file_has_the_units_of_its_whole_blocks() -> None:
    data = archive(many(), flush=False)
    n_blocks = 0
    for part in frames(data):
        units = read_units(data[: part.end])
        n_blocks += part.kind == 0x42
        assert covered(units) == n_blocks
        assert covered(read_units(data[: part.end - 1])) == n_blocks - (part.kind == 0x42)


def test_an_index_frame_that_is_cut_off_or_changed_is_not_believed() -> None:
    data = archive(many(), flush=False)
    for part in frames(data):
        if part.kind == INDEX:
            for at in range(part.offset, part.end, 7):
                changed = bytearray(data)
                changed[at] ^= 0x10
                units = read_units(bytes(changed))
                assert covered(units) == covered(read_units(data))
                assert {unit.summary is None for unit in units} == {True, False}


@pytest.mark.parametrize("noise", [b"\0", b"\xff", b"\x8eTZB"])
def test_of_a_block_that_is_overwritten_only_that_is_lost(noise: bytes) -> None:
    data = archive(many(), flush=False)
    for part in frames(data):
        if part.kind == 0x42:
            size = part.end - part.offset
            changed = data[: part.offset] + (noise * size)[:size] + data[part.end :]
            assert covered(read_units(changed)) == covered(read_units(data))  # from the end nobody sees it
            found = scan_units(changed)
            assert covered(found) == covered(read_units(data)) - 1
            assert sum(unit.summary is None for unit in found) <= 2


def test_a_wrong_length_costs_only_its_own_frame() -> None:
    data = archive(many(), flush=False)
    for part in list(frames(data))[1:-1]:
        changed = bytearray(data)
        changed[part.offset + 4] ^= 0x08
        found = scan_units(bytes(changed))
        assert covered(found) == covered(read_units(data)) - (part.kind == 0x42)


def with_index(data: bytes, body: bytes, *, moved: int = 0) -> bytes:
    """The archive with another body in its last index frame; its checksums are right."""
    parts = list(frames(data))
    index = max(i for i, part in enumerate(parts) if part.kind == INDEX)
    parts[index] = Frame(INDEX, body, 0, 0)
    before = pack(parts[:index])
    counts, rest = [], parts[-1].body
    for _ in range(4):
        n = next(i for i, byte in enumerate(rest) if byte < 0x80) + 1
        counts.append(rest[:n])
        rest = rest[n:]
    whole = pack(parts[: index + 1])
    end = b"".join(counts) + varint(len(whole)) + varint(len(whole) - len(before) + moved)
    return whole + pack([Frame(END, end, 0, 0)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_index_that_lies_under_a_right_checksum_never_makes_a_reader_crash(data: st.DataObject) -> None:
    good = archive(many(25), flush=False)
    body = bytearray(next(part.body for part in reversed(list(frames(good))) if part.kind == INDEX))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    units = read_units(with_index(good, bytes(body), moved=data.draw(st.sampled_from([0, 0, 1, 10**9]))))
    for unit in units:
        if unit.summary is not None:
            assert unit.summary.last_sixteenth(bytes(16)) in (None, *range(1, 17))
            assert isinstance(unit.summary.pairs, list)
            assert unit.summary.failures is None or unit.summary.failures.rows is not None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_have_units_or_are_refused(noise: bytes, at: int) -> None:
    good = archive(many(8))
    for data in (noise, good[:at] + noise + good[at:], good + noise, noise + good):
        try:
            units = read_units(data)
        except tracezip.TracezipError:
            continue
        assert all(0 <= unit.offset <= unit.end <= len(data) for unit in units)
