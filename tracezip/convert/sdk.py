"""Spans of the OpenTelemetry Python SDK -> OTLP protobuf bytes. The SDK is not imported.

The result is what the SDK's own OTLP exporter makes of the same spans, with what that one drops: the trace state of
links and the W3C trace flags of spans and links. Where it fails and loses the batch, as on a name that is no string
or an unpaired surrogate, this keeps what can be kept.

The native backend reads the private slots of the SDK's classes. Of an SDK in which they are others than it knows, and
of whatever is not exactly of the SDK's types, it makes the same bytes by the public properties, slowly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tracezip import _backend
from tracezip.convert import sdk_reference
from tracezip.convert.sdk_reference import SpanParts

if TYPE_CHECKING:
    from tracezip._spans import SpanWriter


def encode_spans(spans: Iterable[Any]) -> bytes:
    """The spans as one OTLP protobuf message, grouped by resource and scope in the order of their first spans.

    Resources and scopes are the same when they are encoded the same. Raises InputError with the number of the span if
    one is not a span of the SDK, or has a value that OTLP cannot express.
    """
    if _backend.NAME == "native" and "opentelemetry.sdk.trace" in sys.modules:
        writer = span_writer()
        if writer is not None:
            return writer.write(spans, SpanParts().of)
    return sdk_reference.encode_spans(spans)


@lru_cache(1)
def span_writer() -> SpanWriter | None:
    """The native writer; None if it does not understand the installed SDK."""
    try:
        writer, span = _writer(), _sample_span()
        known = writer.write([span], _not_written) == sdk_reference.encode_spans([span])
    except Exception:
        known = False
    return writer if known else None


def _not_written(index: int, span: Any) -> Any:
    raise ValueError("the classes of the SDK have other slots")


def _writer() -> SpanWriter:
    from opentelemetry import trace
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util import BoundedList
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from tracezip._spans import SpanWriter

    return SpanWriter(
        readable_span=ReadableSpan,
        event=Event,
        link=trace.Link,
        context=trace.SpanContext,
        trace_flags=trace.TraceFlags,
        trace_state=trace.TraceState,
        status=trace.Status,
        resource=Resource,
        scope=InstrumentationScope,
        bounded_attributes=BoundedAttributes,
        bounded_list=BoundedList,
        kinds=tuple(trace.SpanKind[name] for name in sdk_reference.KINDS),
        codes=tuple(trace.StatusCode),
    )


def _sample_span() -> Any:
    """One that has something in every field."""
    from opentelemetry import trace
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util import BoundedList
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    state = trace.TraceState([("key", "value")])
    context = trace.SpanContext(1, 2, True, trace.TraceFlags(3), state)
    attributes = BoundedAttributes(attributes={"key": ("value", 4, 5.0, False)})
    attributes.dropped = 6
    events = BoundedList.from_seq(2, [Event("event", attributes, time) for time in (7, 8, 9)])
    links = BoundedList.from_seq(1, [trace.Link(context, attributes), trace.Link(context, attributes)])
    return ReadableSpan(
        name="span",
        context=context,
        parent=trace.SpanContext(1, 10, True),
        resource=Resource({"key": "value"}, "resource"),
        attributes=attributes,
        events=events,
        links=links,
        kind=trace.SpanKind.CLIENT,
        status=trace.Status(trace.StatusCode.ERROR, "status"),
        start_time=11,
        end_time=12,
        instrumentation_scope=InstrumentationScope("scope", "version", "schema", {"key": "value"}),
    )
