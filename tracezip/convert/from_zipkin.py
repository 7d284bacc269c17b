"""Zipkin's JSON, version 2 -> plain spans, by the rules of `tracezip.convert.zipkin` backwards.

A list of spans, or a list of traces that are lists of spans, as two queries of Zipkin's API give them. Tags stay text,
whatever they look like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from tracezip.convert.json_object import JsonObject
from tracezip.convert.json_stream import JsonStream
from tracezip.convert.schema import ID_BYTES
from tracezip.convert.spans import SPAN_KINDS, STATUS_ERROR, STATUS_UNSET, Event, Link, Resource, Span
from tracezip.convert.tags import (
    DROPPED_ATTRIBUTES,
    DROPPED_EVENTS,
    DROPPED_LINKS,
    ERROR,
    N_REMEMBERED,
    NO_SERVICE,
    SERVICE_NAME,
    STATUS_CODE,
    STATUS_CODES,
    STATUS_DESCRIPTION,
    TRACE_STATE,
    Scopes,
    compact_json,
    take_count,
    take_kind,
    take_text,
)
from tracezip.convert.zipkin import (
    DEBUG,
    LINK_KEY,
    LOCAL,
    MAX_PORT,
    PEER_NAMES,
    PEER_SERVICE,
    REMOTE,
    RESOURCE_PREFIXES,
    SHARED,
)
from tracezip.errors import InputError

_COLLECTOR_EVENT = re.compile(r"(?P<name>.*)\|(?P<attributes>\{.*\})\|(?P<n_dropped>\d{1,9})", re.DOTALL)
_LINK = re.compile(
    r"(?P<trace_id>[0-9a-f]*)\|(?P<span_id>[0-9a-f]*)\|(?P<trace_state>.*?)\|(?P<attributes>\{.*\})\|(?P<n_dropped>\d{1,10})",
    re.DOTALL,
)


def read_zipkin(source: IO[bytes]) -> Iterator[Span]:
    """The spans of a document, one at a time. Raises InputError that names the place of what is wrong."""
    document = JsonStream(source)
    reader = _Reader()
    for index, item in enumerate(document.items()):
        spans = enumerate(item) if isinstance(item, list) else [(None, item)]
        for inner, span in spans:
            yield reader.span(JsonObject(span, f"[{index}]" if inner is None else f"[{index}][{inner}]"))
    document.end()


class _Reader:
    """Spans of the same resource or scope share the object."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}
        self._scopes = Scopes()

    def span(self, span: JsonObject) -> Span:
        _check(span)
        tags = _tags(span)
        resource = self._resource(span, tags)
        scope = self._scopes.take(tags)
        start_ns, end_ns = span.interval_ns("timestamp", "duration")
        status, message = _take_status(tags)
        return Span(
            trace_id=span.identifier("traceId", ID_BYTES["trace_id"]),
            span_id=span.identifier("id", ID_BYTES["span_id"]),
            parent_span_id=span.identifier("parentId", ID_BYTES["span_id"]),
            name=span.text("name"),
            kind=_kind(span) or take_kind(tags),
            start_ns=start_ns,
            end_ns=end_ns,
            events=tuple(map(_event, span.objects("annotations"))),
            links=tuple(_take_links(tags)),
            status_code=status,
            status_message=message,
            trace_state=take_text(tags, TRACE_STATE),
            flags=0,
            dropped_attributes_count=take_count(tags, DROPPED_ATTRIBUTES),
            dropped_events_count=take_count(tags, DROPPED_EVENTS),
            dropped_links_count=take_count(tags, DROPPED_LINKS),
            resource=resource,
            scope=scope,
            attributes={**tags, **_endpoints(span, tags), **_marks(span)},
        )

    def _resource(self, span: JsonObject, tags: dict[str, Any]) -> Resource:
        """Takes the resource's attributes out of the tags."""
        attributes = {key: tags.pop(key) for key in list(tags) if key.startswith(RESOURCE_PREFIXES)}
        name = span.child("localEndpoint").text("serviceName")
        if name not in NO_SERVICE:
            attributes = {**attributes, SERVICE_NAME: name}
        if len(self._resources) >= N_REMEMBERED:
            self._resources.clear()
        return self._resources.setdefault(compact_json(attributes), Resource(attributes))


def _check(span: JsonObject) -> None:
    """Says what a span is that is none of version 2."""
    if "binaryAnnotations" in span.values:
        raise InputError(f"{span.path}: a span of Zipkin's version 1; write it as version 2")
    if span.values.get("traceId") is None:
        hint = ""
        if "resourceSpans" in span.values:
            hint = "; it is a JSON array; give one OTLP/JSON document, or one to a line without the brackets"
        raise InputError(f'not Zipkin\'s JSON: {span.path} has no "traceId"{hint}')


def _tags(span: JsonObject) -> dict[str, Any]:
    tags = span.child("tags")
    return {key: tags.scalar(key, "string") for key in tags.values}


def _kind(span: JsonObject) -> int:
    name = span.text("kind")
    if name and name not in SPAN_KINDS[2:]:
        raise span.wrong("kind", f"one of {', '.join(SPAN_KINDS[2:])}")
    return SPAN_KINDS.index(name) if name else 0


def _take_status(tags: dict[str, Any]) -> tuple[int, str]:
    """Status code and message. Any `error` means failure; its text is the message, unless it only says "true"."""
    code = STATUS_CODES.get(tags.get(STATUS_CODE, "").upper(), STATUS_UNSET)
    if code != STATUS_UNSET:
        del tags[STATUS_CODE]
    message = tags.pop(ERROR, None)
    if message is not None and code == STATUS_UNSET:
        code = STATUS_ERROR
    description = take_text(tags, STATUS_DESCRIPTION) if code != STATUS_UNSET else ""
    return code, description or ("" if message in (None, "true") else message)


def _take_links(tags: dict[str, Any]) -> Iterator[Link]:
    """Links from 0 on. What does not look like one stays a tag."""
    number = 0
    while match := _LINK.fullmatch(tags.get(f"{LINK_KEY}{number}", "")):
        attributes = _json_object(match["attributes"])
        if attributes is None or len(match["trace_id"]) % 2 or len(match["span_id"]) % 2:
            return
        del tags[f"{LINK_KEY}{number}"]
        ids = bytes.fromhex(match["trace_id"]), bytes.fromhex(match["span_id"])
        yield Link(*ids, match["trace_state"], attributes, int(match["n_dropped"]), 0)
        number += 1


def _json_object(text: str) -> dict[str, Any] | None:
    """Attributes as JSON; None if it is none. Arrays become tuples, as attributes have them."""
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _frozen(attributes) if isinstance(attributes, dict) else None


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _event(annotation: JsonObject) -> Event:
    """A name, or one with attributes in any of three forms.

    They are `"name": {attributes}` of the specification, the same in braces of OpenTelemetry's SDKs, and
    `name|{attributes}|dropped` of the Collector.
    """
    time_ns = annotation.time_ns("timestamp")
    value = annotation.text("value")
    if value.endswith("}") and value.startswith(('"', "{")):
        named = _json_object(value if value.startswith("{") else f"{{{value}}}") or {}
        for name, attributes in named.items():
            if len(named) == 1 and isinstance(attributes, dict):
                return Event(time_ns, name, attributes, take_count(attributes, DROPPED_ATTRIBUTES))
    match = _COLLECTOR_EVENT.fullmatch(value)
    attributes = _json_object(match["attributes"]) if match else None
    if match is None or attributes is None:
        return Event(time_ns, value, {}, 0)
    return Event(time_ns, match["name"], attributes, int(match["n_dropped"]))


def _endpoints(span: JsonObject, tags: dict[str, Any]) -> dict[str, Any]:
    """What the endpoints say that no tag does. A tag wins over an endpoint, as it says it of itself."""
    remote = span.child("remoteEndpoint")
    name = remote.text("serviceName")
    found = {**_address(span.child("localEndpoint"), *LOCAL), **_address(remote, *REMOTE)}
    if name and name not in (tags.get(key) for key in PEER_NAMES):
        found[PEER_SERVICE] = name
    return {key: value for key, value in found.items() if key not in tags}


def _address(endpoint: JsonObject, address_key: str, port_key: str) -> dict[str, Any]:
    address, port = endpoint.text("ipv4") or endpoint.text("ipv6"), endpoint.integer("port", MAX_PORT)
    return {key: value for key, value in ((address_key, address), (port_key, port)) if value}


def _marks(span: JsonObject) -> dict[str, Any]:
    fields = {DEBUG: span.values.get("debug"), SHARED: span.values.get("shared")}
    return {key: True for key, value in fields.items() if value is True}
