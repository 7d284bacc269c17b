"""Spans as a Parquet file: flat, as data lakes keep them, sorted by service, name and start; or one row per trace.

What is kept: every column below. What is lost: the order of spans, their batches, the types of attribute values (all
are text here) and whatever the columns do not name. So its size is a lower bound for what this layout would need.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from benchmarks.data import TraceFile

ATTRIBUTES = pa.map_(pa.string(), pa.string())
COLUMNS = {
    "service_name": pa.string(),
    "span_name": pa.string(),
    "start_ns": pa.int64(),
    "duration_ns": pa.int64(),
    "trace_id": pa.binary(),
    "span_id": pa.binary(),
    "parent_span_id": pa.binary(),
    "trace_state": pa.string(),
    "flags": pa.int64(),
    "kind": pa.int8(),
    "status_code": pa.int8(),
    "status_message": pa.string(),
    "scope_name": pa.string(),
    "scope_version": pa.string(),
    "resource_attributes": ATTRIBUTES,
    "attributes": ATTRIBUTES,
    "events": pa.string(),
    "links": pa.string(),
}
SORT_ORDER = [("service_name", "ascending"), ("span_name", "ascending"), ("start_ns", "ascending")]
DELTA_CODED = ("start_ns", "duration_ns")
PLAIN = (*DELTA_CODED, "trace_id", "span_id", "parent_span_id")


def flat_table(file: TraceFile) -> pa.Table:
    """One message at a time, so that no more than one is in memory as objects."""
    schema = pa.schema(COLUMNS)
    parts = []
    for message in file.messages:
        columns = zip(*rows(message), strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, COLUMNS.values(), strict=False)]
        parts.append(pa.Table.from_arrays(arrays, schema=schema) if arrays else schema.empty_table())
    return pa.concat_tables(parts).sort_by(SORT_ORDER).combine_chunks()


def trace_table(file: TraceFile) -> pa.Table:
    """One row per trace: its id, and a list of its spans in the order of their starts."""
    spans = flat_table(file).sort_by([("trace_id", "ascending"), ("start_ns", "ascending")]).combine_chunks()
    runs = pc.run_end_encode(spans["trace_id"].combine_chunks())
    starts = pa.concat_arrays([pa.array([0], pa.int32()), runs.run_ends.cast(pa.int32())])
    rest = spans.drop_columns(["trace_id"])
    structs = pa.StructArray.from_arrays([column.combine_chunks() for column in rest.columns], fields=list(rest.schema))
    return pa.table({"trace_id": runs.values, "spans": pa.ListArray.from_arrays(starts, structs)})


def write(table: pa.Table, level: int) -> bytes:
    target = io.BytesIO()
    prefix = "spans.list.element." if "spans" in table.column_names else ""
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=level,
        use_dictionary=[prefix + name for name in leaf_names() if name not in PLAIN],
        column_encoding={prefix + name: "DELTA_BINARY_PACKED" for name in DELTA_CODED},
    )
    return target.getvalue()


def read(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data), use_threads=False).combine_chunks()


def leaf_names() -> Iterator[str]:
    for name, kind in COLUMNS.items():
        if kind is ATTRIBUTES:
            yield from (f"{name}.key_value.key", f"{name}.key_value.value")
        else:
            yield name


def rows(message: bytes) -> Iterator[tuple[Any, ...]]:
    for resource_spans in TracesData.FromString(message).resource_spans:
        resource = pairs(resource_spans.resource.attributes)
        service = dict(resource).get("service.name", "")
        for scope_spans in resource_spans.scope_spans:
            scope = (scope_spans.scope.name, scope_spans.scope.version)
            for span in scope_spans.spans:
                yield (service, *own_columns(span), *scope, resource, pairs(span.attributes), events(span), links(span))


def own_columns(span: Span) -> tuple[Any, ...]:
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    ids = (span.trace_id, span.span_id, span.parent_span_id)
    status = span.status
    return (span.name, start, end - start, *ids, span.trace_state, span.flags, span.kind, status.code, status.message)


def pairs(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return [(attribute.key, text(attribute.value)) for attribute in attributes]


def text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return str(getattr(value, kind)).strip() if kind else ""


def events(span: Span) -> str:
    if not span.events:
        return ""
    return json.dumps([(event.time_unix_nano, event.name, pairs(event.attributes)) for event in span.events])


def links(span: Span) -> str:
    if not span.links:
        return ""
    return json.dumps([(link.trace_id.hex(), link.span_id.hex(), pairs(link.attributes)) for link in span.links])
