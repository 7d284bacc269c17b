"""Plain spans -> OTLP protobuf, the way back from `tracezip.convert.spans`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from tracezip.convert.schema import ROOT
from tracezip.convert.spans import Event, Link, Resource, Scope, Span
from tracezip.convert.values import ATTRIBUTE_DEPTH, encode_attributes
from tracezip.convert.wire import WRITERS


def encode_plain_spans(spans: Sequence[Span]) -> bytes:
    """The spans as one OTLP protobuf message, in their order: neighbours that share a resource object share a group.

    Raises InputError if an attribute's value is nested too deep for OTLP.
    """
    groups = [_resource_spans(list(group)) for _, group in groupby(spans, key=lambda span: id(span.resource))]
    return WRITERS[ROOT].write({"resource_spans": groups})


def _resource_spans(spans: list[Span]) -> bytes:
    resource = spans[0].resource
    groups = [_scope_spans(list(group)) for _, group in groupby(spans, key=lambda span: id(span.scope))]
    return WRITERS["ResourceSpans"].write(
        {"resource": _resource(resource) or None, "scope_spans": groups, "schema_url": resource.schema_url}
    )


def _scope_spans(spans: list[Span]) -> bytes:
    scope = spans[0].scope
    return WRITERS["ScopeSpans"].write(
        {"scope": _scope(scope) or None, "spans": map(_span, spans), "schema_url": scope.schema_url}
    )


def _resource(resource: Resource) -> bytes:
    return WRITERS["Resource"].write(_attributes(resource, ATTRIBUTE_DEPTH))


def _scope(scope: Scope) -> bytes:
    values = {"name": scope.name, "version": scope.version, **_attributes(scope, ATTRIBUTE_DEPTH)}
    return WRITERS["InstrumentationScope"].write(values)


def _attributes(owner: Resource | Scope | Event | Link, depth: int) -> dict[str, Any]:
    return {
        "attributes": encode_attributes(owner.attributes, depth),
        "dropped_attributes_count": owner.dropped_attributes_count,
    }


def _span(span: Span) -> bytes:
    return WRITERS["Span"].write(
        {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "trace_state": span.trace_state,
            "parent_span_id": span.parent_span_id,
            "name": span.name,
            "kind": span.kind,
            "start_time_unix_nano": span.start_ns,
            "end_time_unix_nano": span.end_ns,
            "attributes": encode_attributes(span.attributes, ATTRIBUTE_DEPTH),
            "dropped_attributes_count": span.dropped_attributes_count,
            "events": map(_event, span.events),
            "dropped_events_count": span.dropped_events_count,
            "links": map(_link, span.links),
            "dropped_links_count": span.dropped_links_count,
            "status": _status(span) or None,
            "flags": span.flags,
        }
    )


def _status(span: Span) -> bytes:
    return WRITERS["Status"].write({"message": span.status_message, "code": span.status_code})


def _event(event: Event) -> bytes:
    values = {"time_unix_nano": event.time_ns, "name": event.name, **_attributes(event, ATTRIBUTE_DEPTH + 1)}
    return WRITERS["Event"].write(values)


def _link(link: Link) -> bytes:
    values = {
        "trace_id": link.trace_id,
        "span_id": link.span_id,
        "trace_state": link.trace_state,
        **_attributes(link, ATTRIBUTE_DEPTH + 1),
        "flags": link.flags,
    }
    return WRITERS["Link"].write(values)


def message_batches(spans: Iterable[Span], n_spans: int) -> Iterator[bytes]:
    """The spans as messages of `n_spans` each, the last one of what is left."""
    batch: list[Span] = []
    for span in spans:
        batch.append(span)
        if len(batch) == n_spans:
            yield encode_plain_spans(batch)
            batch = []
    if batch:
        yield encode_plain_spans(batch)
