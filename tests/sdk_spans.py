"""Spans of the SDK as hypothesis makes them up."""

from __future__ import annotations

from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope as SdkScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import Status as SdkStatus

TEXT = st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=4)
TIMES = st.none() | st.integers(0, 2**64 - 1)
STATES = st.just(TraceState()) | st.just(TraceState([("k", "v"), ("l", "w")]))
CONTEXTS = st.builds(
    SpanContext,
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.builds(TraceFlags, st.integers(0, 255)),
    trace_state=STATES,
)
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.builds(Resource, st.dictionaries(TEXT, TEXT, max_size=2), st.sampled_from(["", "u"])),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXT, ATTRIBUTES, st.integers(0, 2**64 - 1)), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.builds(SdkStatus, st.sampled_from(StatusCode)),
    start_time=TIMES,
    end_time=TIMES,
    instrumentation_scope=st.none() | st.builds(SdkScope, TEXT, TEXT, TEXT),
)
