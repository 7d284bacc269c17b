"""OTLP protobuf -> plain spans, for what shows traces or writes them in another form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from tracezip.convert.fields import Values, read_attributes, read_fields

_N_CACHED = 1024
"""Resources and scopes that are read once and shared by their spans."""

SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
"""By the numbers of OTLP."""
STATUS_UNSET, STATUS_OK, STATUS_ERROR = range(3)


@dataclass(frozen=True, slots=True)
class Resource:
    attributes: dict[str, Any] = field(default_factory=dict)
    schema_url: str = ""
    dropped_attributes_count: int = 0

    @property
    def service_name(self) -> str:
        """`service.name`, "" where there is none."""
        name = self.attributes.get("service.name")
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Scope:
    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    schema_url: str = ""
    dropped_attributes_count: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    time_ns: int
    name: str
    attributes: dict[str, Any]
    dropped_attributes_count: int


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: bytes
    span_id: bytes
    trace_state: str
    attributes: dict[str, Any]
    dropped_attributes_count: int
    flags: int


@dataclass(frozen=True, slots=True)
class Span:
    """One span and where it comes from. Times in ns since 1970; ids as they are, b"" where there is none."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    status_code: int
    status_message: str
    trace_state: str
    flags: int
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int
    resource: Resource
    scope: Scope

    @property
    def duration_ns(self) -> int:
        """Negative if the span ends before it starts."""
        return self.end_ns - self.start_ns

    @property
    def service_name(self) -> str:
        return self.resource.service_name

    @property
    def is_error(self) -> bool:
        return self.status_code == STATUS_ERROR


class Context(NamedTuple):
    """What spans of one ScopeSpans share: the encoded resource and scope, and their schema URLs."""

    resource: bytes
    resource_schema_url: str
    scope: bytes
    scope_schema_url: str

    def read(self) -> tuple[Resource, Scope]:
        """Raises InputError where they are no messages. What was read lately is the same object again."""
        return _resource(self.resource, self.resource_schema_url), _scope(self.scope, self.scope_schema_url)


EncodedSpan = tuple[bytes, Context]


def encoded_spans(message: bytes) -> Iterator[EncodedSpan]:
    """The spans of an OTLP protobuf message, in order, still encoded. Raises InputError where it is none."""
    for resource_spans in read_fields("TracesData", message)["resource_spans"]:
        outer = read_fields("ResourceSpans", resource_spans)
        for scope_spans in outer["scope_spans"]:
            inner = read_fields("ScopeSpans", scope_spans)
            context = Context(
                outer.get("resource", b""),
                outer.get("schema_url", ""),
                inner.get("scope", b""),
                inner.get("schema_url", ""),
            )
            for span in inner["spans"]:
                yield span, context


def read_spans(message: bytes) -> Iterator[Span]:
    """The spans of an OTLP protobuf message, in order. Raises InputError where it is none."""
    for span, context in encoded_spans(message):
        yield read_span(span, *context.read())


def read_resource(resource_spans: bytes) -> Resource:
    """The resource of an OTLP ResourceSpans message. Raises InputError where it is none."""
    return _resource_of(read_fields("ResourceSpans", resource_spans))


def read_scope(scope_spans: bytes) -> Scope:
    """The scope of an OTLP ScopeSpans message. Raises InputError where it is none."""
    return _scope_of(read_fields("ScopeSpans", scope_spans))


def traces_of(spans: Iterable[Span]) -> dict[bytes, list[Span]]:
    """Spans by their trace ids, both in the order in which they come."""
    traces: dict[bytes, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def read_span(data: bytes, resource: Resource, scope: Scope) -> Span:
    """One OTLP Span message. Raises InputError where it is none."""
    values = read_fields("Span", data)
    status = read_fields("Status", values["status"]) if "status" in values else {}
    return Span(
        trace_id=values.get("trace_id", b""),
        span_id=values.get("span_id", b""),
        parent_span_id=values.get("parent_span_id", b""),
        name=values.get("name", ""),
        kind=values.get("kind", 0),
        start_ns=values.get("start_time_unix_nano", 0),
        end_ns=values.get("end_time_unix_nano", 0),
        attributes=read_attributes(values["attributes"]),
        events=tuple(map(_event, values["events"])),
        links=tuple(map(_link, values["links"])),
        status_code=status.get("code", 0),
        status_message=status.get("message", ""),
        trace_state=values.get("trace_state", ""),
        flags=values.get("flags", 0),
        dropped_attributes_count=values.get("dropped_attributes_count", 0),
        dropped_events_count=values.get("dropped_events_count", 0),
        dropped_links_count=values.get("dropped_links_count", 0),
        resource=resource,
        scope=scope,
    )


def _event(data: bytes) -> Event:
    values = read_fields("Event", data)
    return Event(values.get("time_unix_nano", 0), values.get("name", ""), *_attributes(values))


def _link(data: bytes) -> Link:
    values = read_fields("Link", data)
    return Link(
        values.get("trace_id", b""),
        values.get("span_id", b""),
        values.get("trace_state", ""),
        *_attributes(values),
        values.get("flags", 0),
    )


def _attributes(values: Values) -> tuple[dict[str, Any], int]:
    return read_attributes(values["attributes"]), values.get("dropped_attributes_count", 0)


def _resource_of(resource_spans: Values) -> Resource:
    return _resource(resource_spans.get("resource", b""), resource_spans.get("schema_url", ""))


def _scope_of(scope_spans: Values) -> Scope:
    return _scope(scope_spans.get("scope", b""), scope_spans.get("schema_url", ""))


@lru_cache(_N_CACHED)
def _resource(data: bytes, schema_url: str) -> Resource:
    values = read_fields("Resource", data)
    attributes, n_dropped = _attributes(values)
    return Resource(attributes, schema_url, n_dropped)


@lru_cache(_N_CACHED)
def _scope(data: bytes, schema_url: str) -> Scope:
    values = read_fields("InstrumentationScope", data)
    attributes, n_dropped = _attributes(values)
    return Scope(values.get("name", ""), values.get("version", ""), attributes, schema_url, n_dropped)
