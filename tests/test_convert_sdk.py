"""Spans of the OpenTelemetry SDK become what its own OTLP exporter makes of them, and keep what that one drops."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope as SdkScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Status as SdkStatus

from tests.sdk_spans import SPANS
from tracezip.convert import to_otlp
from tracezip.errors import InputError

TRACE_ID, SPAN_ID = 0x5B8EFFF798038103D269B633813FC60C, 0xEEE19B7EC3C1B174


def context(span_id=SPAN_ID, **options):
    options = {"is_remote": False, "trace_flags": TraceFlags(1), **options}
    return SpanContext(TRACE_ID, span_id, **options)


def sdk_span(**options):
    options = {"name": "a", "context": context(), "resource": Resource({}), **options}
    return ReadableSpan(**options)


def decoded(spans):
    data = to_otlp(spans)
    message = ExportTraceServiceRequest.FromString(data)
    assert message.SerializeToString() == data, "not canonical"
    return message


def only_span(**options):
    """The OTLP span that a ReadableSpan with these options becomes."""
    (resource_spans,) = decoded([sdk_span(**options)]).resource_spans
    return resource_spans.scope_spans[0].spans[0]


def encoded_value(value):
    (attribute,) = only_span(attributes={"k": value}).attributes
    assert attribute.key == "k"
    return attribute.value


def array(*values):
    value = AnyValue()
    value.array_value.values.extend(values)
    value.array_value.SetInParent()
    return value


def kvlist(**values):
    value = AnyValue()
    value.kvlist_value.values.extend(KeyValue(key=key, value=one) for key, one in values.items())
    value.kvlist_value.SetInParent()
    return value


# --- every field ------------------------------------------------------------------------------------------------------


def test_every_field_of_a_span_is_kept():
    span = only_span(
        context=context(trace_state=TraceState([("a", "1"), ("b", "2")])),
        parent=context(0x11, is_remote=True),
        kind=SpanKind.CONSUMER,
        attributes={"x": 1},
        events=[Event("e", {"y": 2.5}, 123)],
        links=[Link(context(0x22, trace_state=TraceState([("c", "3")])), {"z": True})],
        status=SdkStatus(StatusCode.ERROR, "broken"),
        start_time=1_700_000_000_000_000_001,
        end_time=1_700_000_000_000_000_999,
    )
    assert span == Span(
        trace_id=TRACE_ID.to_bytes(16, "big"),
        span_id=SPAN_ID.to_bytes(8, "big"),
        trace_state="a=1,b=2",
        parent_span_id=(0x11).to_bytes(8, "big"),
        flags=0x301,
        name="a",
        kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=1_700_000_000_000_000_001,
        end_time_unix_nano=1_700_000_000_000_000_999,
        attributes=[KeyValue(key="x", value=AnyValue(int_value=1))],
        events=[
            Span.Event(name="e", time_unix_nano=123, attributes=[KeyValue(key="y", value=AnyValue(double_value=2.5))])
        ],
        links=[
            Span.Link(
                trace_id=TRACE_ID.to_bytes(16, "big"),
                span_id=(0x22).to_bytes(8, "big"),
                trace_state="c=3",
                attributes=[KeyValue(key="z", value=AnyValue(bool_value=True))],
                flags=0x101,
            )
        ],
        status=Status(code=Status.STATUS_CODE_ERROR, message="broken"),
    )


@pytest.mark.parametrize("kind", list(SpanKind))
def test_kinds_have_the_numbers_of_the_protocol(kind):
    assert Span.SpanKind.Name(only_span(kind=kind).kind) == f"SPAN_KIND_{kind.name}"


@pytest.mark.parametrize("code", list(StatusCode))
def test_a_status_is_written_even_when_it_is_unset(code):
    span = only_span(status=SdkStatus(code))
    assert span.HasField("status")
    assert span.status == Status(code=code.value)


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (None, 0x103),
        (context(1, is_remote=False), 0x103),
        (context(1, is_remote=True), 0x303),
    ],
)
def test_flags_say_whether_the_parent_is_remote_and_keep_the_trace_flags(parent, flags):
    assert only_span(context=context(trace_flags=TraceFlags(3)), parent=parent).flags == flags


@pytest.mark.parametrize(("is_remote", "flags"), [(False, 0x100), (True, 0x300)])
def test_flags_of_a_link_say_whether_its_target_is_remote(is_remote, flags):
    target = context(1, is_remote=is_remote, trace_flags=TraceFlags(0))
    assert only_span(links=[Link(target)]).links[0].flags == flags


def test_ids_of_zeros_are_ids():
    span = only_span(context=SpanContext(0, 0, is_remote=False), parent=SpanContext(0, 0, is_remote=False))
    assert (span.trace_id, span.span_id, span.parent_span_id) == (bytes(16), bytes(8), bytes(8))


def test_a_span_without_a_context_has_no_ids():
    span = only_span(context=None)
    assert (span.trace_id, span.span_id, span.flags) == (b"", b"", 0x100)


def test_dropped_counts_are_kept():
    exporter = InMemorySpanExporter()
    limits = SpanLimits(max_attributes=1, max_events=1, max_links=1, max_event_attributes=1, max_link_attributes=1)
    provider = TracerProvider(span_limits=limits, resource=Resource({}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    two = {"a": 1, "b": 2}
    links = [Link(context(n), two) for n in (1, 2, 3)]
    with provider.get_tracer("t").start_as_current_span("s", attributes=two, links=links) as span:
        for _ in range(4):
            span.add_event("e", two)
    (resource_spans,) = decoded(exporter.get_finished_spans()).resource_spans
    span = resource_spans.scope_spans[0].spans[0]
    assert (span.dropped_attributes_count, span.dropped_links_count, span.dropped_events_count) == (1, 2, 3)
    assert (span.links[0].dropped_attributes_count, span.events[0].dropped_attributes_count) == (1, 1)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, AnyValue(bool_value=True)),
        (False, AnyValue(bool_value=False)),
        (0, AnyValue(int_value=0)),
        (-(2**63), AnyValue(int_value=-(2**63))),
        (2**63, AnyValue(string_value="9223372036854775808")),
        (1.5, AnyValue(double_value=1.5)),
        (float("inf"), AnyValue(double_value=float("inf"))),
        ("", AnyValue(string_value="")),
        ("é", AnyValue(string_value="é")),
        ("a\ud800", AnyValue(string_value="a\ufffd")),
        (b"\xff", AnyValue(bytes_value=b"\xff")),
        (bytearray(b"ab"), AnyValue(bytes_value=b"ab")),
        (None, AnyValue()),
        ([], array()),
        (("a", "b"), array(AnyValue(string_value="a"), AnyValue(string_value="b"))),
        ([1, None, [True]], array(AnyValue(int_value=1), AnyValue(), array(AnyValue(bool_value=True)))),
        ({}, kvlist()),
        ({"a": {"b": 1}}, kvlist(a=kvlist(b=AnyValue(int_value=1)))),
        ({1: 2}, kvlist(**{"1": AnyValue(int_value=2)})),
        (SpanKind.CLIENT, AnyValue(string_value="SpanKind.CLIENT")),
    ],
)
def test_attribute_values_have_their_kind(value, expected):
    assert encoded_value(value) == expected


def test_an_integer_of_any_length_is_kept():
    assert int(encoded_value(10**5000).string_value, 0) == 10**5000


def test_values_nest_as_deep_as_protobuf_reads_them():
    value = 1
    for _ in range(47):
        value = [value]
    encoded_value(value)
    with pytest.raises(InputError, match=r"span 0: .* more than 100 deep"):
        to_otlp([sdk_span(attributes={"k": [[[value]]]})])


def test_a_value_that_holds_itself_is_an_input_error():
    value = []
    value.append(value)
    with pytest.raises(InputError, match="deep"):
        to_otlp([sdk_span(attributes={"k": value})])


# --- groups -----------------------------------------------------------------------------------------------------------


def test_spans_are_grouped_by_resource_and_scope_in_the_order_of_their_first():
    one, two = Resource({"n": 1}), Resource({"n": 2}, "https://schema")
    a, b = SdkScope("a", "1", "https://scope", {"k": "v"}), SdkScope("b")
    spans = [
        sdk_span(name=name, resource=resource, instrumentation_scope=scope)
        for name, resource, scope in [("0", two, b), ("1", one, a), ("2", two, a), ("3", two, b), ("4", one, None)]
    ]
    message = decoded(spans)
    shape = [
        (r.schema_url, [(s.scope.name, s.schema_url, [span.name for span in s.spans]) for s in r.scope_spans])
        for r in message.resource_spans
    ]
    assert shape == [
        ("https://schema", [("b", "", ["0", "3"]), ("a", "https://scope", ["2"])]),
        ("", [("a", "https://scope", ["1"]), ("", "", ["4"])]),
    ]
    assert message.resource_spans[0].scope_spans[1].scope == InstrumentationScope(
        name="a", version="1", attributes=[KeyValue(key="k", value=AnyValue(string_value="v"))]
    )
    assert message.resource_spans[1].scope_spans[1].HasField("scope")


def test_equal_resources_and_scopes_are_one_group():
    spans = [sdk_span(resource=Resource({"a": 1}), instrumentation_scope=SdkScope("s")) for _ in range(5)]
    (resource_spans,) = decoded(spans).resource_spans
    assert [len(s.spans) for s in resource_spans.scope_spans] == [5]


def test_resources_that_python_finds_equal_stay_apart_if_their_values_differ():
    spans = [sdk_span(resource=Resource({"a": value})) for value in (1, True, 1.0)]
    assert len(decoded(spans).resource_spans) == 3


def test_no_spans_are_an_empty_message():
    assert to_otlp([]) == to_otlp(()) == b""


def test_any_iterable_of_spans_is_accepted():
    spans = [sdk_span(name=str(n)) for n in range(3)]
    assert to_otlp(tuple(spans)) == to_otlp(spans) == to_otlp(iter(spans))


# --- what is no span --------------------------------------------------------------------------------------------------


def test_older_sdks_count_dropped_attributes_in_the_attributes():
    class Attributes(dict):
        dropped = 7

    old = SimpleNamespace(name="e", timestamp=1, attributes=Attributes(a=1))
    assert only_span(events=[old]).events[0].dropped_attributes_count == 7


def test_names_that_are_no_strings_are_kept_as_text():
    assert only_span(name=5).name == "5"
    assert only_span(name="\udcff").name == "\ufffd"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"start_time": -1}, "span 1: the time -1 is not"),
        ({"end_time": 1 << 64}, "span 1: the time 18446744073709551616 is not"),
        (
            {"context": SpanContext(1 << 128, 1, is_remote=False)},
            "span 1 is not a span of the OpenTelemetry SDK: Overflow",
        ),
        ({"kind": "client"}, "span 1 is not a span"),
        ({"events": [1]}, "span 1 is not a span"),
    ],
)
def test_what_otlp_cannot_express_is_an_input_error(options, what):
    with pytest.raises(InputError, match=what):
        to_otlp([sdk_span(), sdk_span(**options)])


def test_one_span_is_not_a_sequence():
    with pytest.raises(InputError, match=r"give \[span\]"):
        to_otlp(sdk_span())


# --- against the SDK's own exporter -----------------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(SPANS, max_size=3))
def test_spans_are_what_the_exporter_of_the_sdk_makes_of_them(spans):
    encoder = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.common.trace_encoder",
        reason="opentelemetry-exporter-otlp-proto-common is not installed",
    )
    expected, message = encoder.encode_spans(spans), decoded(spans)
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                _as_the_exporter(span)
    assert flattened(message) == flattened(expected)


def _as_the_exporter(span):
    """Without what the SDK's exporter drops."""
    span.flags &= ~0xFF
    for link in span.links:
        link.flags &= ~0xFF
        link.trace_state = ""


def flattened(message):
    """Each span with its resource and scope. Not the groups: the exporter joins resources of another order of keys."""
    return sorted(
        (
            span.SerializeToString(),
            sorted(one.SerializeToString() for one in resource_spans.resource.attributes),
            resource_spans.schema_url,
            scope_spans.scope.SerializeToString(),
            scope_spans.schema_url,
        )
        for resource_spans in message.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    )


def test_spans_of_a_running_tracer_are_accepted():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("lib", "1.0", "https://schema")
    remote = set_span_in_context(NonRecordingSpan(context(is_remote=True)))
    with tracer.start_as_current_span("parent", context=remote) as span:
        with tracer.start_as_current_span("child", kind=SpanKind.CLIENT):
            span.record_exception(ValueError("no"))
        span.set_status(StatusCode.ERROR, "no")
    (resource_spans,) = decoded(exporter.get_finished_spans()).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    child, parent = scope_spans.spans
    assert (child.parent_span_id, parent.parent_span_id) == (parent.span_id, SPAN_ID.to_bytes(8, "big"))
    assert (child.flags & 0x300, parent.flags & 0x300) == (0x100, 0x300)
    assert parent.status == Status(code=Status.STATUS_CODE_ERROR, message="no")
    assert [event.name for event in parent.events] == ["exception"]
    assert (scope_spans.scope.name, scope_spans.scope.version, scope_spans.schema_url) == (
        "lib",
        "1.0",
        "https://schema",
    )
