"""Spans as Parquet (the extra `arrow`): a row for each span, in the columns of `tracezip.convert.table`.

`timestamp` is in nanoseconds without a time zone, and UTC; ends and durations are integers of nanoseconds. What is more
than 64 signed bits can hold, a time after the year 2262, is null. Attributes, events and links are JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

from tracezip.convert.spans import Span
from tracezip.convert.table import COLUMNS
from tracezip.convert.wire import utf8

ROW_GROUP_ROWS = 1 << 16
ROW_GROUP_BYTES = 1 << 26
"""A row group ends when it has so many rows, or as soon as it has so many bytes before they are compressed."""
BATCH_ROWS = 1 << 10

_MAX_INT64 = (1 << 63) - 1
_SIGNED_64 = ("timestamp", "end_timestamp", "duration")
_SIGNED_32 = ("span_kind", "status_code")
_UNSIGNED_32 = ("dropped_attributes_count", "dropped_events_count", "dropped_links_count", "flags")


def write_parquet(traces: Iterable[Sequence[Span]], stream: BinaryIO) -> None:
    """Writes all spans, in their order, compressed with zstd. Memory holds one row group.

    Raises ImportError, which says what to install, without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError("writing Parquet needs pyarrow: pip install 'tracezip[arrow]'") from error
    schema = pa.schema([(name, _type(pa, name)) for name in COLUMNS])
    sink = pa.PythonFile(_Sink(stream), mode="w")
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _row_groups(_batches(pa, schema, traces)):
            writer.write_table(pa.Table.from_batches(group), row_group_size=ROW_GROUP_ROWS)


def _type(pa: Any, name: str) -> Any:
    if name == "timestamp":
        return pa.timestamp("ns")
    if name in _SIGNED_64:
        return pa.int64()
    if name in _SIGNED_32:
        return pa.int32()
    return pa.uint32() if name in _UNSIGNED_32 else pa.string()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else utf8(value).decode()
    return value if -_MAX_INT64 <= value <= _MAX_INT64 else None


def _batches(pa: Any, schema: Any, traces: Iterable[Sequence[Span]]) -> Iterator[Any]:
    """Record batches of BATCH_ROWS spans: as Python's objects, a row group would take much memory."""
    spans = chain.from_iterable(traces)
    while batch := list(islice(spans, BATCH_ROWS)):
        columns = [map(_cell, map(read, batch)) for read in COLUMNS.values()]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _row_groups(batches: Iterable[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if len(group) * BATCH_ROWS >= ROW_GROUP_ROWS or sum(one.nbytes for one in group) >= ROW_GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


class _Sink:
    """A stream that can only be written, for pyarrow, which also asks for the position and closes what it is given."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()
