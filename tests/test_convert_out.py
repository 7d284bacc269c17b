"""The formats that are written only, and what all have in common: whole traces, bounded memory, clear errors."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import message
from held import EXAMPLE, generated, plain, zipkin_takes

from benchmarks.data import file_name, find_files, read_file
from tracezip.convert import parquet as parquet_out
from tracezip.convert import whole_traces as store
from tracezip.convert.formats import FORMATS, write_format
from tracezip.convert.messages import encode_plain_spans, message_batches
from tracezip.convert.perfetto import write_perfetto
from tracezip.convert.spans import Event, Resource, Span, read_spans, traces_of
from tracezip.convert.table import COLUMNS
from tracezip.convert.whole_traces import whole_traces
from tracezip.errors import InputError


def written(name: str, messages: list[bytes]) -> bytes:
    out = io.BytesIO()
    write_format(name, messages, out)
    return out.getvalue()


# --- Perfetto ---------------------------------------------------------------------------------------------------------

Slice = dict[str, Any]


def perfetto(*traces: Sequence[Span]) -> list[Slice]:
    out = io.BytesIO()
    write_perfetto(traces, out)
    document = json.loads(out.getvalue())
    assert document.keys() == {"traceEvents", "displayTimeUnit"}
    events: list[Slice] = document["traceEvents"]
    return events


def of_phase(events: list[Slice], phase: str) -> list[Slice]:
    return [event for event in events if event["ph"] == phase]


def check_nesting(slices: list[Slice]) -> None:
    """On each thread, in the order of the file: a slice is inside of one that is open, or after all of them."""
    open_ends: dict[tuple[int, int], list[int]] = {}
    for one in slices:
        ends = open_ends.setdefault((one["pid"], one["tid"]), [])
        while ends and ends[-1] <= one["ts"]:
            ends.pop()
        assert not ends or one["ts"] + one["dur"] <= ends[-1], one
        ends.append(one["ts"] + one["dur"])


def check_arrows(events: list[Slice], slices: list[Slice]) -> None:
    """Each arrow begins at a slice and ends at one that is not earlier, on another thread."""
    starts = {(one["pid"], one["tid"], one["ts"]) for one in slices}
    ends = {event["id"]: event for event in of_phase(events, "f")}
    for begin in of_phase(events, "s"):
        end = ends.pop(begin["id"])
        assert begin["ts"] <= end["ts"]
        assert begin["tid"] != end["tid"]
        for one in (begin, end):
            assert (one["pid"], one["tid"], one["ts"]) in starts
    assert not ends


def check_perfetto(messages: list[bytes]) -> None:
    spans = [span for one in messages for span in read_spans(one)]
    events: list[Slice] = json.loads(written("perfetto", messages))["traceEvents"]
    slices = of_phase(events, "X")
    check_nesting(slices)
    check_arrows(events, slices)
    got = Counter((one["args"].get("span_id", ""), one["name"], one["ts"]) for one in slices)
    assert got == Counter((span.span_id.hex(), span.name, span.start_ns // 1000) for span in spans)
    assert len(of_phase(events, "i")) == sum(len(span.events) for span in spans)
    processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    for one in slices:
        assert one["pid"] in processes
        assert one["dur"] >= 0


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_perfetto_has_every_span_of_real_traces_and_slices_nest(path: Path) -> None:
    check_perfetto(read_file(path).prefix(1 << 19).messages)


def test_perfetto_has_every_span_of_generated_traces_and_slices_nest() -> None:
    check_perfetto(list(generated(range(300), oddity=5)))


def at(start_us: int, end_us: int, number: int, parent: int = 0, service: str = "a") -> Span:
    parent_id = parent.to_bytes(8, "big") if parent else b""
    resource = Resource({"service.name": service})
    ids = {"span_id": number.to_bytes(8, "big"), "parent_span_id": parent_id}
    return replace(EXAMPLE, start_ns=start_us * 1000, end_ns=end_us * 1000, resource=resource, events=(), **ids)


def test_children_are_below_their_parent_and_what_overlaps_is_beside_it() -> None:
    events = perfetto([at(0, 10, 1), at(1, 5, 2, 1), at(2, 7, 3, 1), at(8, 9, 4, 1)])
    threads = [one["tid"] for one in of_phase(events, "X")]
    assert threads == [1, 1, 2, 1]
    assert [(one["ts"], one["tid"]) for one in of_phase(events, "s")] == [(0, 1)]
    assert [(one["ts"], one["tid"]) for one in of_phase(events, "f")] == [(2, 2)]


def test_a_service_is_a_process_and_a_call_is_an_arrow() -> None:
    events = perfetto([at(0, 10, 1), at(1, 5, 2, 1, "b")])
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names == ["a", "b"]
    assert [one["pid"] for one in of_phase(events, "X")] == [1, 2]
    assert len(of_phase(events, "s")) == len(of_phase(events, "f")) == 1


def test_a_thread_is_used_again_after_its_slices_have_ended() -> None:
    events = perfetto([at(0, 10, 1), at(5, 20, 2), at(10, 15, 3), at(20, 21, 4)])
    assert [one["tid"] for one in of_phase(events, "X")] == [1, 2, 1, 1]


def test_traces_have_threads_of_their_own() -> None:
    events = perfetto([at(0, 10, 1)], [replace(at(0, 10, 1), trace_id=bytes(range(16)))])
    names = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    assert names == [f"trace {EXAMPLE.trace_id.hex()}", f"trace {bytes(range(16)).hex()}"]


PERFETTO_CHANGES = {
    "times are cut to microseconds": ({"start_ns": 1999, "end_ns": 4001}, {"ts": 1, "dur": 3}),
    "a span that ends before it starts has a duration of 0": ({"start_ns": 5000, "end_ns": 4000}, {"ts": 5, "dur": 0}),
    "a failed span is red": ({"status_code": 2}, {"cname": "terrible"}),
    "a span without a kind is of the category span": ({"kind": 0}, {"cat": "span"}),
}


@pytest.mark.parametrize("statement", PERFETTO_CHANGES)
def test_a_slice_is_as_the_table_says(statement: str) -> None:
    fields, expected = PERFETTO_CHANGES[statement]
    (one,) = of_phase(perfetto([replace(EXAMPLE, **fields)]), "X")
    assert {key: one[key] for key in expected} == expected


def test_attributes_are_arguments_in_the_types_that_json_has() -> None:
    span = replace(EXAMPLE, attributes={"a": b"\0", "b": float("inf"), "c": (1, None), "d": True}, events=())
    (one,) = of_phase(perfetto([span]), "X")
    assert one["args"]["attributes"] == {"a": "AA==", "b": "Infinity", "c": [1, None], "d": True}


def test_perfetto_leaves_out_what_the_table_says() -> None:
    scope = replace(EXAMPLE.scope, schema_url="https://s", attributes={"b": 1}, dropped_attributes_count=4)
    resource = replace(EXAMPLE.resource, schema_url="https://r", dropped_attributes_count=4)
    more = replace(EXAMPLE, flags=0x301, dropped_links_count=9, scope=scope, resource=resource)
    assert perfetto([more]) == perfetto([EXAMPLE])


def test_an_event_is_an_instant_on_the_thread_of_its_span() -> None:
    span = replace(EXAMPLE, events=(Event(7_999, "tick", {"n": 1}, 0),))
    (instant,) = of_phase(perfetto([span]), "i")
    assert instant == {
        "ph": "i", "ts": 7, "pid": 1, "tid": 1, "s": "t", "name": "tick", "cat": "event", "args": {"n": 1}
    }  # fmt: skip


def test_a_document_without_traces_is_one() -> None:
    assert perfetto() == []


def test_many_spans_side_by_side_take_linear_time() -> None:
    events = perfetto([at(number, 10**6 + number, number + 1) for number in range(20_000)])
    assert len({one["tid"] for one in of_phase(events, "X")}) == 20_000


# --- CSV --------------------------------------------------------------------------------------------------------------


def rows(messages: list[bytes]) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 30)
    text = written("csv", messages).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def check_row(row: dict[str, str], span: Span) -> None:
    assert (row["trace_id"], row["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert (row["span_name"], row["service_name"]) == (span.name, span.resource.service_name)
    assert int(row["timestamp"]) == span.start_ns
    assert int(row["timestamp"]) + int(row["duration"]) == int(row["end_timestamp"]) == span.end_ns
    assert (int(row["span_kind"]), int(row["status_code"])) == (span.kind, span.status_code)
    assert json.loads(row["span_attributes"]).keys() == span.attributes.keys()
    assert [event["name"] for event in json.loads(row["events_json"])] == [event.name for event in span.events]
    assert [link["span_id"] for link in json.loads(row["links_json"])] == [link.span_id.hex() for link in span.links]


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_csv_has_a_line_for_each_span_in_order(path: Path) -> None:
    messages = read_file(path).prefix(1 << 19).messages
    for row, span in zip(rows(messages), (span for one in messages for span in read_spans(one)), strict=True):
        check_row(row, span)


def test_csv_has_the_columns_that_duckdb_knows() -> None:
    header = written("csv", []).decode()
    assert header == ",".join(COLUMNS) + "\r\n"
    assert len(COLUMNS) == 25


def test_csv_has_text_for_what_has_other_types() -> None:
    span = replace(EXAMPLE, attributes={"a": b"\0", "b": float("nan"), "c": (1, "x"), "d": None, "e": 'say "hi",\n'})
    (row,) = rows([encode_plain_spans([span])])
    assert json.loads(row["span_attributes"]) == {"a": "AA==", "b": "NaN", "c": [1, "x"], "d": None, "e": 'say "hi",\n'}


def test_csv_leaves_out_what_the_table_says() -> None:
    scope = replace(EXAMPLE.scope, schema_url="https://s", dropped_attributes_count=4)
    resource = replace(EXAMPLE.resource, schema_url="https://r", dropped_attributes_count=4)
    more = replace(EXAMPLE, scope=scope, resource=resource)
    assert written("csv", [encode_plain_spans([more])]) == written("csv", [encode_plain_spans([EXAMPLE])])


# --- Parquet ----------------------------------------------------------------------------------------------------------


def table(data: bytes) -> Any:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `arrow` is not installed")
    return parquet.read_table(io.BytesIO(data))


@pytest.mark.parametrize("path", find_files(), ids=file_name)
def test_parquet_says_the_same_as_csv(path: Path) -> None:
    messages = read_file(path).prefix(1 << 19).messages
    found = table(written("parquet", messages)).set_column(0, "timestamp", [[0] * len(rows(messages))])
    for row, line in zip(found.to_pylist(), rows(messages), strict=True):
        assert {**{key: str(value) for key, value in row.items()}, "timestamp": line["timestamp"]} == line


def test_parquet_has_nanoseconds_and_null_for_what_does_not_fit() -> None:
    late = replace(EXAMPLE, start_ns=(1 << 64) - 9, end_ns=(1 << 64) - 1)
    found = table(written("parquet", [encode_plain_spans([EXAMPLE, late])]))
    assert str(found.schema.field("timestamp").type) == "timestamp[ns]"
    assert found["timestamp"].cast("int64").to_pylist() == [EXAMPLE.start_ns, None]
    assert found["end_timestamp"].to_pylist() == [EXAMPLE.end_ns, None]
    assert found["duration"].to_pylist() == [2000, 8]


@pytest.mark.parametrize(
    ("limit", "value", "expected"), [("ROW_GROUP_ROWS", 20, [20, 20, 10]), ("ROW_GROUP_BYTES", 100, [10] * 5)]
)
def test_row_groups_are_bounded(limit: str, value: int, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `arrow` is not installed")
    monkeypatch.setattr(parquet_out, "BATCH_ROWS", 10)
    monkeypatch.setattr(parquet_out, limit, value)
    metadata = parquet.ParquetFile(io.BytesIO(written("parquet", [encode_plain_spans([EXAMPLE] * 50)]))).metadata
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == expected


def test_parquet_needs_no_more_of_a_stream_than_write_and_flush() -> None:
    class Pipe:
        data = b""

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

        def flush(self) -> None:
            pass

    pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    pipe = Pipe()
    write_format("parquet", [encode_plain_spans([EXAMPLE])], pipe)  # type: ignore[arg-type]  # it has no more than `write`
    assert table(pipe.data).num_rows == 1


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'tracezip\[arrow\]'"):
        written("parquet", [])


def test_the_table_of_formats_is_there_without_pyarrow() -> None:
    program = "import sys; import tracezip.convert.formats; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert not {"pyarrow", "numpy", "zstandard"} & set(run.stdout.split())


# --- what all have in common ------------------------------------------------------------------------------------------


def test_plain_spans_come_back_from_otlp() -> None:
    for one in generated(range(300), oddity=5):
        spans = list(read_spans(one))
        assert plain(list(read_spans(encode_plain_spans(spans)))) == plain(spans)


def test_batches_hold_all_spans_in_order() -> None:
    spans = [replace(EXAMPLE, name=str(number)) for number in range(7)]
    batches = [[span.name for span in read_spans(one)] for one in message_batches(spans, 3)]
    assert batches == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_whole_traces_are_those_of_all_messages_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(store, "N_CONTEXTS", 2)
    messages = list(generated(range(400), oddity=5))
    expected = traces_of(span for one in messages for span in read_spans(one))
    assert plain(list(whole_traces(messages))) == plain(list(expected.values()))


def test_whole_traces_take_memory_for_traces_not_for_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "IN_MEMORY_BYTES", 1 << 20)

    def messages() -> Iterator[bytes]:
        for number in range(70):
            spans = [replace(EXAMPLE, name="x" * 10_000, trace_id=bytes([number % 7 + 1] * 16)) for _ in range(20)]
            yield encode_plain_spans(spans)

    tracemalloc.start()
    try:
        n_spans = sum(1 for trace in whole_traces(messages()) for _ in trace)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_spans == 1400
    assert peak < 7_000_000, "the encoded spans are 14 MB, one trace 2 MB"


@pytest.mark.parametrize("name", FORMATS)
def test_every_writer_takes_messages_that_are_odd(name: str) -> None:
    for one in generated(range(200), oddity=15):
        if name != "zipkin" or all(map(zipkin_takes, read_spans(one))):
            written(name, [one])


@pytest.mark.parametrize("name", FORMATS)
def test_a_message_that_is_not_otlp_is_named(name: str) -> None:
    with pytest.raises(InputError, match="message 1: not an OTLP protobuf message"):
        written(name, [message(0), b"\x0a\x7f"])


@pytest.mark.parametrize("name", FORMATS)
def test_a_span_that_is_not_otlp_is_named(name: str) -> None:
    broken = b"\x0a\x08\x12\x06\x12\x04\x4a\x02\x0a\x7f"
    with pytest.raises(InputError, match=r"^(message 0|trace ): not an OTLP protobuf message"):
        written(name, [broken])


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(InputError, match="no format 'excel'; choose one of jaeger"):
        written("excel", [])
