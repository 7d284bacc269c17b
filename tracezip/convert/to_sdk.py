"""OTLP protobuf -> spans of the OpenTelemetry Python SDK, the way back from `tracezip.convert.sdk`.

Imports the SDK, and so it is imported only when a span of the SDK is asked for. What OTLP does not say about a span is
taken for what the SDK does: the parent has the trace id, the trace state and the trace flags of the span; an empty
scope is none; a time of 0 is none, but for events, which always have one. Sequences come back as tuples, attributes as
the SDK's own mapping, which is read-only and equal to a dict of the same items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tracezip.convert.fields import Values, read_attributes, read_fields
from tracezip.convert.schema import FLAG_IS_REMOTE, FLAG_TRACE_FLAGS_MASK

_KINDS = (None, SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER)
"""By the numbers of OTLP."""
_N_CACHED = 256
"""Resources and scopes that are rebuilt once and shared by their spans."""


def readable_span(
    span: bytes,
    resource: bytes = b"",
    resource_schema_url: bytes = b"",
    scope: bytes = b"",
    scope_schema_url: bytes = b"",
) -> ReadableSpan:
    """The span of the SDK that these messages, and schema URLs in UTF-8, were made of by `tracezip.convert.sdk`.

    It is for what was made there only: other messages may raise anything.
    """
    values = read_fields("Span", span)
    context = _context(values)
    return ReadableSpan(
        name=values.get("name", ""),
        context=context,
        parent=_parent(values, context),
        resource=_resource(resource, resource_schema_url.decode()),
        attributes=_attributes(values),
        events=_bounded(map(_event, values["events"]), values.get("dropped_events_count", 0)),
        links=_bounded(map(_link, values["links"]), values.get("dropped_links_count", 0)),
        kind=_KINDS[values.get("kind", 0)],  # type: ignore[arg-type]  # None is what it was then
        status=_status(values.get("status")),  # type: ignore[arg-type]  # None is what it was then
        start_time=values.get("start_time_unix_nano"),
        end_time=values.get("end_time_unix_nano"),
        instrumentation_scope=_scope(scope, scope_schema_url.decode()),
    )


# --- values to objects of the SDK -------------------------------------------------------------------------------------


def _context(values: Values, is_remote: bool = False) -> SpanContext | None:
    """Of a span or a link; None if it was made without one."""
    if "span_id" not in values:
        return None
    return _span_context(values, int.from_bytes(values["trace_id"], "big"), values["span_id"], is_remote)


def _parent(values: Values, context: SpanContext | None) -> SpanContext | None:
    if "parent_span_id" not in values:
        return None
    trace_id = context.trace_id if context else 0
    return _span_context(values, trace_id, values["parent_span_id"], _is_remote(values))


def _span_context(values: Values, trace_id: int, span_id: bytes, is_remote: bool) -> SpanContext:
    flags = TraceFlags(values.get("flags", 0) & FLAG_TRACE_FLAGS_MASK)
    return SpanContext(trace_id, int.from_bytes(span_id, "big"), is_remote, flags, _trace_state(values))


def _is_remote(values: Values) -> bool:
    return bool(values.get("flags", 0) & FLAG_IS_REMOTE)


def _trace_state(values: Values) -> TraceState:
    entries = [entry.partition("=") for entry in values.get("trace_state", "").split(",") if entry]
    return TraceState([(key, value) for key, _, value in entries])


def _event(data: bytes) -> Event:
    values = read_fields("Event", data)
    return Event(values.get("name", ""), _attributes(values), values.get("time_unix_nano", 0))


def _link(data: bytes) -> Link:
    values = read_fields("Link", data)
    context = _context(values, _is_remote(values))
    return Link(context, _attributes(values))  # type: ignore[arg-type]  # None is what it was then


def _status(data: bytes | None) -> Status | None:
    if data is None:
        return None
    values = read_fields("Status", data)
    return Status(StatusCode(values.get("code", 0)), values.get("message"))


def _bounded(items: Iterator[Any], n_dropped: int) -> Sequence[Any]:
    bounded = BoundedList.from_seq(None, items)
    bounded.dropped = n_dropped
    return bounded


@lru_cache(_N_CACHED)
def _resource(data: bytes, schema_url: str) -> Resource:
    return Resource(read_attributes(read_fields("Resource", data)["attributes"]), schema_url)


@lru_cache(_N_CACHED)
def _scope(data: bytes, schema_url: str) -> InstrumentationScope | None:
    if not data and not schema_url:
        return None
    values = read_fields("InstrumentationScope", data)
    attributes = read_attributes(values["attributes"])
    return InstrumentationScope(values.get("name", ""), values.get("version"), schema_url, attributes)


def _attributes(values: Values) -> BoundedAttributes:
    attributes = BoundedAttributes(attributes=read_attributes(values["attributes"]))
    attributes.dropped = values.get("dropped_attributes_count", 0)
    return attributes
