"""The native encoder of the SDK's spans makes what the one in Python makes, and leaves to it what it does not know."""

from __future__ import annotations

import enum
import http
import sys
from collections import OrderedDict, UserDict, deque
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import Status as SdkStatus

from tests import backends
from tests.sdk_spans import SPANS, VALUES
from tracezip.convert import sdk, sdk_reference
from tracezip.errors import InputError

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))


def outcome(encode, spans):
    """The bytes, or what the error says."""
    try:
        return encode(spans)
    except Exception as error:
        return type(error), str(error)


def left_over(spans):
    """Which of the spans the native encoder leaves to the one in Python, when that makes what it makes of all."""
    left, parts = [], sdk_reference.SpanParts()

    def other_way(index, span):
        left.append(index)
        return parts.of(index, span)

    with backends.running("native"):
        assert outcome(sdk.encode_spans, spans) == outcome(sdk_reference.encode_spans, spans)
    written = outcome(lambda spans: sdk.span_writer().write(spans, other_way), spans)
    assert written == outcome(sdk_reference.encode_spans, spans)
    return left


def span(**options):
    context = SpanContext(1 << 100, 1 << 60, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan(**{"name": "a", "context": context, "resource": Resource({"k": "v"}), **options})


def with_value(value):
    """As an attribute that the SDK has not cleaned."""
    return span(attributes={"k": value})


# --- the same bytes ---------------------------------------------------------------------------------------------------


@QUICK
@given(st.lists(SPANS, max_size=6))
def test_every_span_of_the_sdk_is_written_natively_and_alike(spans):
    assert not left_over(spans)


def record(actions):
    """The spans of a tracer that did this; its limits are small."""
    exporter = InMemorySpanExporter()
    limits = SpanLimits(
        max_span_attributes=3, max_events=2, max_links=2, max_event_attributes=2, max_attribute_length=6
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracers = [provider.get_tracer("lib", "1.0", attributes={"x": 1}), provider.get_tracer("other", schema_url="u")]
    with tracers[0].start_as_current_span("root"):
        for number, (name, attributes, kind, error) in enumerate(actions):
            link = Link(SpanContext(3, number + 1, is_remote=True), attributes)
            with tracers[number % 2].start_as_current_span(name, kind=kind, links=[link] * number) as one:
                one.set_attributes(attributes)
                for at in range(number):
                    one.add_event(name, attributes, at)
                if error:
                    one.record_exception(ValueError(name))
                    one.set_status(StatusCode.ERROR, name)
    return exporter.get_finished_spans()


KEYS = st.sampled_from(["http.route", "db.name", "\u00e4", "retry", "a" * 200])
ACTIONS = st.tuples(
    st.text(max_size=300), st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(SpanKind), st.booleans()
)


@QUICK
@given(st.lists(ACTIONS, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_spans_of_a_running_tracer_that_drops_things_are_written_natively_and_alike(actions):
    assert not left_over(record(actions))


@pytest.mark.parametrize("n", [0, 1, 122, 123, 124, 125, 126, 127, 128, 129, 16_381, 16_382, 16_383, 16_384, 3_000_000])
def test_lengths_of_every_size_are_alike(n):
    text = "x" * n
    spans = [
        span(name=text, attributes={text: text, "list": [text] * 2}, events=[Event(text, {"k": text}, 1)]),
        span(resource=Resource({"k": text}, text), instrumentation_scope=InstrumentationScope(text, text, text)),
    ]
    assert not left_over(spans)


def test_spans_of_many_resources_and_scopes_are_grouped_alike():
    resources = [Resource({"n": n % 150}) for n in range(300)]
    scopes = [InstrumentationScope(str(n)) for n in range(7)] + [None]
    assert not left_over(
        [span(resource=resources[n * 7 % 300], instrumentation_scope=scopes[n % 8]) for n in range(900)]
    )


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        -(2**63),
        -1,
        0,
        http.HTTPStatus.OK,
        True,
        float("nan"),
        -0.0,
        "",
        b"",
        (),
        [],
        {},
        [None, "a", (1, [])],
    ],
    ids=repr,
)
def test_values_at_the_edge_are_written_natively_and_alike(value):
    assert not left_over([with_value(value)])


def test_values_as_deep_as_the_protocol_allows_are_alike():
    value = "leaf"
    for depth in range(1, 60):
        value = [value] if depth % 2 else {"k": value}
        left_over([with_value(value)])


# --- what is left to the encoder in Python ----------------------------------------------------------------------------


class Text(str):
    pass


class Masked(int):
    def __and__(self, other):
        return 5


class Raising:
    def __str__(self):
        raise RuntimeError("no")


class RaisingAttributes(UserDict):
    def items(self):
        raise KeyError("no")


class Color(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        *(2**63, -(2**63) - 1, 10**5000, Masked(3), Decimal("1.5")),
        *(Text("t"), Color.RED, "\udcff", bytearray(b"b"), Raising(), object),
        *(OrderedDict(a=1), UserDict(a=1), {1: 2}, {"\udcff": 1}, {Text("k"): 1}),
        *(["a", "\ud800"], range(3), deque([1])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unusual_values_are_left_and_alike(value):
    assert left_over([span(), with_value(value), span()]) == [1]
    assert left_over([span(events=[Event("e", {"k": [value]}, 1)])]) == [0]


OTHER = SpanContext(1, 1, False)
UNUSUAL = {
    "name": [None, 5, Text("n"), "\udcff"],
    "kind": [None, "CLIENT"],
    "context": [
        None,
        SpanContext(1 << 128, 1, False),
        SpanContext(-1, 1, False),
        SpanContext(1, 1 << 64, False),
        (1, 2, False, TraceFlags(1), TraceState()),
        SpanContext(1, 1, False, trace_state={"a": "b"}),
        SpanContext(1, 1, False, 3.5),
    ],
    "parent": [(), (1, 2), SpanContext(1, 1 << 64, False), SpanContext(1, 1, "yes")],
    "start_time": [-1, 1 << 64, 1.5, "1", True],
    "attributes": [RaisingAttributes(a=1), [("a", 1)], UserDict(a=1)],
    "events": [None, [None], "ab", [Event("e", UserDict(a=1), 1)], [Event(None, None, 1)], [Event("e", None, -1)]],
    "links": [None, [None], [Link(None)], {"a": 1}],
    "status": [None, StatusCode.OK],
    "resource": [5, Resource({}, 5), Resource({"k": "\udcff"})],
    "instrumentation_scope": [
        0,
        "scope",
        InstrumentationScope(5),
        InstrumentationScope("a", schema_url=5),
        InstrumentationScope("a", attributes={"k": "\ud800"}),
    ],
}


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, values in UNUSUAL.items() for value in values])
def test_unusual_parts_are_left_and_alike(option, value):
    assert left_over([span(), span(**{option: value})]) == [1]


@pytest.mark.parametrize("slot", sorted(vars(span())))
def test_a_span_without_a_slot_is_left_and_alike(slot):
    one = span()
    delattr(one, slot)
    assert left_over([span(), one]) == ([] if slot == "_instrumentation_info" else [1])


@pytest.mark.parametrize(
    ("option", "part", "slot"),
    [
        ("attributes", BoundedAttributes(attributes={"a": 1}), "_dict"),
        ("attributes", BoundedAttributes(attributes={"a": 1}), "dropped"),
        ("events", BoundedList(3), "_dq"),
        ("links", BoundedList(3), "dropped"),
        ("events", Event("e"), "_attributes"),
        ("links", Link(OTHER), "_context"),
        ("status", SdkStatus(), "_status_code"),
        ("resource", Resource({}), "_attributes"),
        ("instrumentation_scope", InstrumentationScope("a"), "_version"),
    ],
)
def test_a_part_without_a_slot_is_left_and_alike(option, part, slot):
    delattr(part, slot)
    one = span(**{option: [part] if isinstance(part, Event | Link) else part})
    assert left_over([span(), one]) == [1]


@pytest.mark.parametrize("dropped", [-1, 1 << 32, 1 << 64, None, 2.5, True])
def test_odd_counts_of_what_was_dropped_are_alike(dropped):
    attributes, events = BoundedAttributes(attributes={"a": 1}), BoundedList(2)
    attributes.dropped = dropped
    left_over([span(attributes=attributes)])
    events.dropped = dropped
    left_over([span(events=events)])


class Anything:
    """Has every attribute, and is no value of OTLP."""

    def __getattr__(self, name):
        return None if name.startswith("__") else self


ANYTHING = VALUES | st.sampled_from(
    [
        *(Anything(), Decimal(1), deque(), TraceState(), TraceFlags(1), SdkStatus(), StatusCode.OK, SpanKind.CLIENT),
        *(OTHER, Resource({}), BoundedList(1), BoundedAttributes(attributes={"a": 1}), InstrumentationScope("a")),
        *(Event("e", None, 1), Link(OTHER)),
    ]
)
SLOTS = st.sampled_from(sorted(vars(span()))) | st.tuples(
    st.sampled_from(["_events", "_links", "_status", "_attributes", "_resource"]),
    st.sampled_from(["_name", "_timestamp", "_attributes", "_context", "_dict", "dropped", "_dq", "_status_code"]),
)


@QUICK
@given(SPANS, SLOTS, ANYTHING)
def test_slots_with_anything_in_them_are_alike(one, slot, value):
    if isinstance(slot, tuple):
        part = getattr(one, slot[0])
        owner, slot = part[0] if isinstance(part, list) and part else part, slot[1]
    else:
        owner = one
    if hasattr(owner, "__dict__"):
        setattr(owner, slot, value)
        left_over([one])


class Mine(ReadableSpan):
    @property
    def name(self):
        return "mine"


def test_spans_of_other_classes_are_left_and_alike():
    mine = Mine("a", context=OTHER, resource=Resource({"k": "v"}))
    assert left_over([span(), mine, object(), span()]) == [1, 2]
    assert left_over([mine, span()]) == [0]


def test_what_is_left_may_change_the_spans_around_it():
    spans = [span(attributes={"k": str(n) * 100}) for n in range(200)]

    class Changing:
        def __str__(self):
            for one in spans[:100] + spans[101:]:
                one._attributes = one._resource = one._events = None
            return "changed"

    spans[100] = with_value(Changing())
    with backends.running("native"), pytest.raises(InputError, match="span 101 is not a span"):
        sdk.encode_spans(spans)


def test_threads_do_not_meet_each_others_spans():
    lists = [[with_value(value) for value in (number, Decimal(number)) * 1500] for number in range(4)]
    with ThreadPoolExecutor(len(lists)) as pool:
        together = list(pool.map(sdk.encode_spans, lists * 2))
    assert together == [sdk_reference.encode_spans(spans) for spans in lists] * 2


def test_an_error_of_the_iterable_is_raised_as_it_is():
    def spans():
        yield span()
        raise ZeroDivisionError

    assert outcome(sdk.encode_spans, spans()) == (ZeroDivisionError, "")


# --- which encoder runs -----------------------------------------------------------------------------------------------


def test_the_native_backend_writes_natively_and_the_reference_does_not(monkeypatch):
    def refused(*_):
        raise AssertionError("the other encoder")

    expected = sdk_reference.encode_spans([span()])
    with backends.running("native"), monkeypatch.context() as patch:
        patch.setattr(sdk_reference, "encode_span", refused)
        assert sdk.encode_spans([span()]) == expected
    with backends.running("reference"), monkeypatch.context() as patch:
        patch.setattr(sdk, "span_writer", refused)
        assert sdk.encode_spans([span()]) == expected


@pytest.mark.parametrize(
    "change", [lambda options: options.pop("event"), lambda options: options.update(context=tuple)]
)
def test_an_sdk_with_other_slots_is_encoded_by_its_properties(monkeypatch, change):
    from tracezip import _spans

    right = _spans.SpanWriter
    monkeypatch.setattr(_spans, "SpanWriter", lambda **options: right(**options | change))
    with backends.running("native"):
        sdk.span_writer.cache_clear()
        try:
            assert sdk.span_writer() is None
            assert sdk.encode_spans([span()]) == sdk_reference.encode_spans([span()])
        finally:
            sdk.span_writer.cache_clear()


def test_no_reference_to_a_part_of_a_span_is_kept_or_lost():
    context, resource, scope = SpanContext(7 << 70, 1, True), Resource({"a": "b"}), InstrumentationScope("scope" * 2)
    values = [object(), "value" * 3, 1 << 40, 2.5, ("item" * 2,)]
    parts = [context, resource, scope, *values]
    spans = [
        span(
            context=context,
            parent=context,
            resource=resource,
            instrumentation_scope=scope,
            attributes=dict(zip("abcd", values[1:], strict=True)),
            events=[Event("e", {"k": values[0]}, 1)] if odd else (),
        )
        for odd in (False, True, False)
    ]
    before = [sys.getrefcount(part) for part in parts]
    for _ in range(100):
        sdk.encode_spans(spans)
    assert [sys.getrefcount(part) for part in parts] == before
