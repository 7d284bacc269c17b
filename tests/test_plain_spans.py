"""Plain spans hold what OTLP/JSON says of the same message."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from benchmarks.data import SAMPLES, read_file
from tracezip.convert.fields import read_any_value
from tracezip.convert.otlp_json import to_dict
from tracezip.convert.spans import Span, read_spans, traces_of
from tracezip.errors import InputError


def plain(value: dict[str, Any]) -> Any:
    """An OTLP/JSON AnyValue as a Python value."""
    for kind, content in value.items():
        if kind == "arrayValue":
            return tuple(plain(item) for item in content.get("values", []))
        if kind == "kvlistValue":
            return attributes(content.get("values", []))
        if kind == "bytesValue":
            return base64.b64decode(content)
        return int(content) if kind == "intValue" else content
    return None


def attributes(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair.get("key", ""): plain(pair.get("value", {})) for pair in pairs}


def check_span(span: Span, document: dict[str, Any]) -> None:
    assert span.trace_id.hex() == document.get("traceId", "")
    assert span.span_id.hex() == document.get("spanId", "")
    assert span.parent_span_id.hex() == document.get("parentSpanId", "")
    assert (span.name, span.kind) == (document.get("name", ""), document.get("kind", 0))
    assert span.start_ns == int(document.get("startTimeUnixNano", 0))
    assert span.end_ns == int(document.get("endTimeUnixNano", 0))
    assert span.attributes == attributes(document.get("attributes", []))
    assert span.status_code == document.get("status", {}).get("code", 0)
    assert [event.name for event in span.events] == [event.get("name", "") for event in document.get("events", [])]
    assert [link.span_id.hex() for link in span.links] == [link["spanId"] for link in document.get("links", [])]


def test_spans_of_the_sample_hold_what_json_says() -> None:
    for message in read_file(SAMPLES / "astronomy.otlp").messages:
        spans = read_spans(message)
        for outer in to_dict(message)["resourceSpans"]:
            for inner in outer["scopeSpans"]:
                for document in inner["spans"]:
                    span = next(spans)
                    check_span(span, document)
                    assert span.resource.attributes == attributes(outer["resource"]["attributes"])
        assert next(spans, None) is None


def test_traces_keep_the_order_of_their_spans() -> None:
    spans = [span for message in read_file(SAMPLES / "astronomy.otlp").messages for span in read_spans(message)]
    traces = traces_of(spans)
    assert sum(map(len, traces.values())) == len(spans)
    assert all(span.trace_id == trace_id for trace_id, trace in traces.items() for span in trace)


def test_values_nested_without_end_are_refused() -> None:
    value = b""
    for _ in range(200):
        value = b"\x2a" + _delimited(b"\x0a" + _delimited(value))
    with pytest.raises(InputError, match="nested"):
        read_any_value(value)


def _delimited(data: bytes) -> bytes:
    n = len(data)
    return (bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])) + data


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(InputError, match="not an OTLP protobuf message"):
        list(read_spans(b"\x0a\x7f\x00"))
