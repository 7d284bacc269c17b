"""Spans of the OpenTelemetry Python SDK -> OTLP protobuf bytes in Python: the reference, and the way for unusual spans.

By duck typing: the SDK is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracezip.convert.schema import FLAG_HAS_IS_REMOTE, FLAG_IS_REMOTE, FLAG_TRACE_FLAGS_MASK, ROOT
from tracezip.convert.values import ATTRIBUTE_DEPTH, as_text, encode_attributes
from tracezip.convert.wire import WRITERS
from tracezip.errors import InputError

KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
"""The SDK's SpanKind by name -> OTLP's, which has 0 for unspecified."""

Key = tuple[bytes, str]
"""A resource or scope: encoded, and its schema URL."""


def encode_spans(spans: Iterable[Any]) -> bytes:
    """The spans as one OTLP protobuf message; see `tracezip.convert.sdk`."""
    groups: dict[Key, dict[Key, list[bytes]]] = {}
    parts = SpanParts()
    for index, span in enumerate(spans):
        resource, scope, data = parts.of(index, span)
        groups.setdefault(resource, {}).setdefault(scope, []).append(data)
    resource_spans = [_resource_spans(*resource, scopes) for resource, scopes in groups.items()]
    return WRITERS[ROOT].write({"resource_spans": resource_spans})


class SpanParts:
    """Encodes spans and what they belong to; each resource and scope object once. It keeps them alive, so that no two
    share an `id()`."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, Key]] = {}

    def of(self, index: int, span: Any) -> tuple[Key, Key, bytes]:
        """Resource, scope and `Span` message of a span. Raises InputError with its number."""
        try:
            return self._of_resource(span.resource), self._of_scope(span.instrumentation_scope), encode_span(span)
        except InputError as error:
            raise InputError(f"span {index}: {error}") from error
        except Exception as error:
            raise InputError(f"span {index} is not a span of the OpenTelemetry SDK: {_reason(error)}") from error

    def _of_resource(self, resource: Any) -> Key:
        known = self._seen.get(id(resource))
        if known is None:
            known = self._seen[id(resource)] = resource, (_resource(resource), as_text(resource.schema_url))
        return known[1]

    def _of_scope(self, scope: Any) -> Key:
        if not scope:
            return b"", ""
        known = self._seen.get(id(scope))
        if known is None:
            known = self._seen[id(scope)] = scope, (_scope(scope), as_text(scope.schema_url))
        return known[1]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def encode_span(span: Any) -> bytes:
    """One ReadableSpan as an OTLP `Span` message; without its resource and scope, which stand outside of it."""
    context, parent, status = span.get_span_context(), span.parent, span.status
    return WRITERS["Span"].write(
        {
            **_ids(context),
            "trace_state": _trace_state(context),
            "parent_span_id": parent.span_id.to_bytes(8, "big") if parent else None,
            "name": as_text(span.name),
            "kind": KINDS[span.kind.name] if span.kind is not None else None,
            "start_time_unix_nano": _nanoseconds(span.start_time),
            "end_time_unix_nano": _nanoseconds(span.end_time),
            "attributes": encode_attributes(span.attributes, ATTRIBUTE_DEPTH),
            "dropped_attributes_count": span.dropped_attributes,
            "events": [_event(event) for event in span.events],
            "dropped_events_count": span.dropped_events,
            "links": [_link(link) for link in span.links],
            "dropped_links_count": span.dropped_links,
            "status": _status(status) if status is not None else None,
            "flags": _flags(context, parent),
        }
    )


def _resource(resource: Any) -> bytes:
    return WRITERS["Resource"].write({"attributes": encode_attributes(resource.attributes, ATTRIBUTE_DEPTH)})


def _scope(scope: Any) -> bytes:
    attributes = getattr(scope, "attributes", None)  # the SDK has them since 1.24
    return WRITERS["InstrumentationScope"].write(
        {
            "name": as_text(scope.name),
            "version": as_text(scope.version),
            "attributes": encode_attributes(attributes, ATTRIBUTE_DEPTH),
        }
    )


def _resource_spans(resource: bytes, schema_url: str, scopes: dict[Key, list[bytes]]) -> bytes:
    scope_spans = [
        WRITERS["ScopeSpans"].write({"scope": scope, "spans": spans, "schema_url": scope_schema_url})
        for (scope, scope_schema_url), spans in scopes.items()
    ]
    return WRITERS["ResourceSpans"].write({"resource": resource, "scope_spans": scope_spans, "schema_url": schema_url})


def _ids(context: Any) -> dict[str, bytes]:
    """Empty for a span that was made without a context."""
    if context is None:
        return {}
    return {"trace_id": context.trace_id.to_bytes(16, "big"), "span_id": context.span_id.to_bytes(8, "big")}


def _trace_state(context: Any) -> str | None:
    if context is None or not context.trace_state:
        return None
    return ",".join([f"{key}={value}" for key, value in context.trace_state.items()])


def _flags(context: Any, remote: Any) -> int:
    """The W3C flags of a span or link, and whether `remote`, its parent or its target, is in another process."""
    trace_flags = int(context.trace_flags) & FLAG_TRACE_FLAGS_MASK if context is not None else 0
    return trace_flags | FLAG_HAS_IS_REMOTE | (FLAG_IS_REMOTE if remote and remote.is_remote else 0)


def _event(event: Any) -> bytes:
    return WRITERS["Event"].write(
        {
            "time_unix_nano": _nanoseconds(event.timestamp),
            "name": as_text(event.name),
            "attributes": encode_attributes(event.attributes, ATTRIBUTE_DEPTH + 1),
            "dropped_attributes_count": _dropped(event),
        }
    )


def _link(link: Any) -> bytes:
    return WRITERS["Link"].write(
        {
            **_ids(link.context),
            "trace_state": _trace_state(link.context),
            "attributes": encode_attributes(link.attributes, ATTRIBUTE_DEPTH + 1),
            "dropped_attributes_count": _dropped(link),
            "flags": _flags(link.context, link.context),
        }
    )


def _dropped(owner: Any) -> int:
    """The attributes that an event or link lost to a limit; older SDKs count them in the attributes only."""
    count = getattr(owner, "dropped_attributes", None)
    return int(getattr(owner.attributes, "dropped", 0) if count is None else count)


def _status(status: Any) -> bytes:
    return WRITERS["Status"].write({"message": as_text(status.description), "code": status.status_code.value})


def _nanoseconds(time: int | None) -> int | None:
    if time is not None and not 0 <= time < 1 << 64:
        raise InputError(f"the time {time} is not a number of nanoseconds since 1970 that fits 64 bits")
    return time
