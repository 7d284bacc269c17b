"""The Span Retrieval Tree gives back every span as it was given, and keeps only what is compressed."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest
from archives import field, span, varint
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import DESCRIPTOR as TRACE_FILE
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tracezip import InputError, LimitError, SpanRetrievalTree, UsageError, _backend, limits
from tracezip.block import SECTIONS

TRACE_ID = 0x5B8EFFF798038103D269B633813FC60C


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 4 spans, in groups of 3 blocks."""
    monkeypatch.setattr(limits, "BLOCK_SPANS", 4)
    monkeypatch.setattr(limits, "MAX_GROUP_SPANS", 12)


def tree_of(spans: Any, **options: Any) -> SpanRetrievalTree:
    tree = SpanRetrievalTree(**options)
    for number, one in enumerate(spans):
        assert tree.add_span(one) == number
    return tree


def proto_span(number: int) -> Span:
    attribute = KeyValue(key="items", value=AnyValue(int_value=number))
    return Span.FromString(span(number) + field(9, attribute.SerializeToString()))


# --- the same span comes back -----------------------------------------------------------------------------------------


def test_bytes_come_back_as_the_same_bytes() -> None:
    spans = [span(number) for number in range(20)]
    tree = tree_of(spans)
    assert [tree.retrieve_span(number) for number in range(20)] == spans


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_come_back_as_bytes(kind: Any) -> None:
    found = tree_of([kind(span(0))]).retrieve_span(0)
    assert type(found) is bytes
    assert found == span(0)


def test_a_protobuf_span_comes_back_as_an_equal_object_of_its_class() -> None:
    tree = tree_of([proto_span(0), Span()])
    assert tree.retrieve_span(0) == proto_span(0)
    assert type(tree.retrieve_span(0)) is Span
    assert tree.retrieve_span(1) == Span()


def test_the_class_is_that_of_the_span_also_if_it_is_from_another_pool() -> None:
    other = other_span_class()
    tree = tree_of([proto_span(0), other.FromString(span(1)), proto_span(2)])
    assert [type(found) for found in tree] == [Span, other, Span]


def other_span_class() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for file in (*TRACE_FILE.dependencies[0].dependencies, *TRACE_FILE.dependencies, TRACE_FILE):
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        pool.AddSerializedFile(proto.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("opentelemetry.proto.trace.v1.Span"))


def test_what_was_given_may_change_later() -> None:
    data, proto = bytearray(span(0)), proto_span(1)
    tree = tree_of([data, proto])
    data[:] = b"changed"
    proto.name = "changed"
    assert list(tree) == [span(0), proto_span(1)]


NOT_CANONICAL = [
    b"",
    b"\x00",
    b"not protobuf",
    b"\x0a\x05ab",  # cut off
    b"\x30\x80\x00",  # a number longer than needed
    field(1, b"short id") + field(2, b""),
    field(1, b"a" * 16) + field(1, b"b" * 16),
    field(11, b"") + field(5, "a") + field(11, b""),  # two runs of events
    field(5, b"\xff\xfe"),
    field(999, "unknown"),
    b"".join(field(9, b"") for _ in range(2000)),
]


@pytest.mark.parametrize("data", NOT_CANONICAL)
def test_bytes_are_never_validated(data: bytes) -> None:
    tree = tree_of([span(0), data, span(1)])
    assert list(tree) == [span(0), data, span(1)]
    tree.get_compression_stats()
    assert list(tree) == [span(0), data, span(1)]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=60) | st.integers(0, 50).map(span), max_size=12), st.data())
def test_any_bytes_come_back_whenever_they_are_asked_for(spans: list[bytes], data: st.DataObject) -> None:
    tree = SpanRetrievalTree()
    for number, one in enumerate(spans):
        tree.add_span(one)
        if data.draw(st.booleans()):
            tree.get_compression_stats()
        asked = data.draw(st.integers(0, number))
        assert tree.retrieve_span(asked) == spans[asked]
    assert list(tree) == spans


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_it_has_a_length_and_can_be_iterated_again_and_again() -> None:
    tree = tree_of([span(0), span(1)])
    assert len(tree) == 2
    assert list(tree) == list(tree) == [span(0), span(1)]
    assert not SpanRetrievalTree()


def test_iteration_goes_on_with_spans_that_are_added_meanwhile() -> None:
    tree = tree_of([span(0)])
    spans = iter(tree)
    assert next(spans) == span(0)
    tree.add_span(span(1))
    assert list(spans) == [span(1)]


@pytest.mark.parametrize("number", [-1, 2, 10**30])
def test_a_number_that_no_span_has_is_an_index_error(number: int) -> None:
    tree = tree_of([span(0), span(1)])
    with pytest.raises(IndexError, match=f"no span {number}: the tree has 2"):
        tree.retrieve_span(number)
    assert tree.retrieve_span(1) == span(1)


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", range(3))
def test_spans_in_blocks_and_in_columns_are_found_in_any_order(seed: int) -> None:
    spans = [span(number) if number % 3 else proto_span(number) for number in range(50)]
    tree = tree_of(spans)
    numbers = random.Random(seed).choices(range(50), k=100)
    assert [tree.retrieve_span(number) for number in numbers] == [spans[number] for number in numbers]


@pytest.mark.usefixtures("small_blocks")
def test_blocks_have_the_limits_of_the_codec() -> None:
    stats = tree_of(map(span, range(50))).get_compression_stats()
    assert (stats["blocks"], stats["groups"]) == (13, 5)


def test_blocks_are_limited_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 200)
    monkeypatch.setattr(limits, "MAX_GROUP_BYTES", 500)
    tree = tree_of(map(span, range(30)))
    assert list(tree) == list(map(span, range(30)))
    stats = tree.get_compression_stats()
    assert (stats["blocks"], stats["groups"]) == (10, 4)  # messages of 54 bytes: 3 to a block, 9 to a group


def test_chains_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_GROUP_BLOCKS", 2)
    tree = SpanRetrievalTree()
    for number in range(6):
        tree.add_span(span(number))
        tree.get_compression_stats()
    assert (tree.get_compression_stats()["blocks"], tree.get_compression_stats()["groups"]) == (6, 3)
    assert list(tree) == list(map(span, range(6)))


@pytest.mark.usefixtures("small_blocks")
def test_spans_in_their_order_need_each_block_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    class Decoder:
        def __init__(self, strings: Any) -> None:
            self._decoder = real(strings)
            self.reset = self._decoder.reset

        def decode(self, sections: Any, n_bytes: int) -> Any:
            decoded.append(n_bytes)
            return self._decoder.decode(sections, n_bytes)

    real = _backend.Decoder
    monkeypatch.setattr(_backend, "Decoder", Decoder)
    tree = tree_of(map(span, range(50)))
    assert not decoded
    assert list(tree) == list(map(span, range(50)))
    assert len(decoded) == 12


def test_blocks_of_a_group_build_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 20)
    spans = [span(number) + field(9, b"a text that is told once: " + bytes(200)) for number in range(200)]
    chained = tree_of(spans).get_compression_stats()["compressed_bytes"]
    monkeypatch.setattr(limits, "MAX_GROUP_SPANS", 20)
    alone = tree_of(spans).get_compression_stats()["compressed_bytes"]
    assert chained < 0.9 * alone


@pytest.mark.parametrize("seal", [False, True])
def test_what_the_columns_cannot_take_is_given_back_too(seal: bool) -> None:
    resource = Resource({f"key {number}": number for number in range(400)})
    tree = tree_of([span(0), sdk_span(resource=resource), span(1), sdk_span()])
    if seal:
        tree.get_compression_stats()
    assert tree.retrieve_span(0) == span(0)
    assert tree.retrieve_span(1).resource == resource
    assert tree.retrieve_span(2) == span(1)
    assert_same(tree.retrieve_span(3), sdk_span())


def test_raw_bytes_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_SPANS", 64)
    monkeypatch.setattr(limits, "MAX_GROUP_SPANS", 128)
    texts = [field(9, field(1, "text") + field(2, field(1, letter * 8000))) for letter in "ab"]
    tracemalloc.start()
    tree = tree_of(span(number) + texts[number % 2] for number in range(1000))
    assert tree.retrieve_span(0) == span(0) + texts[0]
    assert tree.retrieve_span(999) == span(999) + texts[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tree.get_compression_stats()["raw_bytes"] > 8_000_000
    assert peak < 4_000_000


# --- statistics -------------------------------------------------------------------------------------------------------


def test_statistics_add_up() -> None:
    spans = [span(number) for number in range(400)]
    stats = tree_of(spans).get_compression_stats()
    raw, compressed = sum(map(len, spans)), stats["compressed_bytes"]
    assert stats["spans"] == 400
    assert stats["raw_bytes"] == raw
    assert 0 < compressed < raw / 3
    assert stats["compression_ratio"] == 1 - compressed / raw
    assert stats["ratio"] == raw / compressed
    assert stats["bytes_per_span"] == compressed / 400
    assert stats["traces"] == 100
    assert all(stats[name] > 0 for name in ("paths", "schemas", "strings", "atoms", "contexts"))
    assert list(stats["bytes_by_part"]) == [*SECTIONS, "container"]
    assert sum(stats["bytes_by_part"].values()) == compressed


@pytest.mark.usefixtures("small_blocks")
def test_counts_are_summed_over_groups() -> None:
    stats = tree_of(map(span, range(36))).get_compression_stats()
    assert (stats["groups"], stats["traces"]) == (3, 9)


def test_the_wrapping_is_not_counted_as_raw() -> None:
    assert tree_of([b"", b""]).get_compression_stats()["raw_bytes"] == 0
    readable = tree_of([sdk_span()])
    assert readable.get_compression_stats()["raw_bytes"] < len(sdk_span().to_json())
    assert tree_of([proto_span(3)]).get_compression_stats()["raw_bytes"] == len(proto_span(3).SerializeToString())


def test_an_empty_tree_has_statistics() -> None:
    stats = SpanRetrievalTree().get_compression_stats()
    assert stats["spans"] == stats["raw_bytes"] == stats["compressed_bytes"] == stats["blocks"] == stats["groups"] == 0
    assert stats["compression_ratio"] == stats["ratio"] == stats["bytes_per_span"] == 0.0


def test_asking_for_statistics_changes_no_span_and_no_number() -> None:
    tree = SpanRetrievalTree()
    for number in range(10):
        assert tree.add_span(span(number)) == number
        assert tree.get_compression_stats() == tree.get_compression_stats()
        assert len(tree) == number + 1
    assert list(tree) == list(map(span, range(10)))


def test_the_same_spans_make_the_same_tree() -> None:
    first, second = (tree_of(map(span, range(100))).get_compression_stats() for _ in range(2))
    assert first == second


def test_options_reach_the_codec() -> None:
    spans = [span(number, f"GET /{number % 50}/{number}") for number in range(200)]
    sizes = {level: tree_of(spans, level=level).get_compression_stats()["compressed_bytes"] for level in (1, 9)}
    assert sizes[9] <= sizes[1]
    assert list(tree_of(spans, dictionary_threshold=100)) == spans


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 10}, {"level": "3"}, {"dictionary_threshold": 0}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SpanRetrievalTree(**options)


@pytest.mark.parametrize("given", [None, 3, "text", {}, [], TracesData(), KeyValue(), SimpleNamespace(), [span(0)]])
def test_what_is_no_span_is_refused_and_the_tree_goes_on(given: Any) -> None:
    tree = tree_of([span(0)])
    with pytest.raises(InputError, match="is not a span"):
        tree.add_span(given)
    assert tree.add_span(span(1)) == 1
    assert list(tree) == [span(0), span(1)]


def test_a_readable_span_that_otlp_cannot_express_is_refused_and_the_tree_goes_on() -> None:
    tree = tree_of([sdk_span()])
    with pytest.raises(InputError, match="time"):
        tree.add_span(sdk_span(start_time=-1))
    assert tree.add_span(sdk_span()) == 1


def test_a_span_that_is_too_large_is_refused_and_the_tree_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PART_BYTES", 1000)
    tree = tree_of([span(0)])
    with pytest.raises(LimitError, match="leave it out"):
        tree.add_span(bytes(1000))
    tree.add_span(bytes(980))
    assert list(tree) == [span(0), bytes(980)]


def test_a_large_span_comes_back() -> None:
    data = field(5, "n") + field(9, field(1, "prompt") + field(2, field(1, "word " * 1_000_000)))
    tree = tree_of([data, span(1)])
    assert tree.retrieve_span(0) == data
    assert tree.get_compression_stats()["compressed_bytes"] < 10_000
    assert list(tree) == [data, span(1)]


def test_a_tree_that_is_in_use_says_so() -> None:
    tree = tree_of([span(0)])
    with tree._guard:
        for use in (lambda: tree.add_span(span(1)), lambda: tree.retrieve_span(0), tree.get_compression_stats):
            with pytest.raises(UsageError, match="another thread"):
                use()
    assert list(tree) == [span(0)]


def test_neither_the_sdk_nor_numpy_is_imported_for_bytes() -> None:
    code = (
        "import sys, tracezip; t = tracezip.SpanRetrievalTree(); t.add_span(b'a'); t.get_compression_stats();"
        "assert t.retrieve_span(0) == b'a';"
        "print([n for n in ('opentelemetry', 'google.protobuf', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- spans of the SDK -------------------------------------------------------------------------------------------------


def context(span_id: int = 7, **options: Any) -> SpanContext:
    return SpanContext(TRACE_ID, span_id, **{"is_remote": False, "trace_flags": TraceFlags(1), **options})


def sdk_span(**options: Any) -> ReadableSpan:
    scope = InstrumentationScope("lib", "1.2", "https://scope", {"scope.key": 1})
    resource = Resource({"service.name": "checkout", "cpus": 4}, "https://resource")
    given = {"name": "a", "context": context(), "resource": resource, "instrumentation_scope": scope, **options}
    return ReadableSpan(**given)


def assert_same(found: Any, expected: ReadableSpan) -> None:
    assert type(found) is ReadableSpan
    assert found.get_span_context() == expected.get_span_context()
    for name in ("name", "kind", "parent", "start_time", "end_time", "resource", "instrumentation_scope"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("dropped_attributes", "dropped_events", "dropped_links"):
        assert getattr(found, name) == getattr(expected, name), name
    assert list(found.attributes.items()) == list(expected.attributes.items())
    assert list(found.resource.attributes.items()) == list(expected.resource.attributes.items())
    assert status_of(found) == status_of(expected)
    assert list(map(event_of, found.events)) == list(map(event_of, expected.events))
    assert list(map(link_of, found.links)) == list(map(link_of, expected.links))


def status_of(one: Any) -> Any:
    return one.status and (one.status.status_code, one.status.description)


def event_of(event: Any) -> Any:
    return event.name, event.timestamp, list((event.attributes or {}).items()), event.dropped_attributes


def link_of(link: Any) -> Any:
    return link.context, list((link.attributes or {}).items()), link.dropped_attributes


STATE = TraceState([("a", "1"), ("b", "x=y")])
SDK_SPANS = {
    "plain": {},
    "no scope": {"instrumentation_scope": None},
    "scope of a name": {"instrumentation_scope": InstrumentationScope("lib")},
    "scope of a schema URL": {"instrumentation_scope": InstrumentationScope("", None, "https://x")},
    "empty resource": {"resource": Resource({})},
    "no context": {"context": None},
    "parent": {"parent": context(9)},
    "remote parent": {"parent": context(9, is_remote=True)},
    "trace state": {"context": context(trace_state=STATE), "parent": context(9, trace_state=STATE)},
    "not sampled": {"context": context(trace_flags=TraceFlags(0))},
    "random flag": {"context": context(trace_flags=TraceFlags(3))},
    "no kind": {"kind": None},
    "times": {"start_time": 1_700_000_000_000_000_001, "end_time": 1_700_000_000_000_000_999},
    "highest time": {"end_time": (1 << 64) - 1},
    "no status": {"status": None},
    "ok": {"status": Status(StatusCode.OK)},
    "error": {"status": Status(StatusCode.ERROR, "it broke")},
    "order of keys": {"attributes": {"z": 1, "a": 2, "m": 3}},
    "kinds of values": {"attributes": {"b": True, "i": -5, "f": 0.5, "s": "é", "y": b"\x00\xff", "n": None, "e": ""}},
    "sequences": {"attributes": {"empty": (), "ints": (1, -2), "mixed": ("a", None, 1.5, (True,))}},
    "maps": {"attributes": {"map": {"z": {"y": (1, {"x": b""})}, "a": {}}}},
    "limits of integers": {"attributes": {"low": -(1 << 63), "high": (1 << 63) - 1}},
    "events": {"events": (Event("e", {"k": "v"}, 5), Event("", None, 0), Event("e", {}, 4))},
    "links": {"links": (Link(context(3, is_remote=True, trace_state=STATE), {"k": 1}), Link(context(4)))},
}


@pytest.mark.parametrize("seal", [False, True])
@pytest.mark.parametrize("name", SDK_SPANS)
def test_a_readable_span_comes_back_with_equal_values(name: str, seal: bool) -> None:
    tree = tree_of([sdk_span(**SDK_SPANS[name])])
    if seal:
        tree.get_compression_stats()
    assert_same(tree.retrieve_span(0), sdk_span(**SDK_SPANS[name]))


@pytest.mark.parametrize("kind", SpanKind)
def test_every_kind_comes_back(kind: SpanKind) -> None:
    assert tree_of([sdk_span(kind=kind)]).retrieve_span(0).kind is kind


def test_a_span_given_back_can_be_given_again() -> None:
    tree = tree_of([sdk_span(**options) for options in SDK_SPANS.values()])
    for number, found in enumerate(list(tree)):
        tree.add_span(found)
        assert_same(tree.retrieve_span(len(SDK_SPANS) + number), found)


def recorded() -> list[ReadableSpan]:
    """Spans as an application makes them, with more attributes, events and links than the limits allow."""
    few = SpanLimits(max_attributes=3, max_events=2, max_links=1, max_event_attributes=1, max_link_attributes=1)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), span_limits=few)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests", "1.0", "https://schema", {"a": "b"})
    for number in range(4):
        with tracer.start_as_current_span("outer", attributes={"n": number, "list": [1, 2]}) as outer:
            links = [Link(outer.get_span_context(), {"x": 1, "y": 2}) for _ in range(3)]
            with tracer.start_as_current_span("inner", kind=SpanKind.CLIENT, links=links) as inner:
                for key in "abcde":
                    inner.set_attribute(key, key * number)
                    inner.add_event(key, {"p": 1, "q": 2})
                inner.set_status(StatusCode.ERROR, "broken")
    return list(exporter.get_finished_spans())


@pytest.mark.usefixtures("small_blocks")
def test_spans_of_an_application_come_back_with_their_dropped_counts() -> None:
    spans = recorded()
    assert spans[0].dropped_attributes == 2
    assert spans[0].dropped_events == 3
    assert spans[0].dropped_links == 2
    tree = tree_of(spans)
    for found, expected in zip(tree, spans, strict=True):
        assert_same(found, expected)


def test_resource_and_scope_are_paid_for_once() -> None:
    long = Resource({f"key.{number}": f"value {number}" for number in range(100)})
    trees = [tree_of([sdk_span(resource=long, context=context(n + 1)) for n in range(count)]) for count in (1, 101)]
    one, many = (tree.get_compression_stats()["compressed_bytes"] for tree in trees)
    assert many - one < 100 * 20


@pytest.mark.usefixtures("small_blocks")
def test_forms_can_be_mixed() -> None:
    spans = [(span(n), proto_span(n), sdk_span(context=context(n + 1)))[n % 3] for n in range(30)]
    for found, expected in zip(tree_of(spans), spans, strict=True):
        if isinstance(expected, ReadableSpan):
            assert_same(found, expected)
        else:
            assert found == expected
            assert type(found) is type(expected)


def test_varint_of_the_wrapping_may_have_any_size() -> None:
    for size in (100, 127, 128, 16_383, 16_384, 2_097_152):
        data = field(5, "x" * size)
        assert tree_of([data]).retrieve_span(0) == data
        assert len(varint(size)) <= 4
