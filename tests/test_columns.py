"""Columns hold what protobuf's own parser reads, whoever encoded the trace."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from archives import MESSAGES, field, message, span
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from tracezip import InputError
from tracezip import columns as columns_module
from tracezip.columns import Columns, parse_columns
from tracezip.convert.otlp_json import to_json

TYPES = {
    "trace_id": np.uint8,
    "span_id": np.uint64,
    "parent_span_id": np.uint64,
    "start_time_unix_nano": np.uint64,
    "end_time_unix_nano": np.uint64,
    "n_events": np.uint32,
    "n_links": np.uint32,
    "event_time_unix_nano": np.uint64,
    "n_spans": np.uint32,
    "n_scopes": np.uint32,
}


def expected(data: bytes) -> dict[str, list[Any]]:
    """The columns by protobuf's own parser."""
    resources = TracesData.FromString(data).resource_spans
    scopes = [scope for resource in resources for scope in resource.scope_spans]
    spans = [one for scope in scopes for one in scope.spans]
    return {
        "trace_id": [list(one.trace_id if len(one.trace_id) == 16 else bytes(16)) for one in spans],
        "span_id": [number_of(one.span_id) for one in spans],
        "parent_span_id": [number_of(one.parent_span_id) for one in spans],
        "start_time_unix_nano": [one.start_time_unix_nano for one in spans],
        "end_time_unix_nano": [one.end_time_unix_nano for one in spans],
        "n_events": [len(one.events) for one in spans],
        "n_links": [len(one.links) for one in spans],
        "event_time_unix_nano": [event.time_unix_nano for one in spans for event in one.events],
        "n_spans": [len(scope.spans) for scope in scopes],
        "n_scopes": [len(resource.scope_spans) for resource in resources],
    }


def number_of(span_id: bytes) -> int:
    return int.from_bytes(span_id, "big") if len(span_id) == 8 else 0


def assert_columns(columns: Columns, data: bytes) -> None:
    for name, values in expected(data).items():
        column = getattr(columns, name)
        assert column.dtype == TYPES[name], name
        assert column.shape == ((len(values), 16) if name == "trace_id" else (len(values),)), name
        assert column.tolist() == values, name
        assert not column.flags.writeable, name


TIME = b"\x15\xcd\x5b\x07\x00\x00\x00\x00"
EVENT, LINK = field(11, b"\x09" + TIME + field(2, "event")), field(13, field(1, b"t" * 16) + field(2, b"l" * 8))
FULL = span(5) + field(4, b"\xff" * 8) + b"\x41" + b"\xff" * 8 + EVENT * 2 + LINK * 3


def in_message(*spans: bytes) -> bytes:
    return field(1, field(2, b"".join(field(2, one) for one in spans)))


CANONICAL = {
    "nothing": b"",
    "a resource without scopes": field(1, b""),
    "a scope without spans": field(1, field(2, b"")),
    "a full span": in_message(FULL),
    "resources and scopes": field(1, field(2, field(2, FULL)) * 2 + field(2, b"")) + message(3) + field(1, b""),
    "an event and a span without a time": in_message(span(1) + field(11, field(2, "event")), field(5, "name")),
}
ODD = {
    "an empty span": in_message(b""),
    "odd ids": in_message(field(1, b"short") + field(2, b"too long an id") + field(5, "name"), span(1)),
    "two runs of events": in_message(span(1), span(2) + EVENT + field(5, "again") + EVENT, span(3) + LINK),
    "numbers longer than needed": in_message(span(1) + b"\x30\x81\x00", span(2)),
    "an event with a number longer than needed": in_message(span(1) + field(11, b"\x09" + TIME + b"\x20\x81\x00")),
    "two runs of scopes": field(1, field(2, field(2, span(1))) + field(3, "url") + field(2, field(2, FULL))),
    "unknown fields of a message": field(99, "unknown") + message(1),
    "a group": in_message(span(1)) + b"\x9b\x06\x08\x01\x9c\x06",
    "too many fields": in_message(FULL + b"".join(field(9, b"") for _ in range(2000))),
    "a resource of too many fields": field(1, field(1, field(1, b"") * 500) + field(2, field(2, FULL))),
}


@pytest.mark.parametrize("name", [*CANONICAL, *ODD])
def test_columns_are_what_protobuf_reads(name: str) -> None:
    data = {**CANONICAL, **ODD}[name]
    assert_columns(parse_columns(data), data)


@pytest.mark.parametrize("name", CANONICAL)
def test_both_ways_to_read_agree(name: str) -> None:
    assert_columns(columns_module._fast_columns(CANONICAL[name]), CANONICAL[name])
    assert_columns(columns_module._slow_columns(CANONICAL[name]), CANONICAL[name])


def test_what_an_encoder_writes_is_not_read_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "_slow_columns", lambda _: pytest.fail("read field by field"))
    assert len(parse_columns(b"".join(MESSAGES))) == 12


numbers = st.integers(0, 40)
proto_spans = st.builds(
    lambda number, events, links, rest: span(number) + EVENT * events + LINK * links + rest,
    numbers,
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([b"", EVENT, field(77, b"x"), b"\x30\x82\x00", field(9, b"\x0a\x01k")]),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.lists(proto_spans, max_size=3), max_size=3), max_size=3))
def test_columns_of_any_trace(trace: list[list[list[bytes]]]) -> None:
    data = b"".join(
        field(1, b"".join(field(2, b"".join(field(2, one) for one in scope)) for scope in resource))
        for resource in trace
    )
    assert_columns(parse_columns(data), data)


def test_ids_read_as_people_know_them() -> None:
    columns = parse_columns(in_message(FULL))
    (found,) = TracesData.FromString(in_message(FULL)).resource_spans[0].scope_spans[0].spans
    assert columns.trace_id[0].tobytes().hex() == found.trace_id.hex()
    assert f"{columns.span_id[0]:016x}" == found.span_id.hex()
    assert f"{columns.parent_span_id[0]:016x}" == "ff" * 8


def test_spans_know_their_scope_and_resource() -> None:
    scope = field(2, field(2, span(1)) * 2)
    columns = parse_columns(field(1, scope + field(2, b"") + scope) + field(1, b"") + field(1, scope))
    assert columns.scope_index.tolist() == [0, 0, 2, 2, 3, 3]
    assert columns.resource_index.tolist() == [0, 0, 0, 0, 2, 2]
    assert len(parse_columns(b"").resource_index) == 0


def test_every_form_of_trace_is_taken() -> None:
    data = MESSAGES[0]
    for trace in (bytearray(data), memoryview(data), TracesData.FromString(data), to_json(data)):
        assert_columns(parse_columns(trace), data)
    readable = ReadableSpan("a", SpanContext(1 << 64, 2, False), resource=Resource({}))
    columns = parse_columns([readable])
    assert columns.span_id.tolist() == [2]
    assert columns.trace_id[0].tolist() == [0] * 7 + [1] + [0] * 8


@pytest.mark.parametrize("data", [b"not a trace", MESSAGES[0][:-1], in_message(span(1)) + b"\x0a", b"\x00", b"\x0c"])
def test_what_is_no_trace_is_an_input_error_with_its_place(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        parse_columns(data)
    assert caught.value.offset is not None


def test_columns_cannot_be_changed() -> None:
    columns = parse_columns(MESSAGES[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        columns.span_id = columns.parent_span_id  # type: ignore[misc]  # that it is refused is the test
    with pytest.raises(ValueError, match="read-only"):
        columns.span_id[0] = 1


def test_numpy_is_not_imported_for_compressing() -> None:
    code = "import sys, tracezip; tracezip.decompress(tracezip.compress(b'')); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_numpy_is_not_imported_for_writing_and_reading_an_index() -> None:
    code = """
import io, sys, tracezip
from tracezip import index, limits
limits.UNIT_SPANS = 1
file = io.BytesIO()
with tracezip.open(file, "wb") as writer:
    for number in range(3):
        writer.write(bytes.fromhex("0a0d120b12090a01") + bytes([number]) + bytes.fromhex("2a046e616d65"))
        writer.flush()
units = index.read_units(file)
print([[pair.name for pair in unit.summary.pairs] for unit in units], "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[['name'], ['name'], ['name']] False\n"
