"""Spans as Zipkin's JSON, version 2: a list of spans in any order.

Sources: "OpenTelemetry to Zipkin Transformation" and Zipkin's own `zipkin2-api.yaml`. Beyond what the first asks for,
an INTERNAL kind, trace states and links are tags, as the Collector writes them. Addresses, ports and `peer.service`
move into the endpoints and come back from there. docs/CONVERSIONS.md lists what the format cannot hold, and what comes
back instead.

A trace id that has not 1 to 16 bytes, or a span or parent id that has not 1 to 8, is an error, and so is one of zero
bytes only: Zipkin would refuse the whole list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, BinaryIO

from tracezip.convert.schema import ID_BYTES
from tracezip.convert.spans import SPAN_KINDS, Event, Link, Span
from tracezip.convert.tags import (
    ERROR,
    INTERNAL_KIND,
    KIND,
    NO_SERVICE,
    SERVICE_NAME,
    STATUS_CODE,
    STATUS_NAMES,
    UNKNOWN_SERVICE,
    compact_json,
    json_text,
    tags_of,
    value_text,
    with_count,
)
from tracezip.convert.wire import utf8
from tracezip.errors import InputError

RESOURCE_PREFIXES = (
    "service.",
    "telemetry.",
    "host.",
    "os.",
    "process.",
    "container.",
    "k8s.",
    "cloud.",
    "deployment.",
    "device.",
)
"""Tags with these names are read as attributes of the resource, after OpenTelemetry's conventions for resources."""
PEER_SERVICE = "peer.service"
PEER_NAMES = (
    "server.address",
    "net.peer.name",
    "server.socket.domain",
    "net.sock.peer.name",
    "peer.hostname",
    "peer.address",
    "db.name",
)
"""The attributes that name the other side where `peer.service` does not, the best first."""
LOCAL, REMOTE = ("network.local.address", "network.local.port"), ("network.peer.address", "network.peer.port")
"""The attributes of address and port that an endpoint holds."""
LINK_KEY = "otlp.link."
DEBUG, SHARED = "zipkin.debug", "zipkin.shared"
"""The attributes for Zipkin's fields that OpenTelemetry does not have."""
MAX_PORT = (1 << 16) - 1

_CALLERS = (SPAN_KINDS.index("CLIENT"), SPAN_KINDS.index("PRODUCER"))
"""The kinds whose spans name the other side, for Zipkin to draw the dependency."""


def write_zipkin(traces: Iterable[Sequence[Span]], stream: BinaryIO) -> None:
    """Writes all spans as one list, in their order; traces may be in parts. Memory holds one of them.

    Raises InputError for a span without the ids that Zipkin needs.
    """
    before = b"[\n"
    for spans in traces:
        for span in spans:
            stream.write(before + utf8(compact_json(zipkin_span(span))))
            before = b",\n"
    stream.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def zipkin_span(span: Span) -> dict[str, Any]:
    """The span as Zipkin has it, without the fields that are empty. Raises InputError if Zipkin needs one of them."""
    resource = span.resource.attributes
    tags = {**{key: resource[key] for key in resource if key != SERVICE_NAME}, **tags_of(span)}
    duration_ns = span.duration_ns
    fields = {
        "traceId": _id(span, "trace_id").removeprefix("0" * 16),
        "id": _id(span, "span_id"),
        "parentId": _id(span, "parent_span_id") if any(span.parent_span_id) else None,
        "name": span.name,
        "kind": SPAN_KINDS[span.kind] if 1 < span.kind < len(SPAN_KINDS) else None,
        "timestamp": span.start_ns // 1000,
        "duration": max(duration_ns // 1000, 1) if duration_ns > 0 else None,
        "localEndpoint": {"serviceName": _service_name(span, tags), **_address(tags, *LOCAL)},
        "remoteEndpoint": _remote_endpoint(span, tags),
        "annotations": [_annotation(event) for event in span.events],
        "debug": _take_true(tags, DEBUG),
        "shared": _take_true(tags, SHARED),
        "tags": _tags(span, tags),
    }
    return {key: value for key, value in fields.items() if value}


def _id(span: Span, field: str) -> str:
    """An id in hex, in its full length."""
    value: bytes = getattr(span, field)
    n_bytes = ID_BYTES["trace_id" if field == "trace_id" else "span_id"]
    if len(value) > n_bytes or not any(value):
        name = field.replace("_", " ")
        raise InputError(
            f"span {span.span_id.hex() or repr(span.name[:40])}: its {name} is {value.hex()[:64] or 'empty'}, and "
            f"Zipkin takes no other than {n_bytes} bytes that are not all zero; choose another format"
        )
    return value.hex().zfill(n_bytes * 2)


def _service_name(span: Span, tags: dict[str, Any]) -> str:
    """The service's name; one that Zipkin could not tell from none is a tag besides."""
    name = span.service_name
    if name not in NO_SERVICE:
        return name
    if SERVICE_NAME in span.resource.attributes:
        tags.setdefault(SERVICE_NAME, span.resource.attributes[SERVICE_NAME])
    return UNKNOWN_SERVICE


def _remote_endpoint(span: Span, tags: dict[str, Any]) -> dict[str, Any]:
    """The other side of a call: who it is also from attributes that stay tags, if the span is the one who calls."""
    name = tags.get(PEER_SERVICE)
    if isinstance(name, str) and name:
        del tags[PEER_SERVICE]
    else:
        name = peer_name(tags) if span.kind in _CALLERS else ""
    return {**({"serviceName": name} if name else {}), **_address(tags, *REMOTE)}


def peer_name(tags: dict[str, Any]) -> str:
    """The name of the other side by the best tag that has one."""
    return next((value_text(tags[key]) for key in PEER_NAMES if tags.get(key)), "")


def _address(tags: dict[str, Any], address_key: str, port_key: str) -> dict[str, Any]:
    """Takes address and port out of the tags, where an endpoint gives back exactly what they were."""
    endpoint: dict[str, Any] = {}
    family = _family(tags.get(address_key))
    if family:
        endpoint[family] = tags.pop(address_key)
    port = tags.get(port_key)
    if isinstance(port, int) and not isinstance(port, bool) and 0 < port <= MAX_PORT:
        endpoint["port"] = tags.pop(port_key)
    return endpoint


def _family(address: object) -> str:
    try:
        known = ip_address(address) if isinstance(address, str) else None
    except ValueError:
        return ""
    return f"ipv{known.version}" if known is not None and str(known) == address else ""


def _take_true(tags: dict[str, Any], key: str) -> bool:
    return tags.get(key) is True and tags.pop(key) is True


def _annotation(event: Event) -> dict[str, Any]:
    """The name, with the attributes if there are some, or if the name alone could be taken for one with attributes."""
    attributes = with_count(event.attributes, event.dropped_attributes_count)
    is_named_only = not attributes and "{" not in event.name
    value = event.name if is_named_only else f"{compact_json(event.name)}: {json_text(attributes)}"
    return {"timestamp": event.time_ns // 1000, "value": value}


def _tags(span: Span, tags: dict[str, Any]) -> dict[str, str]:
    texts = {key: value_text(value) for key, value in tags.items() if key != ERROR}
    if span.kind == SPAN_KINDS.index(INTERNAL_KIND.upper()):
        texts[KIND] = INTERNAL_KIND
    if span.status_code in STATUS_NAMES:
        texts[STATUS_CODE] = STATUS_NAMES[span.status_code]
    if span.is_error:
        texts[ERROR] = span.status_message
    texts.update(_links(span.links))
    return texts


def _links(links: Sequence[Link]) -> Iterator[tuple[str, str]]:
    for number, link in enumerate(links):
        parts = (link.trace_id.hex(), link.span_id.hex(), link.trace_state, json_text(link.attributes))
        yield f"{LINK_KEY}{number}", "|".join((*parts, str(link.dropped_attributes_count)))
