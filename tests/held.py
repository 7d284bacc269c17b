"""What of a span each format can hold, said independently of the code that writes it: the span that must come back."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from otlp_maker import Maker

from tracezip.convert.spans import Event, Link, Resource, Scope, Span, read_spans
from tracezip.errors import InputError

EXAMPLE = Span(
    trace_id=bytes(range(100, 116)),
    span_id=bytes(range(50, 58)),
    parent_span_id=bytes(range(60, 68)),
    name="GET /cart",
    kind=1,
    start_ns=10**18 + 5_000,
    end_ns=10**18 + 7_000,
    attributes={"text": "caf\u00e9 \n", "url.path": "/", "peer.service": "db"},
    events=(Event(10**18 + 6_000, "exception", {"n": 3, "ok": True, "x": 0.5}, 2), Event(10**18, "", {}, 0)),
    links=(Link(bytes(range(16)), bytes(range(8)), "k=v", {"why": "batch", "n": -4}, 5, 0),),
    status_code=2,
    status_message="it broke",
    trace_state="vendor=1",
    flags=0,
    dropped_attributes_count=1,
    dropped_events_count=2,
    dropped_links_count=3,
    resource=Resource({"service.name": "shop", "host.name": "node-1"}),
    scope=Scope("library", "1.2"),
)
"""All of it is in text or microseconds, so that both formats can hold it."""


def changed(span: Span, fields: dict[str, Any]) -> Span:
    """The span with other fields; those of its resource and its scope are dicts."""
    for name in ("resource", "scope"):
        if name in fields:
            fields = {**fields, name: replace(getattr(span, name), **fields[name])}
    return replace(span, **fields)


def statements(heading: str) -> list[str]:
    """The first column of the table under a heading of docs/CONVERSIONS.md."""
    text = (Path(__file__).parent.parent / "docs" / "CONVERSIONS.md").read_text()
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def plain(value: Any) -> Any:
    """For comparing: 1, 1.0 and True are three values, NaN is itself, and the order of keys does not count."""
    if isinstance(value, dict):
        return sorted((key, plain(item)) for key, item in value.items())
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    if isinstance(value, Span | Event | Link | Resource | Scope):
        return [plain(getattr(value, name)) for name in type(value).__slots__]
    return type(value).__name__, repr(value)


def generated(seeds: Iterable[int], oddity: int = 0) -> Iterator[bytes]:
    """Messages that are OTLP, if odd ones."""
    for seed in seeds:
        message = Maker(seed, oddity).message()
        try:
            list(read_spans(message))
        except InputError:
            continue
        yield message


def whole_us(time_ns: int) -> int:
    return time_ns // 1000 * 1000


def in_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {key: in_json(item) for key, item in value.items()}
    return [in_json(item) for item in value] if isinstance(value, tuple) else value


def frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(frozen, value))
    return {key: frozen(item) for key, item in value.items()} if isinstance(value, dict) else value


def as_json(value: Any) -> str:
    return json.dumps(in_json(value), ensure_ascii=False, separators=(",", ":"))


def in_jaeger(attributes: dict[str, Any]) -> dict[str, Any]:
    """Scalars stay, bytes too; containers are their JSON, nothing is an empty text."""
    return {
        key: as_json(value) if isinstance(value, dict | tuple) else "" if value is None else value
        for key, value in attributes.items()
    }


def as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    value = in_json(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def held_by_jaeger(span: Span) -> Span:
    attributes = in_jaeger({**span.scope.attributes, **span.attributes})
    status, message = span.status_code if span.status_code in (1, 2) else 0, span.status_message
    if status == 2 or (status == 0 and attributes.get("error") is True):
        status = 2
        attributes.pop("error", None)
    start = whole_us(span.start_ns)
    return replace(
        span,
        trace_id=padded(span.trace_id, 16),
        span_id=padded(span.span_id, 8),
        parent_span_id=padded(span.parent_span_id, 8) if any(span.parent_span_id) else b"",
        kind=span.kind if span.kind in range(6) else 0,
        start_ns=start,
        end_ns=start + whole_us(max(span.end_ns - span.start_ns, 0)),
        attributes=attributes,
        events=tuple(
            replace(event, time_ns=whole_us(event.time_ns), attributes=in_jaeger(event.attributes))
            for event in span.events
        ),
        links=tuple(map(link_in_jaeger, span.links)),
        status_code=status,
        status_message=message if status and span.status_code else "",
        flags=span.flags & 1,
        resource=Resource(in_jaeger(span.resource.attributes), "", span.resource.dropped_attributes_count),
        scope=Scope(span.scope.name, span.scope.version),
    )


def link_in_jaeger(link: Link) -> Link:
    ids = padded(link.trace_id, 16), padded(link.span_id, 8)
    return Link(*ids, link.trace_state, in_jaeger(link.attributes), link.dropped_attributes_count, 0)


def padded(identifier: bytes, n_bytes: int) -> bytes:
    return identifier and identifier.rjust(n_bytes, b"\0")


RESOURCE_NAMES = ["service", "telemetry", "host", "os", "process", "container", "k8s", "cloud", "deployment", "device"]


def held_by_zipkin(span: Span) -> Span:
    service = span.resource.attributes.get("service.name")
    tags = {**span.resource.attributes, **span.scope.attributes, **span.attributes}
    typed = {key: tags[key] for key in kept_in_endpoints(tags)}
    tags = {key: as_text(value) for key, value in tags.items() if key != "error"}
    attributes = {key: tags[key] for key in tags if key.split(".")[0] not in RESOURCE_NAMES or "." not in key}
    resource = {key: tags[key] for key in tags if key not in attributes}
    if isinstance(service, str) and service not in ("", "unknown_service"):
        resource["service.name"] = service
    start = whole_us(span.start_ns)
    duration = span.end_ns - span.start_ns
    end = start + max(whole_us(duration), 1000) if duration > 0 else start
    return replace(
        span,
        parent_span_id=span.parent_span_id if any(span.parent_span_id) else b"",
        kind=span.kind if span.kind in range(6) else 0,
        start_ns=start,
        end_ns=end,
        attributes={**attributes, **typed},
        events=tuple(
            replace(event, time_ns=whole_us(event.time_ns), attributes=frozen(in_json(event.attributes)))
            for event in span.events
        ),
        links=tuple(replace(link, attributes=frozen(in_json(link.attributes)), flags=0) for link in span.links),
        status_code=span.status_code if span.status_code in (1, 2) else 0,
        status_message=span.status_message if span.status_code == 2 else "",
        flags=0,
        resource=Resource(resource),
        scope=Scope(span.scope.name, span.scope.version),
    )


def kept_in_endpoints(tags: dict[str, Any]) -> Iterator[str]:
    """Ports, the only values that are no text and come back as they were."""
    for key in ("network.local.port", "network.peer.port"):
        if isinstance(tags.get(key), int) and 0 < tags[key] < 65536:
            yield key


def zipkin_takes(span: Span) -> bool:
    ids = ((span.trace_id, 16), (span.span_id, 8))
    has_ids = all(len(value) == n_bytes and any(value) for value, n_bytes in ids)
    return has_ids and (len(span.parent_span_id) in (0, 8) or not any(span.parent_span_id))
