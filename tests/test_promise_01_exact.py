"""Promise 1: `decompress(compress(x)) == x`, byte for byte, for every byte string given as OTLP protobuf."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
from archives import field, message, varint
from backends import BACKENDS, DATA, NO_DATA, assert_exact, first_spans, recorded_messages, running, through_open
from full_trace import full_trace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from otlp_maker import Maker, fixed64, overlong
from otlp_oracle import messages as protobuf_messages

import tracezip

REFERENCE_SPANS = 200
"""Of each recorded file, for the slow reference."""

options = st.tuples(st.sampled_from([1, 3, 9]), st.sampled_from([1, 2, 5]))
"""Level and dictionary threshold."""
backends = pytest.mark.parametrize("backend", BACKENDS)


def quick(n_examples: int) -> settings:
    return settings(max_examples=n_examples, deadline=None, suppress_health_check=list(HealthCheck))


def wrapped(*spans: bytes) -> bytes:
    """A message of these spans, with a resource and a scope."""
    resource = field(1, field(1, field(1, "service.name") + field(2, field(1, "checkout"))))
    return field(1, resource + field(2, field(1, field(1, "tests")) + b"".join(field(2, span) for span in spans)))


def attribute(key: bytes | str, any_value: bytes) -> bytes:
    """The content of a KeyValue."""
    return field(1, key) + field(2, any_value)


SPAN = field(1, bytes(range(16))) + field(2, bytes(range(8))) + field(5, "GET /cart") + fixed64(7, 10**18)


def assert_exact_in_both(*contents: bytes) -> None:
    for backend in BACKENDS:
        with running(backend):
            assert_exact(contents)


# --- any bytes --------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=200), max_size=4), options)
@quick(150)
def test_any_bytes_come_back(messages: list[bytes], level_and_threshold: tuple[int, int]) -> None:
    assert_exact(messages, *level_and_threshold)


@given(st.lists(st.binary(max_size=60), max_size=2), options)
@quick(25)
def test_any_bytes_come_back_from_the_reference(messages: list[bytes], level_and_threshold: tuple[int, int]) -> None:
    with running("reference"):
        assert_exact(messages, *level_and_threshold)


@given(st.binary(max_size=60), st.integers(0, 4))
@quick(150)
def test_any_bytes_at_any_depth_of_a_message_come_back(data: bytes, depth: int) -> None:
    for number in (1, 2, 2, 9, 2)[:depth][::-1]:
        data = field(number, data)
    assert_exact([data, data])


@pytest.mark.parametrize("n_bytes", [1, 2])
def test_all_short_messages_come_back(n_bytes: int) -> None:
    every = [bytes(content) for content in product(range(256), repeat=n_bytes)][:: 1 if n_bytes == 1 else 7]
    assert through_open(every) == every


@backends
def test_nothing_comes_back_as_nothing(backend: str) -> None:
    with running(backend):
        assert_exact([b"", b"", b""])
        assert_exact([])


# --- generated OTLP ---------------------------------------------------------------------------------------------------


@given(st.lists(protobuf_messages(), min_size=1, max_size=2), options)
@quick(120)
def test_protobuf_messages_of_every_field_come_back(
    traces: list[TracesData], level_and_threshold: tuple[int, int]
) -> None:
    assert_exact([trace.SerializeToString() for trace in traces], *level_and_threshold)
    assert tracezip.decompress(tracezip.compress(traces[0])) == traces[0].SerializeToString()


@given(protobuf_messages(), options)
@quick(15)
def test_protobuf_messages_of_every_field_come_back_from_the_reference(
    trace: TracesData, level_and_threshold: tuple[int, int]
) -> None:
    with running("reference"):
        assert_exact([trace.SerializeToString()], *level_and_threshold)


@given(st.integers(0, 2**32), st.sampled_from([0, 5, 30]), st.integers(1, 12), options)
@quick(120)
def test_odd_and_not_quite_legal_messages_come_back(
    seed: int, oddity: int, n_messages: int, level_and_threshold: tuple[int, int]
) -> None:
    maker = Maker(seed, oddity)
    assert_exact([maker.message() for _ in range(n_messages)], *level_and_threshold)


@given(st.integers(0, 2**32), options)
@quick(15)
def test_odd_and_not_quite_legal_messages_come_back_from_the_reference(
    seed: int, level_and_threshold: tuple[int, int]
) -> None:
    with running("reference"):
        maker = Maker(seed, 30)
        assert_exact([maker.message() for _ in range(3)], *level_and_threshold)


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@quick(150)
def test_messages_that_were_changed_anywhere_come_back(seed: int, damage: int) -> None:
    r, content = random.Random(damage), bytearray(Maker(seed, 2).message() or b"\x0a\x00")
    for _ in range(r.randint(1, 4)):
        at = r.randrange(len(content) + 1)
        content[at : at + r.randrange(3)] = r.randbytes(r.randrange(3))
    assert_exact([bytes(content), bytes(content[: r.randrange(len(content) + 1)])])


# --- every field, one by one ------------------------------------------------------------------------------------------


def every_any_value() -> list[AnyValue]:
    """Each kind, alone, and all of them inside arrays and maps inside each other."""
    integers = [0, 1, -1, 127, 128, 2**31, 2**63 - 1, -(2**63)]
    doubles = [0.0, -0.0, 0.1, 1e308, 5e-324, float("inf"), float("-inf")]
    values = [AnyValue(), *(AnyValue(string_value=text) for text in ("", "x", "é" * 70, "1f" * 16, "0007"))]
    values += [AnyValue(int_value=number) for number in integers] + [AnyValue(double_value=v) for v in doubles]
    values += [
        AnyValue(bool_value=False),
        AnyValue(bool_value=True),
        AnyValue(bytes_value=b""),
        AnyValue(bytes_value=b"\xff"),
    ]
    values += [AnyValue(string_value_strindex=0), AnyValue(string_value_strindex=7)]
    for _ in range(2):
        whole = AnyValue()
        whole.array_value.values.extend(values)
        mapping = AnyValue()
        mapping.kvlist_value.values.extend(KeyValue(key=f"k{i}", value=value) for i, value in enumerate(values))
        values += [AnyValue(array_value=ArrayValue()), AnyValue(kvlist_value=KeyValueList()), whole, mapping]
    return values


@backends
def test_every_kind_of_value_comes_back_alone_and_nested(backend: str) -> None:
    values = every_any_value()
    spans = [SPAN + field(9, attribute("key", value.SerializeToString())) for value in values]
    with running(backend):
        assert_exact([wrapped(*spans), wrapped(*spans[::-1])])


@backends
def test_every_field_of_the_protocol_comes_back(backend: str) -> None:
    trace = full_trace()
    with running(backend):
        assert_exact([trace.SerializeToString(), b"", trace.SerializeToString() * 2])


def test_every_field_of_the_protocol_can_be_missing_or_empty() -> None:
    """Each optional thing of a full message, taken out or emptied, one at a time; the newest fields are among them."""
    variants = []
    for path in fields_below(full_trace(), ()):
        for how in ("clear", "empty"):
            trace = full_trace()
            parent: Any = trace
            for step in path[:-1]:
                parent = parent[step] if isinstance(step, int) else getattr(parent, step)
            parent.ClearField(path[-1])
            if how == "empty" and parent.DESCRIPTOR.fields_by_name[path[-1]].message_type:
                child = getattr(parent, path[-1])
                child.add() if hasattr(child, "add") else child.SetInParent()
            variants.append(trace.SerializeToString())
    assert len(set(variants)) > 60
    assert_exact(variants)


def fields_below(trace: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths to all fields that are set."""
    for descriptor, value in trace.ListFields():
        here = (*path, descriptor.name)
        yield here
        if descriptor.message_type:
            for index, child in enumerate(value) if hasattr(value, "add") else [(None, value)]:
                yield from fields_below(child, here if index is None else (*here, index))


def test_unknown_fields_come_back_wherever_they_stand() -> None:
    unknown = [
        b"\xf8\x3f\x05", fixed64(1023, 7), field(1023, b"later"), varint(1023 << 3 | 5) + b"abcd",
        varint(1023 << 3 | 3) + b"\x08\x01" + varint(1023 << 3 | 4), varint((1 << 29) - 1 << 3) + b"\x00",
    ]  # fmt: skip
    for extra in unknown:
        value = field(9, attribute("k", b"\x18\x01" + extra) + extra)
        event, link = field(11, fixed64(1, 10**18) + extra), field(13, field(1, b"t" * 16) + extra)
        span = extra + SPAN + value + extra + event + link + field(15, b"\x18\x02" + extra) + extra
        scope = field(1, field(1, "s") + extra) + extra + field(2, span) * 2 + extra
        assert_exact_in_both(extra + field(1, field(1, extra) + field(2, scope) + extra) + extra, wrapped(span))


# --- other wire forms -------------------------------------------------------------------------------------------------


def test_empty_sub_messages_as_go_writes_them_come_back_and_cost_little() -> None:
    """Go's encoder writes a status, a resource and a scope that have nothing in them."""
    spans = [SPAN[:-8] + struct.pack("<Q", 10**18 + i) + field(15, b"") for i in range(200)]
    go = field(1, field(1, b"") + field(2, field(1, b"") + b"".join(field(2, span) for span in spans)))
    plain = field(1, field(2, b"".join(field(2, span[:-2]) for span in spans)))
    assert_exact_in_both(go)
    assert len(tracezip.compress(go)) < len(tracezip.compress(plain)) + 40


def test_fields_in_any_order_come_back() -> None:
    parts = [
        field(1, b"t" * 16), field(2, b"s" * 8), field(4, b"p" * 8), field(9, attribute("k", field(1, "v"))),
        fixed64(7, 10**18), field(11, fixed64(1, 10**18 + 1)),
    ]  # fmt: skip
    spans = [b"".join(order) for order in permutations(parts)]
    assert_exact([wrapped(*spans)])
    scopes = [field(1, field(1, "s")), field(2, SPAN), field(3, "url"), field(2, SPAN + b"\x30\x02")]
    scope_spans = [b"".join(order) for order in permutations(scopes)]
    assert_exact_in_both(*(field(1, field(2, scope)) for scope in scope_spans))
    assert_exact_in_both(*(field(1, field(2, scope) + field(1, b"") + field(2, scope)) for scope in scope_spans))


def test_fields_that_stand_twice_come_back() -> None:
    for part in (
        SPAN[:18],
        SPAN[18:28],
        field(5, "a"),
        fixed64(7, 1),
        fixed64(8, 2),
        b"\x30\x02",
        field(15, b"\x18\x01"),
    ):
        assert_exact_in_both(wrapped(SPAN + part * 2, part + SPAN, part * 3))
    twice = field(1, "k") + field(2, field(1, "v")) * 2
    assert_exact_in_both(wrapped(SPAN + field(9, twice) * 3), field(1, field(1, b"") * 2 + field(1, field(9, twice))))


def test_attributes_with_the_same_key_come_back() -> None:
    pairs = [attribute("same", b"\x18" + varint(i % 3)) for i in range(12)]
    assert_exact_in_both(wrapped(*(SPAN + b"".join(field(9, pair) for pair in pairs[: i + 1]) for i in range(12))))


def test_varints_that_are_longer_than_need_be_come_back() -> None:
    long_tag = overlong(5 << 3 | 2) + b"\x01a"
    long_size = varint(5 << 3 | 2) + overlong(1) + b"a"
    long_value = b"\x30\x82\x80\x80\x00"
    eleven_bytes = b"\x30" + b"\x80" * 10 + b"\x01"
    beyond_64_bits = b"\x30" + b"\xff" * 9 + b"\x7f"
    for part in (long_tag, long_size, long_value, eleven_bytes, beyond_64_bits):
        assert_exact_in_both(wrapped(SPAN + part, SPAN), field(1, part), part)
    inner = wrapped(SPAN)
    for padding in range(1, 9):
        size = varint(len(inner) | 1 << 7 * (padding + 1))[:-1] + b"\x00"
        assert_exact_in_both(b"\x0a" + size + inner)


@pytest.mark.parametrize("n_bytes", [0, 1, 4, 7, 8, 9, 15, 16, 17, 24, 300])
def test_ids_of_any_length_come_back(n_bytes: int) -> None:
    ids = [bytes([i]) * n_bytes for i in (0, 1, 255)]
    spans = [
        field(1, one) + field(2, two) + field(4, one) + field(13, field(1, two) + field(2, one))
        for one, two in product(ids, ids)
    ]
    assert_exact_in_both(wrapped(*spans, *spans))


def test_strings_that_are_not_utf_8_come_back() -> None:
    texts = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"a\x00b", b"\xf8\x88\x80\x80\x80", bytes(range(256)), b"id=\xff42"]
    spans = [field(3, text) + field(5, text) + field(9, attribute(text, field(1, text))) for text in texts * 3]
    assert_exact_in_both(wrapped(*(SPAN[:28] + span for span in spans)))


def test_payloads_of_nan_come_back() -> None:
    patterns = [0x7FF8 << 48, 0x7FF8 << 48 | 1, 0xFFF8 << 48, 0x7FF0 << 48 | 1, (1 << 64) - 1, 1 << 63, 0x7FF0 << 48]
    assert_exact_in_both(wrapped(*(SPAN + field(9, attribute("x", fixed64(4, bits))) for bits in patterns * 2)))


def test_times_at_all_edges_come_back() -> None:
    edges = [0, 1, 10**9, 10**18, 2**63 - 1, 2**63, 2**64 - 1]
    times = [fixed64(7, start) + fixed64(8, end) for start, end in product(edges, edges)]
    events = [field(11, fixed64(1, edge)) for edge in edges]
    assert_exact_in_both(wrapped(*(SPAN[:28] + time + b"".join(events) for time in times)))


def test_texts_with_numbers_in_them_come_back() -> None:
    """Digits, hexadecimal digits and UUIDs are kept in binary: the edges of each."""
    texts = ["0", "00", "007", "9" * 18, "9" * 19, "9" * 20, "18446744073709551615", "18446744073709551616", "-1", "+1"]
    texts += [
        "a" * 15,
        "a" * 16,
        "a" * 17,
        "A" * 16,
        "aA" * 16,
        "0x1f",
        "1e5",
        "1.50",
        "1f" * 300,
        "deadbeef",
        "DEADBEEF",
    ]
    texts += [
        "123e4567-e89b-12d3-a456-426614174000",
        "123E4567-E89B-12D3-A456-426614174000",
        "123e4567-e89b-12d3-a456-42661417400",
    ]
    both = [*texts, *(f"id={text};" for text in texts), *(f"{text}/{text}" for text in texts)]
    assert_exact_in_both(wrapped(*(SPAN + field(9, attribute("id", field(1, text))) for text in both * 2)))


# --- very much --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [10, 100, 1000, 20_000])
def test_values_nested_deeply_come_back(depth: int) -> None:
    inner = [b"\x18\x01"]
    size = len(inner[0])
    for _ in range(depth):  # an array in an array: from the inside out, as prefixes
        for number in (1, 5):
            prefix = varint(number << 3 | 2) + varint(size)
            inner.append(prefix)
            size += len(prefix)
    nested = b"".join(reversed(inner))
    assert_exact_in_both(wrapped(SPAN + field(9, attribute("deep", nested))))


def test_groups_nested_deeply_come_back() -> None:
    assert_exact_in_both(b"\x0b" * 50_000, b"\x0b" * 5000 + b"\x0c" * 5000, b"\x0a\x7f" * 5000)


MANY: dict[str, Callable[[int], bytes]] = {
    "attributes": lambda n: wrapped(SPAN + b"".join(field(9, attribute(b"key %d" % i, b"\x18\x01")) for i in range(n))),
    "events": lambda n: wrapped(SPAN + b"".join(field(11, fixed64(1, 10**18 + i) + field(2, "e")) for i in range(n))),
    "links": lambda n: wrapped(SPAN + b"".join(field(13, field(1, struct.pack(">QQ", i, i))) for i in range(n))),
    "spans": lambda n: message(1, n),
    "resources": lambda n: b"".join(field(1, field(1, field(2, varint(i)))) for i in range(n)),
    "scopes": lambda n: field(1, b"".join(field(2, field(1, field(1, b"%d" % i))) for i in range(n))),
    "attributes of a resource": lambda n: field(
        1, field(1, b"".join(field(1, attribute(b"%d" % i, field(1, "v"))) for i in range(n)))
    ),
    "fields that stand twice": lambda n: wrapped(SPAN + field(5, "name") * n),
}


@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("number", [200, 1025, 20_000])
def test_very_many_come_back(what: str, number: int) -> None:
    content = MANY[what](number)
    assert tracezip.decompress(tracezip.compress(content)) == content


@pytest.mark.parametrize("what", MANY)
def test_very_many_come_back_from_the_reference(what: str) -> None:
    with running("reference"):
        content = MANY[what](1025)
        assert tracezip.decompress(tracezip.compress(content)) == content


@pytest.mark.parametrize("n_bytes", [1 << 16, (1 << 20) + 1, (5 << 20) + 3, (36 << 20) + 1])
def test_huge_strings_come_back(n_bytes: int) -> None:
    text = random.Random(1).randbytes(997) * (n_bytes // 997 + 1)
    span = SPAN + field(9, attribute("sql", field(1, text[:n_bytes])))
    content = wrapped(SPAN, span, SPAN)
    assert tracezip.decompress(tracezip.compress(content, 1)) == content


def test_huge_strings_of_noise_come_back() -> None:
    content = wrapped(SPAN + field(9, attribute("noise", field(7, random.Random(2).randbytes(3 << 20)))), SPAN)
    assert_exact([content])


def test_keys_names_and_urls_that_are_huge_come_back() -> None:
    huge = b"k" * 70_000
    span = field(1, huge) + field(3, huge) + field(5, huge) + field(9, attribute(huge, field(1, huge)) * 2)
    assert_exact_in_both(
        field(1, field(1, huge) + field(2, field(1, field(1, huge)) + field(2, span) * 2 + field(3, huge)))
    )


# --- recorded traces --------------------------------------------------------------------------------------------------


data_files = pytest.mark.parametrize(
    "path",
    DATA or [pytest.param(Path(), marks=pytest.mark.skip(reason=NO_DATA))],
    ids=[path.name.partition(".")[0] for path in DATA] or ["no data"],
)


@data_files
def test_recorded_traces_come_back_from_a_file(path: Path, tmp_path: Path) -> None:
    archive = tmp_path / "recorded.tzip"
    with tracezip.open(archive, "wb") as writer:
        for content in recorded_messages(path):
            writer.write(content)
    with tracezip.open(archive) as reader:
        for expected, given_back in zip(recorded_messages(path), reader, strict=True):
            assert given_back == expected
    assert archive.stat().st_size < path.stat().st_size


@data_files
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("level", "threshold"), [(1, 5), (3, 2), (9, 1)])
def test_the_first_spans_of_recorded_traces_come_back_every_way(
    path: Path, backend: str, level: int, threshold: int
) -> None:
    n_spans = 2 * REFERENCE_SPANS if backend == "native" else REFERENCE_SPANS // (1 if level == 3 else 4)
    contents = first_spans(recorded_messages(path), n_spans)
    with running(backend):
        assert through_open(contents, level, threshold) == contents
        if backend == "native":
            assert_exact(contents, level, threshold)
