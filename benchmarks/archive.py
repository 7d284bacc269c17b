"""Questions to an archive of a million spans, beside DuckDB on the same spans as Parquet.

``python -m benchmarks.archive``: the files of TRACEZIP_DATA below, one after the other, are written once by
`tracezip.open` and once as Parquet (zstd 3, row groups of 122,880 rows, DuckDB's own size) sorted by service, name and
start; the archive is asked as it was written and after `tracezip merge --sort`. Times are by the clock, for DuckDB may
use threads; opening the file is part of each question, imports and DuckDB's connection are not. Before anything is
timed the answers are compared.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.data import TraceFile, file_name, find_files, join_stream, read_file, split_stream
from benchmarks.report import RESULTS, machine
from benchmarks.report_tables import number, table

FILES = ("shop-capture", "traceweaver-media", "trainticket", "hipstershop", "astronomy")
ROW_GROUP = 122_880
N_TRACES = 200
N_SERVICES = 3
RUNS = 5
COLUMNS = ("trace_id", "span_id", "span_name", "duration")


@dataclass(frozen=True)
class Question:
    """One service's failed spans that took at least so long, ns."""

    service: str
    min_duration: int

    @property
    def where(self) -> str:
        return f'service = "{self.service}" && status = error && duration >= {self.min_duration}ns'


class Files:
    """The same spans as an archive, as it was written and sorted, as Parquet, and as zstd of the protobuf stream."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.written, self.sorted = folder / "written.tzip", folder / "sorted.tzip"
        self.parquet, self.zstd = folder / "sorted.parquet", folder / "stream.zst"
        messages = list(messages_of(names))
        everything = TraceFile("all", messages)
        self.n_spans = everything.n_spans
        self._write(messages)
        write_parquet(everything, self.parquet)
        merge = [sys.executable, "-m", "tracezip.cli.main", "merge", "--sort", str(self.sorted), str(self.written)]
        subprocess.run(merge, check=True)

    def _write(self, messages: list[bytes]) -> None:
        import tracezip

        with tracezip.open(self.written, "wb") as writer:
            for message in messages:
                writer.write(message)
        self.zstd.write_bytes(zstandard.ZstdCompressor(level=3).compress(join_stream(messages)))


def messages_of(names: tuple[str, ...]) -> Iterator[bytes]:
    paths = {file_name(path): path for path in find_files()}
    missing = [name for name in names if name not in paths]
    if missing:
        raise SystemExit(f"benchmarks: no file {', '.join(missing)}; TRACEZIP_DATA must name the folder that has them")
    for name in names:
        say(f"reading {name}")
        yield from read_file(paths[name]).messages


def write_parquet(file: TraceFile, path: Path) -> None:
    import pyarrow.parquet as pq

    from benchmarks.parquet import flat_table

    say("writing Parquet")
    pq.write_table(flat_table(file), path, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)


class DuckDb:
    """Asks the Parquet file."""

    def __init__(self, path: Path) -> None:
        import duckdb

        self._path = str(path)
        self._connection = duckdb.connect()

    def trace(self, trace_id: bytes) -> Any:
        return self._ask("select * from read_parquet(?) where trace_id = ?", trace_id)

    def search(self, question: Question) -> Any:
        return self._ask(
            "select trace_id, span_id, span_name, duration_ns from read_parquet(?) "
            "where service_name = ? and status_code = 2 and duration_ns >= ?",
            question.service,
            question.min_duration,
        )

    def questions(self) -> list[Question]:
        """The services with the most failed spans, each with the median of how long these took."""
        found = self._connection.execute(
            "select service_name, cast(median(duration_ns) as bigint) from read_parquet(?) where status_code = 2 "
            f"group by 1 order by count(*) desc, 1 limit {N_SERVICES}",
            [self._path],
        ).fetchall()
        return [Question(service, duration) for service, duration in found]

    def trace_ids(self) -> list[bytes]:
        rows = self._connection.execute(
            "select distinct trace_id from read_parquet(?) order by 1", [self._path]
        ).fetchall()
        return random.Random(1).sample([row[0] for row in rows], min(N_TRACES, len(rows)))

    def _ask(self, query: str, *values: Any) -> Any:
        return self._connection.sql(query, params=[self._path, *values]).to_arrow_table()


def fetch_trace(path: Path, trace_id: bytes) -> bytes:
    import tracezip

    with tracezip.open(path) as reader:
        return reader.trace(trace_id) or b""


def search_archive(path: Path, question: Question) -> list[Any]:
    import tracezip

    with tracezip.open(path) as reader:
        return list(reader.scan(question.where, COLUMNS))


def search_protobuf(path: Path, question: Question) -> list[bytes]:
    """Every message decompressed and parsed by protobuf's own library."""
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    found = []
    with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as reader:
        data = reader.read()
    for message in split_stream(data):
        for resource_spans in TracesData.FromString(message).resource_spans:
            attributes = {a.key: a.value.string_value for a in resource_spans.resource.attributes}
            if attributes.get("service.name") == question.service:
                found += [
                    span.span_id
                    for scope_spans in resource_spans.scope_spans
                    for span in scope_spans.spans
                    if span.status.code == 2
                    and span.end_time_unix_nano - span.start_time_unix_nano >= question.min_duration
                ]
    return found


def measure(files: Files) -> str:
    duckdb = DuckDb(files.parquet)
    ids, questions = duckdb.trace_ids(), duckdb.questions()
    archives = {"as written": files.written, "sorted": files.sorted}
    compare(files, duckdb, ids, questions)
    lines = [size_line(files, name, path) for name, path in archives.items()]
    parts = ["# Questions to an archive", described(files, questions)]
    parts.append(table(("archive", "", "bytes/span", "× Parquet"), lines))
    fetched = {"DuckDB on Parquet": [timed(partial(duckdb.trace, i)) for i in ids]}
    for name, path in archives.items():
        fetched[f"tracezip, {name}"] = [timed(partial(fetch_trace, path, i)) for i in ids]
    base = statistics.median(fetched["DuckDB on Parquet"])
    lines = [trace_line(name, times, base) for name, times in fetched.items()]
    parts.append(f"A trace by its id, {len(ids)} random ones, each once:")
    parts.append(table(("", "", "median ms", "p95 ms", "× DuckDB"), lines))
    parts += [search_section(files, archives, duckdb, question) for question in questions]
    return "\n\n".join(parts) + "\n"


def described(files: Files, questions: list[Question]) -> str:
    about = "; ".join(f"{key} {value}" for key, value in machine().items())
    return (
        f"{files.n_spans:,} spans: {', '.join(FILES)}. Measured on: {about}. Parquet: zstd 3, sorted by service, name "
        f"and start, row groups of {ROW_GROUP:,}. Times by the clock, best of {RUNS} where not said otherwise."
    )


def size_line(files: Files, name: str, path: Path) -> list[str]:
    n_bytes = path.stat().st_size
    relative = n_bytes / files.parquet.stat().st_size
    return [name, "", f"{n_bytes / files.n_spans:.2f}", f"{relative:.2f}"]


def trace_line(name: str, times: list[float], base: float) -> list[str]:
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    return [name, "", f"{median * 1e3:.2f}", f"{p95 * 1e3:.2f}", f"{median / base:.2f}"]


def search_section(files: Files, archives: dict[str, Path], duckdb: DuckDb, question: Question) -> str:
    found = {"DuckDB on Parquet": best(partial(duckdb.search, question))}
    for name, path in archives.items():
        found[f"tracezip, {name}"] = best(partial(search_archive, path, question))
    found["zstd and protobuf"] = timed(partial(search_protobuf, files.zstd, question))
    base = found["DuckDB on Parquet"]
    lines = [[name, "", f"{seconds * 1e3:.1f}", number(seconds / base)] for name, seconds in found.items()]
    n_found = len(duckdb.search(question))
    return f"`{question.where}`: {n_found:,} spans\n\n" + table(("", "", "ms", "× DuckDB"), lines)


def compare(files: Files, duckdb: DuckDb, ids: list[bytes], questions: list[Question]) -> None:
    """Both have the same spans in the same traces, and give the same answers."""
    from tracezip.convert.spans import read_spans

    for path in (files.written, files.sorted):
        for trace_id in ids[:20]:
            ours = sorted(span.span_id for span in read_spans(fetch_trace(path, trace_id)))
            theirs = sorted(duckdb.trace(trace_id)["span_id"].to_pylist())
            if ours != theirs:
                raise SystemExit(f"benchmarks: {path.name} and Parquet differ in trace {trace_id.hex()}")
        for question in questions:
            n_ours = sum(len(batch.columns["span_id"]) for batch in search_archive(path, question))
            if n_ours != len(duckdb.search(question)):
                raise SystemExit(f"benchmarks: {path.name} and Parquet differ in {question.where}")


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def best(run: Callable[[], object]) -> float:
    return min(timed(run) for _ in range(RUNS))


def say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"names of files in TRACEZIP_DATA; default: {', '.join(FILES)}")
    names = tuple(parser.parse_args().files) or FILES
    with tempfile.TemporaryDirectory(prefix="tracezip-archive-") as folder:
        text = measure(Files(Path(folder), names))
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "archive.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
