"""Spark reads archives: the same answers as the reader's, from a local Spark."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import tracezip
from benchmarks.data import SAMPLES, read_file
from tracezip import limits

MESSAGES = read_file(SAMPLES / "astronomy.otlp").messages


def reason_to_skip() -> str | None:
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install '.[spark]'"
    return None if shutil.which("java") else "Spark needs Java, which is not here"


REASON = reason_to_skip()
if REASON and os.environ.get("TRACEZIP_SPARK") == "required":
    raise RuntimeError(REASON)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives, one of them of two units in a folder below."""
    root = tmp_path_factory.mktemp("archives")
    (root / "later").mkdir()
    for name, messages in (("a.tzip", MESSAGES[:3]), ("later/b.tzip", MESSAGES[3:])):
        with tracezip.open(root / name, "wb") as writer:
            for message in messages:
                writer.write(message)
    return root


@contextmanager
def small_units() -> Iterator[None]:
    with mock.patch.multiple(limits, BLOCK_SPANS=50, UNIT_SPANS=50):
        yield


def expected(folder: Path, where: str | None, columns: list[str]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for path in (folder / "a.tzip", folder / "later/b.tzip"):
        table = table_of(path, where, columns)
        rows += zip(*(table[name].to_pylist() for name in columns), strict=True)
    return sorted(rows)


def table_of(path: Path, where: str | None, columns: list[str]) -> Any:
    with tracezip.open(path) as reader:
        return reader.to_arrow(where, columns)


def rows_of(frame: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in frame.collect())


def test_a_folder_of_archives_is_a_table(spark: Any, folder: Path) -> None:
    frame = spark.read.format("tracezip").load(str(folder))
    assert frame.count() == len(expected(folder, None, ["span_id"]))
    columns = ["trace_id", "span_id", "service_name", "span_name", "duration"]
    assert rows_of(frame.select(*columns)) == expected(folder, None, columns)


def test_queries_one_after_the_other_give_what_the_reader_gives(spark: Any, folder: Path) -> None:
    frame = spark.read.format("tracezip").load(str(folder))
    service = expected(folder, None, ["service_name"])[0][0]
    found = frame.where((frame.service_name == service) & (frame.duration >= 1_000_000)).select("span_id")
    assert rows_of(found) == expected(folder, f'service = "{service}" && duration >= 1ms', ["span_id"])
    names = frame.where(frame.span_name.isin("GET", "documentLoad") | frame.span_name.startswith("res"))
    where = 'name = "GET" || name = "documentLoad" || name ^= "res"'
    assert rows_of(names.select("span_id")) == expected(folder, where, ["span_id"])
    assert frame.count() == len(expected(folder, None, ["span_id"]))


def test_partitions_are_stretches_of_units_that_may_match(folder: Path) -> None:
    from tracezip.tables import spark
    from tracezip.where import as_expression

    with small_units(), mock.patch.object(spark, "PARTITION_SPANS", 100):
        with tracezip.open(folder / "small.other", "wb") as writer:
            for message in MESSAGES:
                writer.write(message)
        paths = [str(folder / "small.other")]
        reader = spark.SpanReader(paths, ["span_id"], as_expression(None))
        parts = reader.partitions()
        assert len(parts) > 2
        assert all(one.stop <= other.start for one, other in pairwise(parts))
        found = [span_id for part in parts for batch in reader.read(part) for span_id in batch["span_id"].to_pylist()]
        assert found == table_of(folder / "small.other", None, ["span_id"])["span_id"].to_pylist()
        assert not spark.SpanReader(paths, ["span_id"], as_expression('service = "there is none"')).partitions()


def test_options_choose_columns_and_spans(spark: Any, folder: Path) -> None:
    reader = spark.read.format("tracezip").option("columns", "span_id, duration").option("where", "duration > 5ms")
    frame = reader.load(str(folder / "*.tzip"))
    assert frame.columns == ["span_id", "duration"]
    table = table_of(folder / "a.tzip", "duration > 5ms", ["span_id"])
    assert rows_of(frame.select("span_id")) == sorted((span_id,) for span_id in table["span_id"].to_pylist())


def test_a_path_without_archives_is_an_error_that_says_so(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="there is no archive at"):
        spark.read.format("tracezip").load(str(tmp_path)).count()
