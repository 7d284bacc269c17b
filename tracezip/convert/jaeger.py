"""Traces as Jaeger's JSON, that of its query API and of its UI's files: {"data": [{"traceID", "spans", "processes"}]}.

Sources: "OpenTelemetry to Jaeger Transformation", and `internal/uimodel` of Jaeger for the JSON itself. Beyond what
the document asks for, an INTERNAL kind is written as a tag, as the Collector does, and a link that has attributes is
a log besides a reference, as the document allows: both come back. docs/CONVERSIONS.md lists what the format cannot
hold, and what comes back instead.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from tracezip.convert.schema import FLAG_SAMPLED
from tracezip.convert.spans import SPAN_KINDS, Event, Link, Resource, Span
from tracezip.convert.tags import (
    ERROR,
    KIND,
    NO_SERVICE,
    SERVICE_NAME,
    STATUS_CODE,
    STATUS_DESCRIPTION,
    STATUS_NAMES,
    TRACE_STATE,
    UNKNOWN_SERVICE,
    compact_json,
    json_value,
    tags_of,
    value_text,
    with_count,
)
from tracezip.convert.wire import utf8

CHILD_OF, FOLLOWS_FROM = "CHILD_OF", "FOLLOWS_FROM"
REFERENCE_TYPE, CHILD_OF_LINK = "opentracing.ref_type", "child_of"
"""The attribute of a link that says, with this value, that Jaeger has it as a further parent."""
WARNINGS = "@jaeger@warnings"
"""The attribute in which Jaeger keeps what it warns of in a span."""
EVENT_NAME, LINK_EVENT = "event", "link"
MAX_UPLOAD_BYTES = 50_000_000
"""Jaeger's UI refuses larger files."""

_MAX_SAFE_INTEGER = (1 << 53) - 1
"""Jaeger writes larger integers as strings, because JavaScript cannot read them."""
_BEGIN, _END = b'{"data":[', b'],"total":0,"limit":0,"offset":0,"errors":null}\n'


def write_jaeger(traces: Iterable[Sequence[Span]], stream: BinaryIO) -> None:
    """Writes one document. Each trace must be whole, since Jaeger's UI shows one of those that have the same id.

    Memory holds one trace.
    """
    stream.write(_BEGIN)
    for number, trace in enumerate(traces):
        stream.write((b",\n" if number else b"\n") + trace_document(trace))
    stream.write(_END)


def split_documents(traces: Iterable[Sequence[Span]], max_bytes: int = MAX_UPLOAD_BYTES) -> Iterator[bytes]:
    """Documents of at most `max_bytes`, each of as many traces as fit. A trace that is larger has one of its own."""
    document = io.BytesIO()
    for trace in traces:
        text = trace_document(trace)
        if document.tell() and document.tell() + len(text) + len(_END) + 2 > max_bytes:
            yield document.getvalue() + _END
            document = io.BytesIO()
        document.seek(0, io.SEEK_END)
        document.write((b",\n" if document.tell() else _BEGIN + b"\n") + text)
    if document.tell():
        yield document.getvalue() + _END


def trace_document(trace: Sequence[Span]) -> bytes:
    """The JSON object of one trace, whose id is that of its first span."""
    processes = _Processes()
    spans = [_span(span, processes.id_of(span.resource)) for span in trace]
    document = {"traceID": spans[0]["traceID"] if spans else "", "spans": spans, "processes": processes.by_id}
    return utf8(compact_json({**document, "warnings": None}))


class _Processes:
    """The processes of a trace, whose spans keep the resources alive, by their ids, which are p1, p2 and so on."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}
        self._by_text: dict[str, str] = {}
        self._by_object: dict[int, str] = {}

    def id_of(self, resource: Resource) -> str:
        process_id = self._by_object.get(id(resource))
        if process_id is None:
            process = _process(resource)
            process_id = self._by_text.setdefault(compact_json(process), f"p{len(self.by_id) + 1}")
            self.by_id[process_id] = process
            self._by_object[id(resource)] = process_id
        return process_id


def _process(resource: Resource) -> dict[str, Any]:
    """A service name that Jaeger could not tell from none is written as a tag."""
    tags = with_count(resource.attributes, resource.dropped_attributes_count)
    name = resource.service_name
    if name in NO_SERVICE:
        return {"serviceName": UNKNOWN_SERVICE, "tags": _key_values(tags)}
    return {"serviceName": name, "tags": _key_values({key: tags[key] for key in tags if key != SERVICE_NAME})}


def _span(span: Span, process_id: str) -> dict[str, Any]:
    tags = {**tags_of(span), **_kind_tags(span.kind), **_status_tags(span)}
    warnings = _take_warnings(tags)
    flags = {"flags": FLAG_SAMPLED} if span.flags & FLAG_SAMPLED else {}
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        **flags,
        "operationName": span.name,
        "references": [*_parent(span), *map(_reference, span.links)],
        "startTime": span.start_ns // 1000,
        "duration": max(span.duration_ns, 0) // 1000,
        "tags": _key_values(tags),
        "logs": [*map(_log, span.events), *_link_logs(span)],
        "processID": process_id,
        "warnings": warnings,
    }


def _take_warnings(tags: dict[str, Any]) -> list[str] | None:
    warnings = tags.get(WARNINGS)
    if not isinstance(warnings, tuple) or not all(isinstance(warning, str) for warning in warnings):
        return None
    return list(tags.pop(WARNINGS)) or None


def _kind_tags(kind: int) -> dict[str, str]:
    return {KIND: SPAN_KINDS[kind].lower()} if 0 < kind < len(SPAN_KINDS) else {}


def _status_tags(span: Span) -> dict[str, Any]:
    if span.status_code not in STATUS_NAMES:
        return {}
    tags: dict[str, Any] = {STATUS_CODE: STATUS_NAMES[span.status_code]}
    if span.is_error:
        tags[ERROR] = True
    if span.status_message:
        tags[STATUS_DESCRIPTION] = span.status_message
    return tags


def _parent(span: Span) -> list[dict[str, str]]:
    if not any(span.parent_span_id):
        return []
    return [{"refType": CHILD_OF, "traceID": span.trace_id.hex(), "spanID": span.parent_span_id.hex()}]


def _reference(link: Link) -> dict[str, str]:
    kind = CHILD_OF if link.attributes.get(REFERENCE_TYPE) == CHILD_OF_LINK else FOLLOWS_FROM
    return {"refType": kind, "traceID": link.trace_id.hex(), "spanID": link.span_id.hex()}


def _log(event: Event) -> dict[str, Any]:
    """An attribute of the name `event` takes precedence over the event's name, as the document says."""
    name = {EVENT_NAME: event.name} if event.name else {}
    fields = with_count({**name, **event.attributes}, event.dropped_attributes_count)
    return {"timestamp": event.time_ns // 1000, "fields": _key_values(fields)}


def _link_logs(span: Span) -> Iterator[dict[str, Any]]:
    """What references cannot hold of links: a log for each link, in order, or none if no link has more to say."""
    logs = [_beyond_reference(link) for link in span.links]
    if not any(logs):
        return
    for link, attributes in zip(span.links, logs, strict=True):
        ids = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
        fields = _key_values({**attributes, EVENT_NAME: LINK_EVENT, **ids})
        yield {"timestamp": span.start_ns // 1000, "fields": fields}


def _beyond_reference(link: Link) -> dict[str, Any]:
    attributes = with_count(link.attributes, link.dropped_attributes_count)
    if link.trace_state:
        attributes = {**attributes, TRACE_STATE: link.trace_state}
    is_told = attributes.get(REFERENCE_TYPE) == CHILD_OF_LINK
    return {key: attributes[key] for key in attributes if key != REFERENCE_TYPE} if is_told else attributes


def _key_values(tags: dict[str, Any]) -> list[dict[str, Any]]:
    return [_key_value(key, value) for key, value in tags.items()]


def _key_value(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"key": key, "type": "string", "value": value}
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value if abs(value) <= _MAX_SAFE_INTEGER else str(value)}
    if isinstance(value, float):
        return {"key": key, "type": "float64", "value": json_value(value)}
    if isinstance(value, bytes):
        return {"key": key, "type": "binary", "value": json_value(value)}
    return {"key": key, "type": "string", "value": value_text(value)}
