"""Spans as Arrow record batches. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from tracezip.scan.columns import COLUMNS, Batch, checked_names

_TYPES = {"time": pa.timestamp("ns", "UTC"), "int": pa.int64(), "text": pa.string()}


def schema(columns: Iterable[str] | None = None) -> Any:
    """The schema of these columns, of all if None."""
    return pa.schema([(name, _TYPES[COLUMNS[name].kind]) for name in checked_names(columns)])


def record_batches(batches: Iterable[Batch], columns: Iterable[str] | None) -> Any:
    """A RecordBatchReader over batches that have these columns."""
    wanted = schema(columns)
    return pa.RecordBatchReader.from_batches(wanted, _record_batches(batches, wanted))


def _record_batches(batches: Iterable[Batch], wanted: Any) -> Iterator[Any]:
    for batch in batches:
        arrays = [pa.array(batch[field.name], field.type, from_pandas=False) for field in wanted]
        if arrays:
            yield pa.record_batch(arrays, schema=wanted)
        else:  # to be counted only
            yield pa.RecordBatch.from_struct_array(pa.array([{}] * len(batch), pa.struct([])))
