"""Jaeger's JSON -> plain spans, by the rules of `tracezip.convert.jaeger` backwards.

The parent of a span is its first CHILD_OF reference in the same trace; all other references are links. A span may
name its process or have it in itself. Ids may lack zeros in front, as older versions wrote them. Keys of the trace
itself other than its spans and processes are not kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import IO, Any

from tracezip.convert.jaeger import CHILD_OF, CHILD_OF_LINK, EVENT_NAME, LINK_EVENT, REFERENCE_TYPE, WARNINGS
from tracezip.convert.json_object import JsonObject
from tracezip.convert.json_stream import JsonStream
from tracezip.convert.schema import FLAG_SAMPLED, ID_BYTES
from tracezip.convert.spans import STATUS_ERROR, STATUS_UNSET, Event, Link, Resource, Span
from tracezip.convert.tags import (
    DROPPED_ATTRIBUTES,
    DROPPED_EVENTS,
    DROPPED_LINKS,
    ERROR,
    NO_SERVICE,
    SERVICE_NAME,
    STATUS_CODE,
    STATUS_CODES,
    STATUS_DESCRIPTION,
    TRACE_STATE,
    Scopes,
    take_count,
    take_kind,
    take_text,
)
from tracezip.errors import InputError

_N_TRACE_ID, _N_SPAN_ID = ID_BYTES["trace_id"], ID_BYTES["span_id"]
_MAX_FLAGS = (1 << 32) - 1


def read_jaeger(source: IO[bytes]) -> Iterator[list[Span]]:
    """The traces of a document, one at a time. Raises InputError that names the place of what is wrong."""
    document = JsonStream(source)
    has_data = False
    for key in document.members():
        if key == "data" and document.next_character() == "[":
            has_data = True
            for index, trace in enumerate(document.items()):
                yield read_trace(trace, f"data[{index}]")
        else:
            document.value()
    document.end()
    if not has_data:
        raise InputError('not Jaeger\'s JSON: an array of traces is needed under the key "data"')


def read_trace(trace: object, path: str) -> list[Span]:
    """The spans of one parsed trace, in order."""
    return _Trace(JsonObject(trace, path)).spans()


class _Trace:
    def __init__(self, trace: JsonObject) -> None:
        self._trace = trace
        self._processes: dict[str, Resource] = {}
        self._scopes = Scopes()

    def spans(self) -> list[Span]:
        return [self._span(span) for span in self._trace.objects("spans")]

    def _span(self, span: JsonObject) -> Span:
        tags = read_tags(span, "tags")
        start_ns, end_ns = span.interval_ns("startTime", "duration")
        trace_id = span.identifier("traceID", _N_TRACE_ID)
        parent, links = _references(span, trace_id)
        events = tuple(_events(span, links))
        status, message = take_status(tags)
        return Span(
            trace_id=trace_id,
            span_id=span.identifier("spanID", _N_SPAN_ID),
            parent_span_id=parent,
            name=span.text("operationName"),
            kind=take_kind(tags),
            start_ns=start_ns,
            end_ns=end_ns,
            events=events,
            links=tuple(_link(*ids, tags) for ids, tags in links),
            status_code=status,
            status_message=message,
            trace_state=take_text(tags, TRACE_STATE),
            flags=span.integer("flags", _MAX_FLAGS) & FLAG_SAMPLED,
            dropped_attributes_count=take_count(tags, DROPPED_ATTRIBUTES),
            dropped_events_count=take_count(tags, DROPPED_EVENTS),
            dropped_links_count=take_count(tags, DROPPED_LINKS),
            resource=self._resource(span),
            scope=self._scopes.take(tags),
            attributes=_with_warnings(span, tags),
        )

    def _resource(self, span: JsonObject) -> Resource:
        """The resource of the process of a span: the one in it, or else the one that it names."""
        if span.values.get("process") is not None:
            return _resource(span.child("process"))
        name = span.text("processID")
        resource = self._processes.get(name)
        if resource is None:
            processes = self._trace.child("processes")
            if name and name not in processes.values:
                raise span.wrong("processID", f"one of the keys of {processes.path}")
            resource = self._processes[name] = _resource(processes.child(name))
        return resource


def _resource(process: JsonObject) -> Resource:
    tags = read_tags(process, "tags")
    name = process.text("serviceName")
    n_dropped = take_count(tags, DROPPED_ATTRIBUTES)
    return Resource(tags if name in NO_SERVICE else {SERVICE_NAME: name, **tags}, "", n_dropped)


_Ids = tuple[bytes, bytes]
_LinkTags = list[tuple[_Ids, dict[str, Any]]]
"""The links of a span: the ids of each, and what the logs say of it, which is empty at first."""


def _references(span: JsonObject, trace_id: bytes) -> tuple[bytes, _LinkTags]:
    """The id of the parent, and the links."""
    parent = b""
    links: _LinkTags = []
    for reference in span.objects("references"):
        ids = reference.identifier("traceID", _N_TRACE_ID), reference.identifier("spanID", _N_SPAN_ID)
        is_parent = reference.text("refType") == CHILD_OF
        if is_parent and not parent and ids[0] == trace_id:
            parent = ids[1]
        else:
            links.append((ids, {REFERENCE_TYPE: CHILD_OF_LINK} if is_parent else {}))
    return parent or span.identifier("parentSpanID", _N_SPAN_ID), links


def _events(span: JsonObject, links: _LinkTags) -> Iterator[Event]:
    """The logs, but for those that say what a reference could not: their fields go to the links, in order."""
    untold: dict[_Ids, deque[dict[str, Any]]] = {}
    for ids, tags in links:
        untold.setdefault(ids, deque()).append(tags)
    for log in span.objects("logs"):
        time_ns, fields = log.time_ns("timestamp"), read_tags(log, "fields")
        waiting = untold.get(_link_ids(fields)) if untold and fields.get(EVENT_NAME) == LINK_EVENT else None
        if waiting:
            waiting.popleft().update((key, fields[key]) for key in fields if key not in _LINK_FIELDS)
        else:
            name, n_dropped = take_text(fields, EVENT_NAME), take_count(fields, DROPPED_ATTRIBUTES)
            yield Event(time_ns, name, fields, n_dropped)


_LINK_FIELDS = (EVENT_NAME, "trace_id", "span_id")


def _link_ids(fields: dict[str, Any]) -> _Ids:
    """The ids that a log names, none if it is about something else."""
    try:
        trace_id, span_id = bytes.fromhex(fields["trace_id"]), bytes.fromhex(fields["span_id"])
    except (KeyError, TypeError, ValueError):
        return b"", b""
    return trace_id and trace_id.rjust(_N_TRACE_ID, b"\0"), span_id and span_id.rjust(_N_SPAN_ID, b"\0")


def _link(trace_id: bytes, span_id: bytes, tags: dict[str, Any]) -> Link:
    trace_state, n_dropped = take_text(tags, TRACE_STATE), take_count(tags, DROPPED_ATTRIBUTES)
    return Link(trace_id, span_id, trace_state, tags, n_dropped, 0)


def _with_warnings(span: JsonObject, tags: dict[str, Any]) -> dict[str, Any]:
    warnings = span.values.get("warnings")
    if not warnings:
        return tags
    if not isinstance(warnings, list) or not all(isinstance(warning, str) for warning in warnings):
        raise span.wrong("warnings", "an array of strings")
    return {**tags, WARNINGS: tuple(warnings)}


def take_status(tags: dict[str, Any]) -> tuple[int, str]:
    """Status code and message. Where there is no code, `error` = true is one."""
    name = tags.get(STATUS_CODE)
    code = STATUS_CODES.get(name.upper(), STATUS_UNSET) if isinstance(name, str) else STATUS_UNSET
    if code != STATUS_UNSET:
        del tags[STATUS_CODE]
    elif tags.get(ERROR) is True:
        code = STATUS_ERROR
    if code == STATUS_ERROR and tags.get(ERROR) is True:
        del tags[ERROR]
    return code, take_text(tags, STATUS_DESCRIPTION) if code != STATUS_UNSET else ""


_KINDS = {"string": "string", "bool": "bool", "int64": "int64", "float64": "double", "binary": "bytes"}
"""Jaeger's types of values -> those of `tracezip.convert.schema`."""


def read_tags(owner: JsonObject, key: str) -> dict[str, Any]:
    """An array of key, type and value as a dict; of equal keys the last counts, as in OTLP."""
    return {tag.text("key"): _value(tag) for tag in owner.objects(key)}


def _value(tag: JsonObject) -> Any:
    """A value without a type is what JSON says it is."""
    kind = tag.text("type").lower()
    if kind:
        if kind not in _KINDS:
            raise tag.wrong("type", f"one of {', '.join(_KINDS)}")
        return tag.scalar("value", _KINDS[kind])
    value = tag.values.get("value")
    if not isinstance(value, str | bool | int | float):
        raise tag.wrong("value", "a string, a number, true or false")
    return value
