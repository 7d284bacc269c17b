"""Archives for Spark: ``spark.read.format("tracezip").load(path)``. Needs pyspark 4 and pyarrow, on every worker too.

Spark finds the data source by the module pyspark_tracezip, which is installed beside this package.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import datasource
from pyspark.sql.pandas.types import from_arrow_schema

from tracezip.errors import InputError
from tracezip.expression import Expression
from tracezip.index import Unit, read_units
from tracezip.scan import queries
from tracezip.scan.archive import Archive
from tracezip.tables import arrow
from tracezip.where import as_expression

PARTITION_SPANS = 1 << 17
"""A partition has so many spans, or the units that begin before it has."""
_EXTENSION = ".tzip"


class TracezipDataSource(datasource.DataSource):
    """The spans of an archive, or of all archives (*.tzip) in a folder; a path may also be a pattern of `glob`.

    Options: `columns`, those wanted, with commas between them (Spark does not say which ones a query needs); `where`,
    in the language of `tracezip.where`: units that cannot match are not read. Filters of a query are Spark's own
    business: Spark 4.3 keeps a reader that was told of them for the next query of the same DataFrame, which then lacks
    rows. Times are in microseconds, as Spark has them.
    """

    @classmethod
    def name(cls) -> str:
        return "tracezip"

    def schema(self) -> Any:
        return from_arrow_schema(_spark_schema(self._columns))

    def reader(self, schema: Any) -> datasource.DataSourceReader:
        return SpanReader(paths_of(self.options), self._columns, as_expression(self.options.get("where")))

    @property
    def _columns(self) -> list[str] | None:
        names = self.options.get("columns")
        return None if names is None else [name.strip() for name in names.split(",")]


def paths_of(options: Mapping[str, str]) -> list[str]:
    """The archives that the option `path` names. Raises InputError if there are none."""
    path = options.get("path", "")
    found = (
        glob.glob(os.path.join(path, f"**/*{_EXTENSION}"), recursive=True) if os.path.isdir(path) else glob.glob(path)
    )
    if not found:
        raise InputError(
            f"there is no archive at {path!r}: give a file, a folder with *{_EXTENSION} in it, or a pattern"
        )
    return sorted(found)


@dataclass
class Stretch(datasource.InputPartition):
    """The units of an archive that begin from the byte `start` on, and before `stop`."""

    path: str
    start: int
    stop: int


class SpanReader(datasource.DataSourceReader):
    """Spans of archives, as the options choose them."""

    def __init__(self, paths: Sequence[str], columns: list[str] | None, where: Expression) -> None:
        self._paths = paths
        self._columns = columns
        self._where = where

    def partitions(self) -> Sequence[datasource.InputPartition]:
        wanted = queries.units_for(self._where)
        return [part for path in self._paths for part in _stretches(path, [u for u in read_units(path) if wanted(u)])]

    def read(self, partition: Any) -> Iterator[Any]:
        schema = _spark_schema(self._columns)
        with open(partition.path, "rb") as file:
            stretch = range(partition.start, partition.stop)
            batches = queries.scan(Archive(file), self._where, self._columns, stretch)
            for batch in arrow.record_batches(batches, self._columns):
                yield pa.record_batch(
                    [column.cast(field.type, safe=False) for column, field in zip(batch, schema, strict=True)],
                    schema=schema,
                )


def _stretches(path: str, units: Sequence[Unit]) -> Iterator[Stretch]:
    """Of units that are read. Messages that go on from unit to unit are only known to be in rows if all are known."""
    first, n_spans = 0, 0
    for i, unit in enumerate(units, 1):
        n_spans += unit.n_spans
        if i == len(units) or (n_spans >= PARTITION_SPANS and all(each.summary is not None for each in units)):
            yield Stretch(path, units[first].offset, unit.end)
            first, n_spans = i, 0


def _spark_schema(columns: Iterable[str] | None) -> Any:
    """Spark's times are microseconds."""
    fields = [
        pa.field(field.name, pa.timestamp("us", "UTC") if pa.types.is_timestamp(field.type) else field.type)
        for field in arrow.schema(columns)
    ]
    return pa.schema(fields)
