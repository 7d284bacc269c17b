"""Archives as tables of other libraries: the same question gets the same answer from each."""

from __future__ import annotations

import datetime
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from otlp_maker import Maker
from test_queries import archive, is_otlp, naive

import tracezip
from tracezip import limits
from tracezip.errors import InputError, UsageError
from tracezip.scan.columns import COLUMNS

pa = pytest.importorskip("pyarrow", reason="pip install 'tracezip[tables]' to run this")
WHERE = "duration >= 5 && (kind = server || status = error)"
SQL = "duration >= 5 AND (span_kind = 2 OR status_code = 2)"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    maker = Maker(11, 3)
    with mock.patch.multiple(limits, BLOCK_SPANS=20, UNIT_SPANS=40):
        data = archive(list(filter(is_otlp, (maker.message() for _ in range(60))))).getvalue()
    path = tmp_path_factory.mktemp("tables") / "spans.tzip"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def rows(path: Path) -> list[tuple[str, int]]:
    """The answer: names and durations of the spans that are asked for."""
    with tracezip.open(path) as reader:
        spans = naive(list(reader), WHERE)
    assert len(spans) > 10
    return [(span.name, span.duration_ns) for span in spans]


@pytest.fixture
def asked() -> Iterator[mock.Mock]:
    """Notes what reaches the archive."""
    scan = tracezip.Reader.scan
    with mock.patch.object(tracezip.Reader, "scan", autospec=True, side_effect=scan) as asked:
        yield asked


def test_arrow(path: Path, rows: list[tuple[str, int]]) -> None:
    with tracezip.open(path) as reader:
        table = reader.to_arrow(WHERE, ["span_name", "duration"])
        assert list(zip(*table.to_pydict().values(), strict=True)) == rows
        assert reader.to_arrow_reader(columns=[]).read_all().num_rows == sum(1 for _ in reader.spans())
        whole = reader.to_arrow()
        assert whole.schema.names == list(COLUMNS)
        assert whole.schema.field("timestamp").type == pa.timestamp("ns", "UTC")
        with pytest.raises(InputError, match="no column 'name'"):
            reader.to_arrow(columns=["name"])


def test_pandas(path: Path, rows: list[tuple[str, int]]) -> None:
    pytest.importorskip("pandas", reason="pip install 'tracezip[tables]' to run this")
    with tracezip.open(path) as reader:
        frame = reader.to_pandas(WHERE, ["span_name", "duration"])
    assert list(frame.itertuples(index=False, name=None)) == rows


def test_polars(path: Path, rows: list[tuple[str, int]], asked: mock.Mock) -> None:
    pl = pytest.importorskip("polars", reason="pip install 'tracezip[tables]' to run this")
    from tracezip.tables.polars import scan_tracezip

    kinds = (pl.col("span_kind") == 2) | (pl.lit(2) == pl.col("status_code"))
    query = scan_tracezip(path).filter(pl.col("duration") >= 5, kinds).select("span_name", "duration")
    assert query.collect().rows() == rows
    where, columns = asked.call_args.args[1:]
    assert {str(field) for field in where.fields} == {"duration", "kind", "status"}
    assert set(columns) == {"span_name", "duration", "span_kind", "status_code"}
    assert query.head(3).collect().rows() == rows[:3]
    since = datetime.datetime(2001, 9, 9, 1, 46, 40, tzinfo=datetime.UTC)
    texts = scan_tracezip(path).filter(pl.col("timestamp") >= since, pl.col("span_name").str.starts_with("GET"))
    assert (
        texts.collect().height
        == scan_tracezip(path).collect().filter(pl.col("span_name").str.starts_with("GET")).height
    )
    assert {str(field) for field in asked.call_args_list[-2].args[1].fields} == {"start", "name"}


def test_duckdb(path: Path, rows: list[tuple[str, int]], asked: mock.Mock) -> None:
    duckdb = pytest.importorskip("duckdb", reason="pip install 'tracezip[tables]' to run this")
    from tracezip.tables.dataset import SpanDataset

    spans = SpanDataset(path)
    query = f"SELECT span_name, duration FROM spans WHERE {SQL}"
    assert duckdb.sql(query).fetchall() == rows
    assert "span_attributes" not in asked.call_args.args[2]
    assert duckdb.sql("SELECT count(*) FROM spans WHERE duration > 5 AND span_kind = 2").fetchall()[0][0] > 0
    assert {str(field) for field in asked.call_args.args[1].fields} == {"duration", "kind"}
    everything = duckdb.sql("SELECT count(*), count(DISTINCT trace_id) FROM spans").fetchall()
    with tracezip.open(path) as reader:
        table = reader.to_arrow(columns=["trace_id"])
    assert everything == [(table.num_rows, len(set(table["trace_id"].to_pylist())))]
    assert len(spans.to_table()) == table.num_rows


def test_filters_of_engines_leave_nothing_out(path: Path) -> None:
    ds = pytest.importorskip("pyarrow.dataset")
    from tracezip.tables.dataset import SpanDataset

    spans, r = SpanDataset(path), random.Random(5)
    whole = spans.to_table()
    for _ in range(60):
        terms = []
        for _ in range(2):
            name = r.choice(list(COLUMNS))
            value = r.choice(whole[name].to_pylist())
            column = ds.field(name)
            orders = [
                column == value,
                column != value,
                column < value,
                column >= value,
                ~(column > value),
                column.is_null(),
            ]
            terms.append(r.choice(orders))
        condition = r.choice([terms[0] & terms[1], terms[0] | terms[1], ~terms[0]])
        assert spans.to_table(filter=condition).equals(whole.filter(condition)), str(condition)


def test_without_pyarrow_the_error_says_what_to_install(path: Path) -> None:
    with mock.patch.dict(sys.modules, {"pyarrow": None}), tracezip.open(path) as reader:
        sys.modules.pop("tracezip.tables.arrow", None)
        sys.modules["tracezip.tables"].__dict__.pop("arrow", None)
        with pytest.raises(UsageError, match=r"tracezip\[arrow\]"):
            reader.to_arrow()
