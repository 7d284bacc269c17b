"""Jaeger's JSON holds of a trace what docs/CONVERSIONS.md says, no less and no more, and what it holds comes back."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from held import EXAMPLE, changed, generated, held_by_jaeger, padded, plain, statements

from benchmarks.data import file_name, find_files, read_file
from tracezip.convert.formats import write_format
from tracezip.convert.from_jaeger import read_jaeger
from tracezip.convert.jaeger import split_documents, write_jaeger
from tracezip.convert.messages import encode_plain_spans
from tracezip.convert.spans import Event, Link, Span, read_spans, traces_of
from tracezip.convert.whole_traces import whole_traces
from tracezip.errors import InputError

MICROSECOND = 1000


def document(*traces: Sequence[Span]) -> bytes:
    out = io.BytesIO()
    write_jaeger(traces, out)
    return out.getvalue()


def read(data: bytes) -> list[list[Span]]:
    return list(read_jaeger(io.BytesIO(data)))


def back(span: Span) -> Span:
    ((again,),) = read(document([span]))
    return again


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_what_jaeger_can_hold_of_real_traces_comes_back(path: Path) -> None:
    messages = read_file(path).prefix(1 << 19).messages
    traces = list(whole_traces(messages))
    for before, after in zip(traces, read(document(*traces)), strict=True):
        assert plain(after) == plain([held_by_jaeger(span) for span in before])


def test_what_jaeger_can_hold_of_generated_traces_comes_back() -> None:
    for message in generated(range(600), oddity=5):
        spans = list(read_spans(message))
        if len({padded(span.trace_id, 16) for span in spans}) == len({span.trace_id for span in spans}):
            traces = list(traces_of(spans).values())
            expected = [[held_by_jaeger(span) for span in trace] for trace in traces]
            assert plain(read(document(*traces))) == plain(expected)


def test_what_came_back_does_not_change_any_more() -> None:
    for message in generated(range(200), oddity=5):
        once = document(*read(document(*traces_of(read_spans(message)).values())))
        assert document(*read(once)) == once


def test_the_way_through_otlp_loses_nothing_more() -> None:
    spans = read(document([EXAMPLE]))[0]
    assert plain(list(read_spans(encode_plain_spans(spans)))) == plain(spans)


def test_a_span_of_which_jaeger_can_hold_everything_is_the_same_again() -> None:
    assert plain(back(EXAMPLE)) == plain(EXAMPLE)


@pytest.mark.parametrize("name", ["shop", "", "unknown_service", "OTLPResourceNoServiceName", 5])
def test_a_service_of_any_name_comes_back_and_none_too(name: Any) -> None:
    for attributes in ({"service.name": name}, {}):
        span = changed(EXAMPLE, {"resource": {"attributes": attributes}})
        assert back(span) == span
        (trace,) = json.loads(document([span]))["data"]
        assert trace["processes"]["p1"]["serviceName"]


# --- what does not ----------------------------------------------------------------------------------------------------

ID = bytes(range(1, 17))
LINK = Link(ID, ID[:8], "", {}, 0, 0)
EVENT = Event(5 * MICROSECOND, "tick", {}, 0)
LOST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nanoseconds": ({"start_ns": 1999, "end_ns": 4001}, {"start_ns": 1000, "end_ns": 3000}),
    "an event with nanoseconds": (
        {"events": (replace(EVENT, time_ns=5999),)},
        {"events": (EVENT,)},
    ),
    "an end before its start": ({"start_ns": 9000, "end_ns": 1000}, {"start_ns": 9000, "end_ns": 9000}),
    "no end": ({"end_ns": 0}, {"end_ns": EXAMPLE.start_ns}),
    "an array as an attribute": ({"attributes": {"a": (1, "x")}}, {"attributes": {"a": '[1,"x"]'}}),
    "a map as an attribute": ({"attributes": {"a": {"b": b"\0"}}}, {"attributes": {"a": '{"b":"AA=="}'}}),
    "an attribute without a value": ({"attributes": {"a": None}}, {"attributes": {"a": ""}}),
    "attributes of its scope": (
        {"attributes": {"a": 1}, "scope": {"attributes": {"b": 2}}},
        {"attributes": {"b": 2, "a": 1}},
    ),
    "a schema URL of its resource": ({"resource": {"schema_url": "https://r"}}, {}),
    "a schema URL of its scope": ({"scope": {"schema_url": "https://s"}}, {}),
    "a count of dropped attributes of its scope": ({"scope": {"dropped_attributes_count": 3}}, {}),
    'other flags than "sampled"': ({"flags": 0x303}, {"flags": 1}),
    "flags of a link": ({"links": (replace(LINK, flags=0x301),)}, {"links": (LINK,)}),
    "a status message without a status code": (
        {"status_code": 0, "status_message": "lost"},
        {"status_code": 0, "status_message": ""},
    ),
    "a status code that OpenTelemetry does not know": (
        {"status_code": 7, "status_message": ""},
        {"status_code": 0, "status_message": ""},
    ),
    "a kind that OpenTelemetry does not know": ({"kind": 17}, {"kind": 0}),
    "an attribute `error` = true and no status": (
        {"attributes": {"error": True}, "status_code": 0, "status_message": ""},
        {"attributes": {}, "status_code": 2, "status_message": ""},
    ),
    "an attribute `error` and the status ERROR": (
        {"attributes": {"error": "why"}, "status_code": 2},
        {"attributes": {}, "status_code": 2},
    ),
    "an attribute of the name of a field": (
        {"attributes": {"w3c.tracestate": "a=b"}, "trace_state": ""},
        {"attributes": {}, "trace_state": "a=b"},
    ),
    "an event with an attribute `event`": (
        {"events": (replace(EVENT, attributes={"event": "tock"}),)},
        {"events": (replace(EVENT, name="tock"),)},
    ),
    "an event `link` that names a link by its ids": (
        {
            "links": (LINK,),
            "events": (Event(0, "link", {"trace_id": ID.hex(), "span_id": ID[:8].hex(), "a": 1}, 0),),
        },
        {"links": (replace(LINK, attributes={"a": 1}),), "events": ()},
    ),
    "a parent id of zero bytes": ({"parent_span_id": bytes(8)}, {"parent_span_id": b""}),
    "an id that is too short": ({"span_id": b"\1\2"}, {"span_id": b"\0\0\0\0\0\0\1\2"}),
    "no parent, and a link `child_of` into its own trace": (
        {
            "parent_span_id": b"",
            "links": (replace(LINK, trace_id=EXAMPLE.trace_id, attributes={"opentracing.ref_type": "child_of"}),),
        },
        {"parent_span_id": LINK.span_id, "links": ()},
    ),
}


@pytest.mark.parametrize("statement", LOST)
def test_what_is_lost_is_what_the_table_says(statement: str) -> None:
    before, after = LOST[statement]
    assert plain(back(changed(EXAMPLE, before))) == plain(changed(EXAMPLE, after))


def test_the_table_has_these_statements_and_no_others() -> None:
    assert statements("What Jaeger's JSON cannot hold") == list(LOST)


# --- the form of the document -----------------------------------------------------------------------------------------

TYPES = {"string": str, "bool": bool, "int64": int | str, "float64": float | str, "binary": str}


def check_key_values(tags: list[dict[str, Any]]) -> None:
    for tag in tags:
        assert tag.keys() == {"key", "type", "value"}
        assert isinstance(tag["value"], TYPES[tag["type"]])


def check_trace(trace: dict[str, Any]) -> None:
    """The types of Jaeger's `uimodel`, and that references between its parts lead somewhere."""
    assert trace.keys() == {"traceID", "spans", "processes", "warnings"}
    for process in trace["processes"].values():
        assert process.keys() == {"serviceName", "tags"}
        assert process["serviceName"]
        check_key_values(process["tags"])
    for span in trace["spans"]:
        assert span["traceID"] == trace["traceID"]
        assert span["processID"] in trace["processes"]
        assert 0 <= span["startTime"] < 1 << 64
        assert 0 <= span["duration"] < 1 << 64
        check_key_values(span["tags"])
        assert all(reference["refType"] in ("CHILD_OF", "FOLLOWS_FROM") for reference in span["references"])
        for log in span["logs"]:
            assert log.keys() == {"timestamp", "fields"}
            check_key_values(log["fields"])


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_the_document_is_what_jaeger_writes(path: Path) -> None:
    out = io.BytesIO()
    write_format("jaeger", read_file(path).prefix(1 << 19).messages, out)
    parsed = json.loads(out.getvalue())
    assert parsed.keys() == {"data", "total", "limit", "offset", "errors"}
    for trace in parsed["data"]:
        check_trace(trace)


def test_the_parent_is_the_first_reference() -> None:
    (trace,) = json.loads(document([EXAMPLE]))["data"]
    kinds = [reference["refType"] for reference in trace["spans"][0]["references"]]
    assert kinds == ["CHILD_OF", *["FOLLOWS_FROM"] * len(EXAMPLE.links)]


def test_integers_that_javascript_cannot_read_are_strings() -> None:
    span = replace(EXAMPLE, attributes={"small": (1 << 53) - 1, "large": 1 << 53})
    (trace,) = json.loads(document([span]))["data"]
    tags = {tag["key"]: tag for tag in trace["spans"][0]["tags"]}
    assert tags["small"]["value"] == (1 << 53) - 1
    assert tags["large"] == {"key": "large", "type": "int64", "value": str(1 << 53)}


def test_a_document_without_traces_is_one() -> None:
    assert json.loads(document())["data"] == []
    assert read(document()) == []


# --- the size split ---------------------------------------------------------------------------------------------------


def many_traces(n: int) -> list[list[Span]]:
    return [[replace(EXAMPLE, trace_id=number.to_bytes(16, "big"))] for number in range(1, n + 1)]


@pytest.mark.parametrize("max_bytes", [5_000, 20_000, 1 << 30])
def test_split_documents_hold_all_traces_and_are_no_larger_than_asked(max_bytes: int) -> None:
    traces = many_traces(40)
    documents = list(split_documents(traces, max_bytes))
    assert all(len(one) <= max_bytes for one in documents)
    assert [trace for one in documents for trace in read(one)] == traces
    for one, following in pairwise(documents):
        assert len(one) + len(document(read(following)[0])) > max_bytes, "another trace would have fitted"


def test_a_trace_that_is_larger_than_asked_has_a_document_of_its_own() -> None:
    traces = many_traces(3)
    documents = list(split_documents(traces, 10))
    assert [read(one) for one in documents] == [[trace] for trace in traces]
    assert documents == [document(trace) for trace in traces]


# --- what others write ------------------------------------------------------------------------------------------------


def others(**fields: Any) -> bytes:
    span = {"traceID": "1f", "spanID": "2", "operationName": "op", "startTime": 5, "duration": 2, **fields}
    process = {"serviceName": "shop", "tags": [{"key": "host.name", "type": "string", "value": "h"}]}
    trace = {"traceID": "1f", "spans": [span], "processes": {"p1": process}}
    return json.dumps({"total": 0, "errors": None, "data": [trace]}).encode()


def test_ids_without_their_zeros_and_keys_in_any_order_are_read() -> None:
    ((span,),) = read(others(processID="p1"))
    assert span.trace_id == bytes(15) + b"\x1f"
    assert span.span_id == bytes(7) + b"\2"
    assert span.resource.attributes == {"service.name": "shop", "host.name": "h"}
    assert (span.start_ns, span.end_ns) == (5000, 7000)


def test_a_process_inside_a_span_and_a_parent_in_its_old_place_are_read() -> None:
    ((span,),) = read(others(process={"serviceName": "inner"}, parentSpanID="3"))
    assert span.service_name == "inner"
    assert span.parent_span_id == bytes(7) + b"\3"


def test_a_reference_child_of_another_trace_is_a_link_that_says_so() -> None:
    reference = {"refType": "CHILD_OF", "traceID": "aa", "spanID": "bb"}
    ((span,),) = read(others(process={}, references=[reference]))
    assert span.parent_span_id == b""
    assert [link.attributes for link in span.links] == [{"opentracing.ref_type": "child_of"}]
    (trace,) = json.loads(document([span]))["data"]
    assert [reference["refType"] for reference in trace["spans"][0]["references"]] == ["CHILD_OF"]


def test_names_that_the_scope_had_before_and_values_without_a_type_are_read() -> None:
    tags = [{"key": "otel.library.name", "value": "lib"}, {"key": "n", "value": 1}, {"key": "x", "value": 1.5}]
    ((span,),) = read(others(process={}, tags=tags))
    assert span.scope.name == "lib"
    ((span,),) = read(others(process={}, tags=[*tags, {"key": "otel.scope.name", "value": "lib"}]))
    assert (span.scope.name, span.attributes) == ("lib", {"n": 1, "x": 1.5})
    ((span,),) = read(others(process={}, tags=[*tags, {"key": "otel.scope.name", "value": "other"}]))
    assert (span.scope.name, span.attributes) == ("other", {"otel.library.name": "lib", "n": 1, "x": 1.5})


def test_warnings_are_kept() -> None:
    data = others(process={"serviceName": "s"}, warnings=["clock skew"])
    ((span,),) = read(data)
    assert span.attributes == {"@jaeger@warnings": ("clock skew",)}
    assert json.loads(document([span]))["data"][0]["spans"][0]["warnings"] == ["clock skew"]
    odd = replace(EXAMPLE, attributes={"@jaeger@warnings": "text"})
    assert back(odd) == odd


# --- what OTLP cannot hold of it --------------------------------------------------------------------------------------

TAGS = [
    {"key": "http.status_code", "type": "int64", "value": 200},
    {"key": "id", "type": "int64", "value": "9223372036854775222"},
    {"key": "temperature", "type": "float64", "value": 72.5},
    {"key": "blob", "type": "binary", "value": "AAAwOQ=="},
    {"key": "cached", "type": "bool", "value": False},
    {"key": "otel.scope.name", "type": "string", "value": "lib"},
    {"key": "span.kind", "type": "string", "value": "server"},
]
THEIRS = {
    "traceID": "0000000000000000000000000000001f",
    "spanID": "0000000000000002",
    "flags": 1,
    "operationName": "op",
    "references": [
        {"refType": "CHILD_OF", "traceID": "0000000000000000000000000000001f", "spanID": "0000000000000001"},
        {"refType": "CHILD_OF", "traceID": "000000000000000000000000000000ff", "spanID": "00000000000000ff"},
        {"refType": "FOLLOWS_FROM", "traceID": "0000000000000000000000000000001f", "spanID": "0000000000000003"},
    ],
    "startTime": 1485467191639875,
    "duration": 5,
    "tags": TAGS,
    "logs": [
        {"timestamp": 1485467191639875, "fields": [{"key": "event", "type": "string", "value": "some-event"}]},
        {"timestamp": 1485467191639876, "fields": [{"key": "x", "type": "bool", "value": True}]},
    ],
    "processID": "p1",
    "warnings": ["some span warning"],
}
PROCESS = {"serviceName": "service-x", "tags": [{"key": "ip", "type": "string", "value": "10.0.0.1"}]}


def their_document(span: dict[str, Any], **fields: Any) -> dict[str, Any]:
    trace = {"traceID": THEIRS["traceID"], "spans": [span], "processes": {"p1": PROCESS}, "warnings": None, **fields}
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def through_otlp(document_: dict[str, Any]) -> Any:
    out = io.BytesIO()
    messages = [encode_plain_spans(trace) for trace in read(json.dumps(document_).encode())]
    write_format("jaeger", messages, out)
    return json.loads(out.getvalue())


def in_order(document_: dict[str, Any]) -> Any:
    """The document with the tags of its spans in the order of their keys."""
    for trace in document_["data"]:
        for span in trace["spans"]:
            span["tags"] = sorted(span["tags"], key=lambda tag: str(tag["key"]))
    return document_


def tag(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "type": "bool" if isinstance(value, bool) else "string", "value": value}


ERROR_TAGS = [tag("error", True), tag("otel.status_code", "ERROR")]
FIRST, SECOND, THIRD = THEIRS["references"]  # type: ignore[misc]  # what JSON holds is object to mypy
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "several tags of one key": ({"tags": [tag("a", "1"), tag("a", "2")]}, {"tags": [tag("a", "2")]}),
    'a flag of a span that says "debug"': ({"flags": 3}, {"flags": 1}),
    "ids without the zeros in front": ({"spanID": "2"}, {"spanID": "0000000000000002"}),
    "an error without `otel.status_code`": ({"tags": [tag("error", True)]}, {"tags": ERROR_TAGS}),
    "a parent that is not the first reference": (
        {"references": [THIRD, FIRST, SECOND]},
        {"references": [FIRST, THIRD, SECOND]},
    ),
    "a tag `error` = false and `otel.status_code` = ERROR": (
        {"tags": [tag("error", False), tag("otel.status_code", "ERROR")]},
        {"tags": ERROR_TAGS},
    ),
}


def test_what_jaeger_writes_comes_back_to_jaeger() -> None:
    assert in_order(through_otlp(their_document(THEIRS))) == in_order(their_document(THEIRS))


@pytest.mark.parametrize("statement", CHANGED)
def test_what_otlp_cannot_hold_of_a_span_is_what_the_table_says(statement: str) -> None:
    before, after = CHANGED[statement]
    found = through_otlp(their_document({**THEIRS, **before}))
    assert in_order(found) == in_order(their_document({**THEIRS, **after}))


def test_what_otlp_cannot_hold_of_a_trace_is_what_the_table_says() -> None:
    more = their_document(THEIRS, warnings=["some trace warning"], processes={"p1": PROCESS, "p2": PROCESS})
    more["data"].append({"traceID": "aa", "spans": [], "processes": {}, "warnings": None})
    assert in_order(through_otlp(more)) == in_order(their_document(THEIRS))


def test_that_table_has_these_statements() -> None:
    assert set(CHANGED) <= set(statements("What OTLP cannot hold of theirs"))


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = {
    "data[0].spans[0].startTime: a whole number from 0 to": others(startTime=-1),
    "data[0].spans[0].duration: a whole number from 0 to": others(duration=1 << 63),
    "data[0].spans[0].traceID: an id in hex is needed, not 'xyz'": others(traceID="xyz"),
    "data[0].spans[0].processID: one of the keys of data[0].processes": others(processID="p2"),
    "data[0].spans[0].tags[0].value: a whole number from": others(
        process={}, tags=[{"key": "a", "type": "int64", "value": "x"}]
    ),
    "data[0].spans[0].tags[0].type: one of string, bool, int64": others(
        process={}, tags=[{"key": "a", "type": "int", "value": 1}]
    ),
    "data[0].spans[0].logs[0]: an object is needed, not 5": others(process={}, logs=[5]),
    "data[0].spans[0].references: an array is needed": others(process={}, references={}),
    "data[0]: an object is needed, not 7": b'{"data": [7]}',
    "an array of traces is needed": b'{"data": null, "errors": []}',
    "not JSON: Expecting ',' or ']' at line 1, column 14": b'{"data": [{} 1',
    "at line 1, column 12; the file is damaged or cut off": b'{"data": [{',
    "not JSON: Expecting value at line 2, column 3": b'{"data": [\n  ?]}',
    "not JSON: Extra data at line 1, column 15": b'{"data": [] } x',
    "not JSON: not UTF-8 near byte 11": b'{"data": ["\xff"]}',
    "nested too deep": b'{"data": ' + b"[" * 100_000,
    "not JSON: Exceeds the limit": b'{"data": [' + b"1" * 5000 + b"]}",
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_error_that_names_the_place(message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(BAD[message])
    assert message in str(caught.value)
