"""Zipkin's JSON holds of a span what docs/CONVERSIONS.md says, no less and no more, and what it holds comes back."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from held import EXAMPLE, changed, generated, held_by_zipkin, plain, statements, zipkin_takes

from benchmarks.data import file_name, find_files, read_file
from tracezip.convert.from_zipkin import read_zipkin
from tracezip.convert.messages import encode_plain_spans
from tracezip.convert.spans import Event, Link, Span, read_spans
from tracezip.convert.zipkin import write_zipkin
from tracezip.errors import InputError


def document(*spans: Span) -> bytes:
    out = io.BytesIO()
    write_zipkin([spans], out)
    return out.getvalue()


def read(data: bytes) -> list[Span]:
    return list(read_zipkin(io.BytesIO(data)))


def back(span: Span) -> Span:
    (again,) = read(document(span))
    return again


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_what_zipkin_can_hold_of_real_traces_comes_back(path: Path) -> None:
    for message in read_file(path).prefix(1 << 19).messages:
        spans = list(read_spans(message))
        assert all(map(zipkin_takes, spans))
        assert plain(read(document(*spans))) == plain([held_by_zipkin(span) for span in spans])


def test_what_zipkin_can_hold_of_generated_spans_comes_back() -> None:
    for message in generated(range(600), oddity=5):
        spans = [span for span in read_spans(message) if zipkin_takes(span)]
        assert plain(read(document(*spans))) == plain([held_by_zipkin(span) for span in spans])


def test_what_came_back_does_not_change_any_more() -> None:
    for message in generated(range(200), oddity=5):
        once = document(*filter(zipkin_takes, read_spans(message)))
        assert plain(read(document(*read(once)))) == plain(read(once))


def test_the_way_through_otlp_loses_nothing_more() -> None:
    spans = read(document(EXAMPLE))
    assert plain(list(read_spans(encode_plain_spans(spans)))) == plain(spans)


def test_a_span_of_which_zipkin_can_hold_everything_is_the_same_again() -> None:
    assert plain(back(EXAMPLE)) == plain(EXAMPLE)


@pytest.mark.parametrize("name", ["shop", "", "unknown_service", "OTLPResourceNoServiceName"])
def test_a_service_of_any_name_comes_back_and_none_too(name: str) -> None:
    for attributes in ({"service.name": name}, {}):
        span = changed(EXAMPLE, {"resource": {"attributes": attributes}})
        assert back(span) == span
        assert zipkin(span)["localEndpoint"]["serviceName"]


@pytest.mark.parametrize("address", ["10.0.0.7", "2001:db8::c001", "db.internal", "10.0.0.007"])
@pytest.mark.parametrize("port", [5432, 0, "5432", None])
@pytest.mark.parametrize("side", ["local", "peer"])
def test_addresses_come_back_through_endpoints_or_as_tags(address: str, port: Any, side: str) -> None:
    attributes = {f"network.{side}.address": address, f"network.{side}.port": port}
    again = back(replace(EXAMPLE, attributes=attributes)).attributes
    expected = {"": "", 5432: 5432}.get(port, "" if port is None else str(port))
    assert again == {f"network.{side}.address": address, f"network.{side}.port": expected}


# --- what does not ----------------------------------------------------------------------------------------------------

MICROSECOND = 1000
ID = bytes(range(1, 17))
LINK = Link(ID, ID[:8], "", {}, 0, 0)
EVENT = Event(5 * MICROSECOND, "tick", {}, 0)
SHOP = {"service.name": "shop"}
LOST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nanoseconds": ({"start_ns": 1999, "end_ns": 4001}, {"start_ns": 1000, "end_ns": 3000}),
    "a duration under 1 µs": ({"start_ns": 1000, "end_ns": 1001}, {"start_ns": 1000, "end_ns": 2000}),
    "an event with nanoseconds": ({"events": (replace(EVENT, time_ns=5999),)}, {"events": (EVENT,)}),
    "an end before its start": ({"start_ns": 9000, "end_ns": 1000}, {"start_ns": 9000, "end_ns": 9000}),
    "no end": ({"end_ns": 0}, {"end_ns": EXAMPLE.start_ns}),
    "an attribute that is no text": (
        {"attributes": {"a": 7, "b": True, "c": 0.5, "d": (1, "x"), "e": float("nan"), "f": {"g": None}}},
        {"attributes": {"a": "7", "b": "true", "c": "0.5", "d": '[1,"x"]', "e": "NaN", "f": '{"g":null}'}},
    ),
    "bytes as an attribute": ({"attributes": {"a": b"\0"}}, {"attributes": {"a": "AA=="}}),
    "an attribute without a value": ({"attributes": {"a": None}}, {"attributes": {"a": ""}}),
    "bytes as an attribute of an event": (
        {"events": (replace(EVENT, attributes={"a": b"\0", "b": (1, 2)}),)},
        {"events": (replace(EVENT, attributes={"a": "AA==", "b": (1, 2)}),)},
    ),
    "NaN as an attribute of a link": (
        {"links": (replace(LINK, attributes={"a": float("nan"), "b": True}),)},
        {"links": (replace(LINK, attributes={"a": "NaN", "b": True}),)},
    ),
    "attributes of its scope": (
        {"attributes": {"a": "1"}, "scope": {"attributes": {"b": "2"}}},
        {"attributes": {"b": "2", "a": "1"}},
    ),
    "a resource with attributes of other names": (
        {"attributes": {"a": "1"}, "resource": {"attributes": {**SHOP, "team": "x", "host.name": "h"}}},
        {"attributes": {"team": "x", "a": "1"}, "resource": {"attributes": {"host.name": "h", **SHOP}}},
    ),
    "attributes that are named like a resource's": (
        {"attributes": {"a": "1", "k8s.pod.name": "p"}, "resource": {"attributes": SHOP}},
        {"attributes": {"a": "1"}, "resource": {"attributes": {"k8s.pod.name": "p", **SHOP}}},
    ),
    "an attribute that its resource has too": (
        {"attributes": {"team": "y"}, "resource": {"attributes": {**SHOP, "team": "x"}}},
        {"attributes": {"team": "y"}, "resource": {"attributes": SHOP}},
    ),
    "an attribute `service.name`": (
        {"attributes": {"service.name": "other"}, "resource": {"attributes": SHOP}},
        {"attributes": {}, "resource": {"attributes": SHOP}},
    ),
    "a schema URL of its resource": ({"resource": {"schema_url": "https://r"}}, {}),
    "a schema URL of its scope": ({"scope": {"schema_url": "https://s"}}, {}),
    "a count of dropped attributes of its resource": ({"resource": {"dropped_attributes_count": 3}}, {}),
    "a count of dropped attributes of its scope": ({"scope": {"dropped_attributes_count": 3}}, {}),
    "flags": ({"flags": 0x301}, {"flags": 0}),
    "flags of a link": ({"links": (replace(LINK, flags=0x301),)}, {"links": (LINK,)}),
    "a message of the status OK": ({"status_code": 1}, {"status_code": 1, "status_message": ""}),
    "a status message without a status code": ({"status_code": 0}, {"status_code": 0, "status_message": ""}),
    "a status code that OpenTelemetry does not know": ({"status_code": 7}, {"status_code": 0, "status_message": ""}),
    "a kind that OpenTelemetry does not know": ({"kind": 17}, {"kind": 0}),
    'the message "true" of the status ERROR': ({"status_message": "true"}, {"status_message": ""}),
    "an attribute `error`": ({"attributes": {"error": False, "a": "1"}}, {"attributes": {"a": "1"}}),
    "an attribute of the name of a field": (
        {"attributes": {"w3c.tracestate": "a=b"}, "trace_state": ""},
        {"attributes": {}, "trace_state": "a=b"},
    ),
    "a parent id of zero bytes": ({"parent_span_id": bytes(8)}, {"parent_span_id": b""}),
    "an id that is too short": ({"span_id": b"\1\2"}, {"span_id": b"\0\0\0\0\0\0\1\2"}),
    "a link whose trace state has a bar before a brace": (
        {"links": (replace(LINK, trace_state="a=|{"),), "attributes": {}},
        {"links": (), "attributes": {"otlp.link.0": f"{ID.hex()}|{ID[:8].hex()}|a=|{{|{{}}|0"}},
    ),
}


@pytest.mark.parametrize("statement", LOST)
def test_what_is_lost_is_what_the_table_says(statement: str) -> None:
    before, after = LOST[statement]
    assert plain(back(changed(EXAMPLE, before))) == plain(changed(EXAMPLE, after))


def test_the_table_has_these_statements_and_no_others() -> None:
    assert statements("What Zipkin's JSON cannot hold") == list(LOST)


@pytest.mark.parametrize(
    "ids",
    [
        {"trace_id": b""},
        {"trace_id": bytes(16)},
        {"trace_id": ID + b"\1"},
        {"span_id": b""},
        {"span_id": ID},
        {"parent_span_id": ID},
    ],
)
def test_a_span_without_the_ids_that_zipkin_needs_is_an_error(ids: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match=r"Zipkin takes no other than (16|8) bytes"):
        document(replace(EXAMPLE, **ids))


# --- the form of the document -----------------------------------------------------------------------------------------

HEX = re.compile(r"[0-9a-f]+")
ENDPOINT = {"serviceName": str, "ipv4": str, "ipv6": str, "port": int}
SPAN = {
    "traceId": str,
    "id": str,
    "parentId": str,
    "name": str,
    "kind": str,
    "timestamp": int,
    "duration": int,
    "debug": bool,
    "shared": bool,
    "localEndpoint": dict,
    "remoteEndpoint": dict,
    "annotations": list,
    "tags": dict,
}


def check_types(values: dict[str, Any], types: dict[str, type]) -> None:
    assert values.keys() <= types.keys()
    for key, value in values.items():
        assert type(value) is types[key], key


def check_span(span: dict[str, Any]) -> None:
    """What `zipkin2-api.yaml` asks for, and that nothing is empty."""
    check_types(span, SPAN)
    assert all(span.values())
    assert len(span["traceId"]) in (16, 32)
    assert all(len(span[key]) == 16 for key in ("id", "parentId") if key in span)
    assert all(HEX.fullmatch(span[key]) for key in ("traceId", "id", "parentId") if key in span)
    assert span.get("kind", "CLIENT") in ("CLIENT", "SERVER", "PRODUCER", "CONSUMER")
    assert span.get("duration", 1) > 0
    assert all(type(value) is str for value in span.get("tags", {}).values())
    for endpoint in ("localEndpoint", "remoteEndpoint"):
        check_types(span.get(endpoint, {}), ENDPOINT)
    for annotation in span.get("annotations", []):
        check_types(annotation, {"timestamp": int, "value": str})


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_the_document_is_what_zipkin_reads(path: Path) -> None:
    messages = read_file(path).prefix(1 << 19).messages
    for span in json.loads(document(*[span for message in messages for span in read_spans(message)])):
        check_span(span)


def test_generated_spans_are_what_zipkin_reads() -> None:
    for message in generated(range(200), oddity=10):
        for span in json.loads(document(*filter(zipkin_takes, read_spans(message)))):
            check_span(span)


def zipkin(span: Span) -> dict[str, Any]:
    (written,) = json.loads(document(span))
    assert isinstance(written, dict)
    return written


def test_a_client_span_names_the_other_side() -> None:
    attributes = {"db.name": "orders", "server.address": "db-1"}
    assert zipkin(replace(EXAMPLE, kind=3, attributes=attributes))["remoteEndpoint"] == {"serviceName": "db-1"}
    assert "remoteEndpoint" not in zipkin(replace(EXAMPLE, kind=2, attributes=attributes))
    assert back(replace(EXAMPLE, kind=3, attributes=attributes)).attributes == attributes


def test_an_error_without_a_message_is_an_empty_tag() -> None:
    assert zipkin(replace(EXAMPLE, status_message=""))["tags"]["error"] == ""
    assert "error" not in zipkin(replace(EXAMPLE, status_code=1, attributes={"error": "false"}))["tags"]


def test_an_event_with_attributes_is_written_as_the_specification_says() -> None:
    event = Event(1000, "retry", {"n": 2, "why": "reset"}, 0)
    assert zipkin(replace(EXAMPLE, events=(event,)))["annotations"] == [
        {"timestamp": 1, "value": '"retry": {"n":2,"why":"reset"}'}
    ]


@pytest.mark.parametrize("name", ['"x": {"a": 1}', '{"x": {"a": 1}}', 'x|{"a": 1}|0', "{}", "", '"', "|", '": {}'])
def test_the_name_of_an_event_may_look_like_anything(name: str) -> None:
    span = replace(EXAMPLE, events=(Event(1000, name, {}, 0), Event(1000, name, {"a": 1}, 0)))
    assert back(span) == span


def test_a_trace_state_of_a_link_may_have_braces_and_bars() -> None:
    span = replace(EXAMPLE, links=(replace(LINK, trace_state="a={x}|y}|", attributes={"b": "|{}|"}),))
    assert back(span) == span


def test_a_document_without_spans_is_one() -> None:
    assert json.loads(document()) == []
    assert read(b"[]") == []


# --- what others write ------------------------------------------------------------------------------------------------

OTHERS = {"traceId": "5af7183fb1d4cf5f", "id": "6b221d5bc9e6496c", "name": "get /"}


def others(**fields: Any) -> bytes:
    return json.dumps([{**OTHERS, **fields}]).encode()


def test_short_trace_ids_stay_short() -> None:
    (span,) = read(others())
    assert span.trace_id == bytes(8) + bytes.fromhex("5af7183fb1d4cf5f")
    assert zipkin(span)["traceId"] == "5af7183fb1d4cf5f"


def test_what_zipkin_writes_comes_back_to_zipkin() -> None:
    fields = {
        "kind": "CLIENT",
        "timestamp": 1472470996199000,
        "duration": 207000,
        "localEndpoint": {"serviceName": "frontend", "ipv4": "127.0.0.1"},
        "remoteEndpoint": {"serviceName": "backend", "ipv6": "2001:db8::c001", "port": 9000},
        "annotations": [{"timestamp": 1472470996238000, "value": "foo"}],
        "tags": {"http.path": "/api", "clnt/finagle.version": "6.45.0"},
        "debug": True,
        "shared": True,
    }
    (span,) = read(others(**fields))
    assert span.attributes["peer.service"] == "backend"
    assert span.attributes["network.peer.port"] == 9000
    assert zipkin(span) == {**OTHERS, **fields}


def test_a_list_of_traces_is_read() -> None:
    spans = read(json.dumps([[OTHERS, OTHERS], [], [OTHERS]]).encode())
    assert len(spans) == 3


def test_events_links_and_states_as_the_collector_writes_them_are_read() -> None:
    link = '0102030405060708090a0b0c0d0e0f10|0102030405060708|a=b|{"k":"x|y"}|3'
    tags = {"otlp.link.0": link, "otel.status_code": "ERROR", "error": "true", "span.kind": "internal"}
    annotation = {"timestamp": 1, "value": 'msg|{"a":"b|c"}|2'}
    (span,) = read(others(tags=tags, annotations=[annotation]))
    assert span.events == (Event(1000, "msg", {"a": "b|c"}, 2),)
    assert span.links == (Link(ID, ID[:8], "a=b", {"k": "x|y"}, 3, 0),)
    assert (span.kind, span.status_code, span.status_message, span.attributes) == (1, 2, "", {})


def test_any_error_tag_is_a_failure() -> None:
    (span,) = read(others(tags={"error": "timeout"}))
    assert (span.status_code, span.status_message) == (2, "timeout")


def test_a_link_that_is_none_stays_a_tag() -> None:
    for text in ("", "x", "01|02||[]|0", "0|02||{}|0", "01|02||{|0", "01|02||{}|"):
        (span,) = read(others(tags={"otlp.link.0": text}))
        assert span.attributes == {"otlp.link.0": text}


# --- what OTLP cannot hold of it --------------------------------------------------------------------------------------

LOCAL = {"localEndpoint": {"serviceName": "shop"}}
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a tag `error` without `otel.status_code`": (
        {**LOCAL, "tags": {"error": "lost"}},
        {**LOCAL, "tags": {"error": "lost", "otel.status_code": "ERROR"}},
    ),
    'a tag `error` of the text "true"': (
        {**LOCAL, "tags": {"error": "true", "otel.status_code": "ERROR"}},
        {**LOCAL, "tags": {"error": "", "otel.status_code": "ERROR"}},
    ),
    "no service name": ({}, {"localEndpoint": {"serviceName": "unknown_service"}}),
    "both addresses, `ipv4` and `ipv6`, in an endpoint": (
        {**LOCAL, "remoteEndpoint": {"ipv4": "10.0.0.1", "ipv6": "::1"}},
        {**LOCAL, "remoteEndpoint": {"ipv4": "10.0.0.1"}},
    ),
    "an event in the form of OpenTelemetry's SDKs": (
        {**LOCAL, "annotations": [{"timestamp": 1, "value": '{"tick": {"a": 1}}'}]},
        {**LOCAL, "annotations": [{"timestamp": 1, "value": '"tick": {"a":1}'}]},
    ),
    "an event in the Collector's form": (
        {**LOCAL, "annotations": [{"timestamp": 1, "value": 'tick|{"a":1}|0'}]},
        {**LOCAL, "annotations": [{"timestamp": 1, "value": '"tick": {"a":1}'}]},
    ),
}


@pytest.mark.parametrize("statement", CHANGED)
def test_what_otlp_cannot_hold_is_what_the_table_says(statement: str) -> None:
    before, after = CHANGED[statement]
    (span,) = read_spans(encode_plain_spans(read(others(**before))))
    assert zipkin(span) == {**OTHERS, **after}


def test_that_table_has_these_statements() -> None:
    assert set(CHANGED) <= set(statements("What OTLP cannot hold of theirs"))


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = {
    "[0].timestamp: a whole number from 0 to": others(timestamp="soon"),
    "[0].duration: a whole number from 0 to": others(duration=1 << 62),
    "[0].id: an id in hex is needed, not 'xyz'": others(id="xyz"),
    "[0].kind: one of SERVER, CLIENT, PRODUCER, CONSUMER is needed, not 'LOCAL'": others(kind="LOCAL"),
    "[0].tags.a: a string is needed, not 5": others(tags={"a": 5}),
    "[0].localEndpoint.port: a whole number from 0 to 65535": others(localEndpoint={"port": 70000}),
    "[0].annotations[0].value: a string is needed": others(annotations=[{"value": 1}]),
    '[0] has no "traceId"': b'[{"id": "1"}]',
    "[0][1]: an object is needed": b'[[{"traceId": "1"}, 3]]',
    "a span of Zipkin's version 1": others(binaryAnnotations=[]),
    "a JSON array; give one OTLP/JSON document": b'[{"resourceSpans": []}]',
    "not JSON: Expecting ',' or ']' at line 2, column 1": b'[{"traceId": "1"}\n',
    "not JSON: Extra data": b"[] []",
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_error_that_names_the_place(message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(BAD[message])
    assert message in str(caught.value)
