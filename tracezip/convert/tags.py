"""What formats that know only key-value pairs call OpenTelemetry's fields: rules for Jaeger's and Zipkin's tags alike.

Source: "OpenTelemetry Transformation to non-OTLP Formats" of the OpenTelemetry specification; `w3c.tracestate` and
`span.kind` = `internal` are what the OpenTelemetry Collector writes and reads.

Attributes that have one of these names are not told from the fields when they are read back, and give way to them
where a span has both. The attributes of a scope become tags of its spans.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from tracezip.convert.spans import SPAN_KINDS, STATUS_ERROR, STATUS_OK, Scope, Span

SCOPE_NAME, SCOPE_VERSION = "otel.scope.name", "otel.scope.version"
_FORMER_SCOPE_NAMES = {SCOPE_NAME: "otel.library.name", SCOPE_VERSION: "otel.library.version"}
STATUS_CODE, STATUS_DESCRIPTION, ERROR = "otel.status_code", "otel.status_description", "error"
TRACE_STATE = "w3c.tracestate"
KIND = "span.kind"
DROPPED_ATTRIBUTES = "otel.dropped_attributes_count"
DROPPED_EVENTS = "otel.dropped_events_count"
DROPPED_LINKS = "otel.dropped_links_count"

SERVICE_NAME = "service.name"
UNKNOWN_SERVICE = "unknown_service"
"""The specification's name for a service whose resource does not say it."""
NO_SERVICE = (UNKNOWN_SERVICE, "OTLPResourceNoServiceName", "")
"""What stands for such a service where a format is read; the second is the Collector's name."""

STATUS_NAMES = {STATUS_OK: "OK", STATUS_ERROR: "ERROR"}
STATUS_CODES = {name: code for code, name in STATUS_NAMES.items()}
INTERNAL_KIND = "internal"

N_REMEMBERED = 1024
"""Resources and scopes that are remembered while a format is read, so that the spans of one share it."""

_MAX_COUNT = (1 << 32) - 1


def tags_of(span: Span) -> dict[str, Any]:
    """The attributes of a span and of its scope, with what of its fields becomes tags in every format."""
    tags = {**span.scope.attributes, **span.attributes}
    fields = {
        SCOPE_NAME: span.scope.name,
        SCOPE_VERSION: span.scope.version,
        TRACE_STATE: span.trace_state,
        DROPPED_ATTRIBUTES: span.dropped_attributes_count,
        DROPPED_EVENTS: span.dropped_events_count,
        DROPPED_LINKS: span.dropped_links_count,
    }
    tags.update((key, value) for key, value in fields.items() if value)
    return tags


def with_count(attributes: dict[str, Any], n_dropped: int) -> dict[str, Any]:
    """The attributes of a resource, event or link, with the count of those that were dropped."""
    return {**attributes, DROPPED_ATTRIBUTES: n_dropped} if n_dropped else attributes


def take_count(tags: dict[str, Any], key: str) -> int:
    """Takes a count, a number or its digits, out of the tags; what is no count stays there."""
    value = tags.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(_MAX_COUNT)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_COUNT:
        return 0
    del tags[key]
    return value


def take_text(tags: dict[str, Any], key: str) -> str:
    """Takes a text out of the tags; "" if there is none, and what is no text stays there."""
    value = tags.get(key)
    if not isinstance(value, str):
        return ""
    del tags[key]
    return value


def take_scope(tags: dict[str, Any]) -> tuple[str, str]:
    """Name and version of the scope. Some write them under the names that they had before 2022, or under both."""
    for key, former in _FORMER_SCOPE_NAMES.items():
        value = tags.get(former)
        if isinstance(value, str) and tags.get(key, value) == value:
            tags[key] = tags.pop(former)
    return take_text(tags, SCOPE_NAME), take_text(tags, SCOPE_VERSION)


def take_kind(tags: dict[str, Any]) -> int:
    """The number of the span kind that a text names; 0 and left alone if it names none."""
    kind = tags.get(KIND)
    if not isinstance(kind, str) or kind.upper() not in SPAN_KINDS[1:]:
        return 0
    return SPAN_KINDS.index(take_text(tags, KIND).upper())


class Scopes:
    """One Scope object for each name and version that came lately, so that spans of one scope share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Scope] = {}

    def take(self, tags: dict[str, Any]) -> Scope:
        name = take_scope(tags)
        if len(self._known) >= N_REMEMBERED:
            self._known.clear()
        return self._known.setdefault(name, Scope(*name))


def json_value(value: Any) -> Any:
    """The nearest that JSON has to an attribute's value: bytes are in base64, NaN and infinities are strings."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, tuple | list):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    return value


def json_text(value: Any) -> str:
    """An attribute's value, or a container of them, as JSON."""
    return compact_json(json_value(value))


def compact_json(document: Any) -> str:
    """What is plain JSON already, as text without white space."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def value_text(value: Any) -> str:
    """An attribute's value as text: numbers in decimal, true or false, containers as JSON, "" for none."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    plain = json_value(value)
    return plain if isinstance(plain, str) else json_text(plain)
