"""Queries of archives: each agrees with the same question asked of the decoded messages."""

from __future__ import annotations

import io
import itertools
import mmap
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from archives import BLOCK, field, frames, pack
from backends import BACKENDS, DATA, NO_DATA, recorded_messages, running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_maker import Maker

import tracezip
from tracezip import limits, split
from tracezip.convert.spans import Span, read_spans
from tracezip.errors import ChecksumError, InputError, TracezipError, UsageError
from tracezip.scan import queries
from tracezip.scan.columns import COLUMNS
from tracezip.scan.messages import cut
from tracezip.where import parse

ATTRIBUTES = ["http.method", "http.status_code", "key.one", "key.two", "", "a" * 40, "service.name", "\ufffd"]
VALUES = ["200", "404", "true", "false", "1.5", '"GET /cart"', '"order 0042"', '""', '"caf\u00e9"', '"\ufffd"']


def question(r: random.Random, depth: int = 2) -> str:
    """Some expression."""
    if depth and r.randrange(3) == 0:
        joined = f" {r.choice(['&&', '||'])} ".join(question(r, depth - 1) for _ in range(r.randrange(2, 4)))
        return f"{r.choice(['', '!'])}({joined})"
    return r.choice([_of_intrinsic, _of_attribute])(r)


def _of_intrinsic(r: random.Random) -> str:
    order = r.choice(["=", "!=", "<", "<=", ">", ">="])
    return r.choice(
        [
            f"name {order} {r.choice(VALUES[5:])}",
            f'name =~ "{r.choice(["GET.*", "order 00..", ".*", ""])}"',
            f'service {r.choice(["=", "!=", "^="])} "{r.choice(["", "GET /cart", "order"])}"',
            f"kind {r.choice(['=', '!='])} {r.choice(['server', 'client', '0', '5'])}",
            f"status in ({r.choice(['error', 'ok', 'error, unset'])})",
            f'statusMessage {order} "{r.choice(["", "x"])}"',
            f"duration {order} {r.choice(['0', '1us', '-1us', '5', '1s', '-3'])}",
            f"start {order} {10**18 + r.randrange(10**9)}",
            f"end in (0, {10**18})",
            f"{r.choice(['trace_id', 'span_id', 'parent_id'])} {r.choice(['=', '!='])} nil",
            f"{r.choice(['trace_id', 'span_id', 'parent_id'])} ^= {r.choice('0123456789abcdef')}",
        ]
    )


def _of_attribute(r: random.Random) -> str:
    key = f'{r.choice(["span", "resource", ""])}."{r.choice(ATTRIBUTES)}"'
    if r.randrange(3) == 0:
        return f"{key} {r.choice(['=', '!='])} nil"
    if r.randrange(3) == 0:
        return f"{key} in ({', '.join(r.sample(VALUES, 3))})"
    value = r.choice(VALUES)
    order = r.choice(["=", "!="] if value in ("true", "false") else ["=", "!=", "<", ">="])
    return f"{key} {order} {value}"


def archive(messages: Sequence[bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with tracezip.open(file, "wb") as writer:
        for message in messages:
            writer.write(message)
    file.seek(0)
    return file


def is_otlp(message: bytes) -> bool:
    try:
        list(read_spans(message))
    except InputError:
        return False
    return True


@pytest.fixture
def small_units() -> Iterator[None]:
    """Archives of a few spans have an index of several units."""
    with mock.patch.multiple(limits, BLOCK_SPANS=3, UNIT_SPANS=5, INDEX_SPAN_BITS=1 << 20):
        yield


def assert_indexed(reader: tracezip.Reader) -> None:
    units = reader._opened().units
    assert len(units) > 1
    assert any(unit.summary for unit in units)


def some_messages(seed: int, oddity: int) -> list[bytes]:
    """Messages that are OTLP, for what is not has no meaning to compare with."""
    maker = Maker(seed, oddity)
    return list(filter(is_otlp, (maker.message() for _ in range(10))))


def in_order(spans: Iterable[Span]) -> list[str]:
    """To be compared: NaN is not equal to itself."""
    return list(map(repr, spans))


def naive(messages: Sequence[bytes], where: str) -> list[Span]:
    expression = parse(where)
    return [span for message in messages for span in read_spans(message) if expression.matches(span)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("oddity", [0, 3, 20])
@given(st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_are_those_of_a_naive_filter(small_units: None, backend: str, oddity: int, seed: int) -> None:
    messages, r = some_messages(seed, oddity), random.Random(seed)
    with running(backend), tracezip.open(archive(messages)) as reader:
        for where in [question(r) for _ in range(12)]:
            assert in_order(reader.spans(where)) == in_order(naive(messages, where)), where


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("oddity", [0, 20])
@given(st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_are_what_the_spans_say(small_units: None, backend: str, oddity: int, seed: int) -> None:
    messages, r = some_messages(seed, oddity), random.Random(seed)
    with running(backend), tracezip.open(archive(messages)) as reader:
        for names in [list(COLUMNS), r.sample(list(COLUMNS), 3), []]:
            where = question(r)
            spans, batches = naive(messages, where), list(reader.scan(where, names))
            assert sum(map(len, batches)) == len(spans)
            for name in names:
                found = [value for batch in batches for value in batch[name].tolist()]
                assert found == [COLUMNS[name].of(span) for span in spans], (where, name)


@given(st.integers(0, 2**32), st.sampled_from([0, 20]))
@settings(max_examples=25, deadline=None)
def test_what_is_found_without_decoding_all_of_a_block_is_what_the_spans_say(seed: int, oddity: int) -> None:
    """Times and values are left out where neither the question nor the columns need them, or seem to."""
    messages, r = some_messages(seed, oddity), random.Random(seed)
    without_times = [name for name in COLUMNS if name not in ("timestamp", "end_timestamp", "duration")]
    with mock.patch.multiple(limits, BLOCK_SPANS=3, UNIT_SPANS=1), tracezip.open(archive(messages)) as reader:
        for where in [question(r) for _ in range(12)]:
            spans, names = naive(messages, where), r.sample(without_times, 3)
            batches = list(reader.scan(where, names))
            for name in names:
                found = [value for batch in batches for value in batch[name].tolist()]
                assert found == [COLUMNS[name].of(span) for span in spans], (where, name)
            wanted = list(dict.fromkeys(span.trace_id for span in spans if any(span.trace_id)))
            assert list(reader.traces(where)) == [reader.trace(trace_id) for trace_id in wanted]


def span_of_number(i: int) -> bytes:
    """Twenty of each name; each ends at another time."""
    times = b"\x39" + bytes(8) + b"\x41" + bytes([i]) * 8
    return field(2, field(1, b"%016d" % i) + field(5, [b"one", b"two", b"three"][i // 20]) + times)


@pytest.mark.parametrize(
    ("where", "n_units"),
    [
        ('name = "two"', 8),
        ('name = "four"', 0),
        ("status = error", 0),
        ("duration < 0", 1),
        (f"end > {58 * 0x0101010101010101}", 1),
        (f"trace_id = {(b'%016d' % 7).hex()}", 6),
        ('service = "" && !(name = "one" || name = "two")', 8),
    ],
)
def test_units_that_cannot_match_are_not_read(small_units: None, where: str, n_units: int) -> None:
    messages = [field(1, field(2, span_of_number(i))) for i in range(60)]
    with tracezip.open(archive(messages)) as reader:
        assert_indexed(reader)
        wanted = queries.units_for(parse(where))
        assert sum(bool(wanted(unit)) for unit in reader._opened().units) <= n_units
        assert in_order(reader.spans(where)) == in_order(naive(messages, where))


def test_spans_that_end_before_they_start_are_found(small_units: None) -> None:
    spans = [field(2, b"\x39" + bytes([9 + i] * 8) + b"\x41" + bytes([5] * 8)) for i in range(30)]
    messages = [field(1, field(2, span)) for span in spans]
    with tracezip.open(archive(messages)) as reader:
        assert_indexed(reader)
        for where in (f"start > {20 * 0x0101010101010101}", "duration < -1s", f"end = {5 * 0x0101010101010101}"):
            found = list(reader.spans(where))
            assert found
            assert in_order(found) == in_order(naive(messages, where))


def everything_of(spans: Sequence[Span], trace_id: bytes) -> list[Span]:
    return [span for span in spans if span.trace_id == trace_id]


def in_any_order(spans: Iterable[Span]) -> list[str]:
    return sorted(map(repr, spans))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("oddity", [0, 20])
@given(st.integers(0, 2**32))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_trace_has_all_its_spans(small_units: None, backend: str, oddity: int, seed: int) -> None:
    messages, r = some_messages(seed, oddity), random.Random(seed)
    spans = naive(messages, "")
    ids = list(dict.fromkeys(span.trace_id for span in spans if any(span.trace_id)))
    with running(backend), tracezip.open(archive(messages)) as reader:
        assert list(reader.trace_ids()) == ids
        for trace_id in ids:
            message = reader.trace(r.choice([trace_id, trace_id.hex(), trace_id.hex().upper()]))
            assert message is not None
            assert in_any_order(read_spans(message)) == in_any_order(everything_of(spans, trace_id))
            assert trace_id in reader.trace_ids(trace_id.hex()[:5])
        assert reader.trace(b"\x01" * 16) is None
        where = question(r)
        wanted = list(dict.fromkeys(span.trace_id for span in naive(messages, where) if any(span.trace_id)))
        assert list(reader.traces(where)) == [reader.trace(trace_id) for trace_id in wanted]


def test_spans_of_a_trace_stand_together_by_resource_and_scope_in_order() -> None:
    trace_id = field(1, b"T" * 16)
    one, two = field(1, field(1, field(1, b"k") + field(2, field(1, b"a")))), field(1, b"")
    spans = [field(2, field(2, trace_id + field(5, b"%d" % i))) for i in range(4)]
    first = field(1, one + spans[0]) + field(1, two + spans[1])
    together = field(1, one + field(2, spans[0][2:] + spans[2][2:])) + field(1, two + spans[1])
    with tracezip.open(archive([first, field(1, one + spans[2])])) as reader:
        assert reader.trace(b"T" * 16) == together


def spans_of(message: bytes) -> list[bytes]:
    return [field(2, part.span) for part in cut(message)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_messages_cut_over_blocks_are_whole(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("PART_BYTES", 500), ("MAX_PART_BYTES", 900), ("BLOCK_SPANS", 3), ("BLOCK_BYTES", 900)):
        monkeypatch.setattr(limits, name, size)
    maker = Maker(5, 0)
    messages = [b"".join(maker.message() for _ in range(n)) for n in (1, 12, 1, 2)]
    scopes = [field(2, b"".join(spans_of(maker.message()))) for _ in range(8)]
    messages.append(field(1, field(1, b"") + b"".join(scopes) + field(3, b"url")))
    assert max(len(list(split.split(message, split.usual_size()))) for message in messages) > 4
    with running(backend), tracezip.open(archive([*messages, b"no OTLP at all", *messages])) as reader:
        messages *= 2
        r = random.Random(1)
        for where in ["", *(question(r) for _ in range(3))]:
            assert in_order(reader.spans(where)) == in_order(naive(messages, where)), where
        for trace_id in itertools.islice(reader.trace_ids(), 3):
            found = reader.trace(trace_id)
            assert found is not None
            assert in_any_order(read_spans(found)) == in_any_order(everything_of(naive(messages, ""), trace_id))


def test_archives_with_a_dictionary_and_others_behind_each_other() -> None:
    messages, file = some_messages(9, 0), io.BytesIO()
    dictionary = tracezip.train_dictionary(messages)
    for one in (None, dictionary, None):
        with tracezip.open(file, "wb", dictionary=one) as writer:
            for message in messages:
                writer.write(message)
    with tracezip.open(io.BytesIO(file.getvalue()), dictionary=dictionary) as reader:
        assert in_order(reader.spans("duration > 0")) == in_order(naive(messages * 3, "duration > 0"))


def test_what_is_no_otlp_has_no_spans() -> None:
    good = some_messages(1, 0)
    with tracezip.open(archive([b"\xff\xff", *good, b"{}", b""])) as reader:
        assert in_order(reader.spans()) == in_order(naive(good, ""))


def test_queries_do_not_disturb_reading_nor_each_other() -> None:
    messages = some_messages(2, 0)
    with tracezip.open(archive(messages)) as reader:
        assert next(reader) == messages[0]
        both = itertools.zip_longest(reader.spans(), reader.spans("duration >= 0"), reader.traces())
        first = [one for one, *_ in both if one is not None]
        assert in_order(first) == in_order(naive(messages, ""))
        assert reader.trace(first[0].trace_id) is not None
        assert list(reader) == messages[1:]
        assert in_order(reader.spans()) == in_order(first)


def test_a_closed_reader_and_a_file_that_cannot_seek_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    path.write_bytes(archive(some_messages(2, 0)).getvalue())
    reader = tracezip.open(path)
    assert list(reader)
    assert list(reader.spans())
    reader.close()
    with pytest.raises(UsageError, match="closed"):
        reader.trace("00")

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(InputError, match="seek"):
        tracezip.open(Pipe(path.read_bytes())).trace("00")


def test_a_memory_map_is_asked_like_a_file(tmp_path: Path) -> None:
    path, messages = tmp_path / "a.tzip", some_messages(2, 0)
    path.write_bytes(archive(messages).getvalue())
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        tracezip.open(data) as reader,
    ):
        assert in_order(reader.spans()) == in_order(naive(messages, ""))
        assert list(reader) == messages


@pytest.mark.parametrize("wrong", ["xy", "abc", 5, None])
def test_what_is_no_trace_id_is_refused(wrong: object) -> None:
    with tracezip.open(archive([])) as reader, pytest.raises(InputError, match="trace id"):
        reader.trace(wrong)  # type: ignore[arg-type]  # that is what is tested


def test_a_damaged_block_is_one_error_that_names_it_or_is_passed_over(small_units: None) -> None:
    maker = Maker(7, 0)
    messages = [maker.message() for _ in range(40)]
    data = bytearray(archive(messages).getvalue())
    frames = [at for at in range(len(data)) if data.startswith(b"\x8eTZB", at)]
    data[frames[3] + 30] ^= 1
    with tracezip.open(io.BytesIO(data)) as reader, pytest.raises(ChecksumError, match=f"at byte {frames[3]}"):
        list(reader.spans())
    with tracezip.open(io.BytesIO(data), skip_damage=True) as reader:
        found = list(reader.spans())
        assert [damage.offset for damage in reader.damages] == [frames[3]]
        readable = list(reader)
    assert in_order(found) == in_order(naive(readable, ""))
    assert 0 < len(found) < len(naive(messages, ""))


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_whatever_bytes_are_changed_a_query_ends_in_spans_or_one_clear_error(seed: int) -> None:
    r = random.Random(seed)
    data = bytearray(archive(some_messages(seed, 5)).getvalue())
    for _ in range(r.randrange(1, 4)):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    for skips in (False, True):
        try:
            with tracezip.open(io.BytesIO(data), skip_damage=skips) as reader:
                list(reader.spans("duration > 5"))
                list(reader.traces())
        except TracezipError:
            pass


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_block_that_is_wrong_under_a_right_checksum_ends_a_query_in_one_error_that_names_it(seed: int) -> None:
    """Also where what is wrong was left out at first."""
    r = random.Random(seed)
    with mock.patch.multiple(limits, BLOCK_SPANS=3, UNIT_SPANS=1):
        parts = list(frames(archive(some_messages(seed, 0)).getvalue()))
    number = r.choice([i for i, part in enumerate(parts) if part.kind == BLOCK])
    body = bytearray(parts[number].body)
    body[r.randrange(len(body) // 2, len(body))] ^= 1 << r.randrange(8)
    parts[number] = parts[number]._replace(body=bytes(body))
    errors = []
    for where, names in (("kind = 3", ["span_name"]), ("duration >= 0", ["duration", "span_attributes"])):
        with tracezip.open(io.BytesIO(pack(parts))) as reader:
            try:
                list(reader.scan(where, names))
            except TracezipError as error:
                errors.append(error)
    assert {error.offset for error in errors} <= {parts[number].offset}
    assert all(f"at byte {parts[number].offset}" in str(error) for error in errors)


@pytest.mark.skipif(not DATA, reason=NO_DATA)
@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_recorded_traces_give_the_spans_of_a_naive_filter(path: Path) -> None:
    messages = []
    for message in recorded_messages(path):
        messages.append(message)
        if sum(map(len, messages)) > 4_000_000:
            break
    spans = list(itertools.chain.from_iterable(map(read_spans, messages)))
    middle = spans[len(spans) // 2]
    key = next(iter(middle.attributes), "x")
    with tracezip.open(archive(messages)) as reader:
        for where in (
            f'service = "{middle.service_name}" && duration > {max(middle.duration_ns, 0)}',
            f'name ^= "{middle.name[:3]}" && !(status = error)',
            f'span."{key}" != nil || kind = client',
            f"start >= {middle.start_ns} && parent_id != nil",
            f"trace_id = {middle.trace_id.hex()}",
        ):
            expression = parse(where)
            assert in_order(reader.spans(where)) == in_order(filter(expression.matches, spans)), where
        message = reader.trace(middle.trace_id)
        assert message is not None
        assert in_any_order(read_spans(message)) == in_any_order(everything_of(spans, middle.trace_id))
