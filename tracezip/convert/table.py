"""A span as a row: the columns of DuckDB's `otlp` extension, their names and order, and how each is read from a span.

Times and durations are in nanoseconds; ids are lower-case hex; kinds and status codes are OTLP's numbers; attributes,
events and links are JSON text, in which bytes are in base64 and NaN and infinities are strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracezip.convert.spans import Resource, Scope, Span
from tracezip.convert.tags import json_text, value_text


def _resource_text(key: str) -> Callable[[Span], str]:
    return lambda span: value_text(span.resource.attributes.get(key))


def _events(span: Span) -> str:
    return json_text(
        [
            {
                "timestamp": event.time_ns,
                "name": event.name,
                "attributes": event.attributes,
                "dropped_attributes_count": event.dropped_attributes_count,
            }
            for event in span.events
        ]
    )


def _links(span: Span) -> str:
    return json_text(
        [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": link.trace_state,
                "attributes": link.attributes,
                "dropped_attributes_count": link.dropped_attributes_count,
                "flags": link.flags,
            }
            for link in span.links
        ]
    )


_N_SHARED = 1024
_shared: dict[int, tuple[Resource | Scope, str]] = {}
"""Owners of attributes by their `id()`, kept so that no two share it, and the JSON of the attributes."""


def shared_text(owner: Resource | Scope) -> str:
    """The JSON of attributes that many spans share, written once."""
    known = _shared.get(id(owner))
    if known is None:
        if len(_shared) >= _N_SHARED:
            _shared.clear()
        known = _shared[id(owner)] = owner, json_text(owner.attributes)
    return known[1]


COLUMNS: dict[str, Callable[[Span], Any]] = {
    "timestamp": lambda span: span.start_ns,
    "end_timestamp": lambda span: span.end_ns,
    "duration": lambda span: span.duration_ns,
    "trace_id": lambda span: span.trace_id.hex(),
    "span_id": lambda span: span.span_id.hex(),
    "parent_span_id": lambda span: span.parent_span_id.hex(),
    "trace_state": lambda span: span.trace_state,
    "service_name": _resource_text("service.name"),
    "service_namespace": _resource_text("service.namespace"),
    "service_instance_id": _resource_text("service.instance.id"),
    "span_name": lambda span: span.name,
    "span_kind": lambda span: span.kind,
    "status_code": lambda span: span.status_code,
    "status_message": lambda span: span.status_message,
    "resource_attributes": lambda span: shared_text(span.resource),
    "scope_name": lambda span: span.scope.name,
    "scope_version": lambda span: span.scope.version,
    "scope_attributes": lambda span: shared_text(span.scope),
    "span_attributes": lambda span: json_text(span.attributes),
    "events_json": _events,
    "links_json": _links,
    "dropped_attributes_count": lambda span: span.dropped_attributes_count,
    "dropped_events_count": lambda span: span.dropped_events_count,
    "dropped_links_count": lambda span: span.dropped_links_count,
    "flags": lambda span: span.flags,
}
"""Column -> its value for a span."""
