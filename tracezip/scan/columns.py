"""Spans as the columns of a table, one row for each. The names are those of DuckDB's extension `otlp`."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracezip._backend import FIELD_MANY, SKIP_TIMES, SKIP_VALUES
from tracezip.convert.spans import STATUS_ERROR, Event, Link, Span
from tracezip.errors import InputError
from tracezip.expression import Expression, Field
from tracezip.scan.chunks import Chunk, RowChunk
from tracezip.scan.failed import FailedSpans
from tracezip.scan.messages import SpanBytes
from tracezip.scan.rows import EVERYTHING, RowNumbers, Rows, Wanted, plain_span
from tracezip.scan.select import (
    ID_WORDS,
    Source,
    attribute_source,
    is_odd,
    number_column,
    of_intrinsic,
    sources_of,
    span_source,
)

Values = NDArray[Any]


class Column(NamedTuple):
    kind: str
    """time, int (64 bits) or text."""
    of: Callable[[Span], Any]
    """Its value, which defines it. Times and durations are ns."""
    field: Field | None = None
    """What it is in expressions."""
    source: Source | None = None
    """Where rows have it."""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Some spans, in the order of the file."""

    columns: Mapping[str, Values]
    """(n,) int64, or objects: text."""
    n_spans: int

    def __len__(self) -> int:
        return self.n_spans

    def __getitem__(self, name: str) -> Values:
        return self.columns[name]


# --- values -----------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """As JSON can say it: bytes in base64, what is not finite by name, as in OTLP."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _event(event: Event) -> dict[str, Any]:
    return {"timestamp": event.time_ns, "name": event.name, "attributes": event.attributes}


def _link(link: Link) -> dict[str, Any]:
    ids = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex(), "trace_state": link.trace_state}
    return {**ids, "attributes": link.attributes}


def _resource_text(key: str) -> Callable[[Span], str]:
    def of(span: Span) -> str:
        value = span.resource.attributes.get(key)
        return value if isinstance(value, str) else ""

    return of


def _id(data: bytes) -> str:
    return data.hex() if any(data) else ""


def _signed(number: int) -> int:
    """A number below 2^64 in 64 bits with a sign: what is not a time that clocks show wraps around."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _service_column(key: str) -> Column:
    source = attribute_source(key.encode())._replace(absent="")
    return Column("text", _resource_text(key), None, source)


def _field_column(kind: str, tag: int, name: str, of: Callable[[Span], Any]) -> Column:
    return Column(kind, of, None, span_source(tag, name, "" if kind == "text" else 0))


COLUMNS: dict[str, Column] = {
    "timestamp": Column("time", lambda span: _signed(span.start_ns), Field("", "start")),
    "end_timestamp": Column("int", lambda span: _signed(span.end_ns), Field("", "end")),
    "duration": Column("int", lambda span: _signed(span.duration_ns), Field("", "duration")),
    "trace_id": Column("text", lambda span: _id(span.trace_id), Field("", "trace_id")),
    "span_id": Column("text", lambda span: _id(span.span_id), Field("", "span_id")),
    "parent_span_id": Column("text", lambda span: _id(span.parent_span_id), Field("", "parent_id")),
    "trace_state": _field_column("text", 0x1A, "trace_state", lambda span: span.trace_state),
    "service_name": Column("text", lambda span: span.service_name, Field("", "service"), of_intrinsic("service")),
    "service_namespace": _service_column("service.namespace"),
    "service_instance_id": _service_column("service.instance.id"),
    "span_name": Column("text", lambda span: span.name, Field("", "name"), of_intrinsic("name")),
    "span_kind": Column("int", lambda span: span.kind, Field("", "kind"), of_intrinsic("kind")),
    "status_code": Column("int", lambda span: span.status_code, Field("", "status"), of_intrinsic("status")),
    "status_message": Column(
        "text", lambda span: span.status_message, Field("", "statusMessage"), of_intrinsic("statusMessage")
    ),
    "resource_attributes": Column("text", lambda span: _json(span.resource.attributes)),
    "scope_name": Column("text", lambda span: span.scope.name),
    "scope_version": Column("text", lambda span: span.scope.version),
    "scope_attributes": Column("text", lambda span: _json(span.scope.attributes)),
    "span_attributes": Column("text", lambda span: _json(span.attributes)),
    "events_json": Column("text", lambda span: _json(tuple(map(_event, span.events)))),
    "links_json": Column("text", lambda span: _json(tuple(map(_link, span.links)))),
    "dropped_attributes_count": _field_column(
        "int", 0x50, "dropped_attributes_count", lambda span: span.dropped_attributes_count
    ),
    "dropped_events_count": _field_column("int", 0x60, "dropped_events_count", lambda span: span.dropped_events_count),
    "dropped_links_count": _field_column("int", 0x70, "dropped_links_count", lambda span: span.dropped_links_count),
    "flags": _field_column("int", 0x85, "flags", lambda span: span.flags),
}


def checked_names(columns: Iterable[str] | None) -> list[str]:
    """The columns asked for, all if None. Raises InputError for one that there is not."""
    names = list(COLUMNS if columns is None else columns)
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"there is no column {name!r}; there are {', '.join(COLUMNS)}", code="argument")
    return names


_TIMES = frozenset({"start", "end", "duration"})


def wanted_of(where: Expression, names: Iterable[str]) -> Wanted:
    """What matters of a block for an expression and these columns."""
    columns = [COLUMNS[name] for name in names]
    if not all(map(_is_in_rows, columns)):
        return EVERYTHING
    fields = where.fields.union(column.field for column in columns if column.field is not None)
    has_times = any(not field.scope and field.key in _TIMES for field in fields)
    sources = [column.source for column in columns if column.source is not None]
    sources += [source for field in fields for source in sources_of(field)]
    asked = {source[:3] for source in sources}
    return Wanted(SKIP_VALUES if has_times else SKIP_VALUES | SKIP_TIMES, tuple(asked))


# --- batches ----------------------------------------------------------------------------------------------------------


COLUMNS_OF_FAILED = frozenset({"duration", "trace_id", "span_id", "service_name", "span_name", "status_code"})
"""Those of which the index has what failed spans say."""


def batch_of(chunk: Chunk, rows: RowNumbers, names: Sequence[str]) -> Batch:
    """These spans of a chunk, as these columns."""
    if isinstance(chunk, FailedSpans):
        return Batch({name: _column_of_failed(chunk, name)[rows] for name in names}, len(rows))
    fast = [name for name in names if isinstance(chunk, RowChunk) and _is_in_rows(COLUMNS[name])]
    columns, odd = {}, np.zeros(len(rows), bool)
    if isinstance(chunk, RowChunk):
        for name in fast:
            columns[name], is_one_odd = _column_of_rows(chunk.rows, COLUMNS[name], rows)
            odd |= is_one_odd
    slow = [name for name in names if name not in columns]
    for name, values in _values_of(chunk.span_bytes(rows) if slow else [], slow, len(rows)).items():
        columns[name] = values
    if odd.any():
        for name, values in _values_of(chunk.span_bytes(rows[odd]), fast, int(odd.sum())).items():
            columns[name] = _writable(columns[name])
            columns[name][odd] = values
    return Batch({name: columns[name] for name in names}, len(rows))


def _column_of_failed(spans: FailedSpans, name: str) -> Values:
    if name in ("service_name", "span_name"):
        return spans.services() if name == "service_name" else spans.names()
    if name in ID_WORDS:
        return _ids(spans.words[name])
    return np.full(len(spans), STATUS_ERROR) if name == "status_code" else _whole_numbers(spans.durations)


def _writable(values: Values) -> Values:
    return values if values.flags.writeable else values.copy()


def _is_in_rows(column: Column) -> bool:
    return column.source is not None or (column.field is not None and not column.field.scope)


def _column_of_rows(rows: Rows, column: Column, chosen: RowNumbers) -> tuple[Values, NDArray[np.bool_]]:
    """Values of the chosen rows, and for which of them only their bytes can tell."""
    if column.source is not None:
        told = rows.numbers(*column.source[:3])[chosen]
        return _of_atoms(rows, column.source, column.kind, told), told == FIELD_MANY
    assert column.field is not None
    odd = is_odd(rows, column.field)[chosen]
    if column.field.key in ID_WORDS:
        return _ids([rows.column(name)[chosen] for name in ID_WORDS[column.field.key]]), odd
    return _whole_numbers(number_column(rows, column.field.key)[chosen]), odd


def _of_atoms(rows: Rows, source: Source, kind: str, told: NDArray[np.uint32]) -> Values:
    """Each distinct field is decoded once. What cannot be decoded is left to the caller, who finds it so as well."""
    found, encoded = rows.distinct(told)
    table = np.full(int(found[-1]) + 1 if len(found) else 1, source.absent, object if kind == "text" else np.int64)
    for number, data in zip(found, encoded, strict=True):
        try:
            value = source.decode(data)
        except InputError:
            continue
        table[number] = value if kind != "text" or isinstance(value, str) else ""
    values: Values = table[np.where(told == FIELD_MANY, 0, told)]
    return values


def _ids(words: list[NDArray[np.uint64]]) -> Values:
    n_digits = 16 * len(words)
    text = np.stack(words, axis=1).astype(">u8").tobytes().hex()
    none = "0" * n_digits
    ids = [text[at : at + n_digits] for at in range(0, len(text), n_digits)]
    return np.array(["" if one == none else one for one in ids], object)


def _whole_numbers(values: Values) -> Values:
    if values.dtype == np.int64:
        return values
    return np.array([_signed(int(value)) for value in values], np.int64)


def _values_of(parts: Sequence[SpanBytes], names: Sequence[str], n: int) -> dict[str, Values]:
    """By their meaning, one span after the other."""
    spans = list(map(_span_or_none, parts))
    return {
        name: np.fromiter(
            (_value(COLUMNS[name], span) for span in spans), object if COLUMNS[name].kind == "text" else np.int64, n
        )
        for name in names
    }


def _value(column: Column, span: Span | None) -> Any:
    return ("" if column.kind == "text" else 0) if span is None else column.of(span)


def _span_or_none(part: SpanBytes) -> Span | None:
    try:
        return plain_span(part)
    except InputError:
        return None
