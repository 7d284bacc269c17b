"""To a file: whole after any end of the process, one for each process, rotated, and readable by every command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

import tracezip
from tests.test_exporter import made_spans
from tests.trace_servers import names_in
from tracezip.files import read_messages

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def names_of(path: Path, **options: Any) -> list[str]:
    with tracezip.open(path, **options) as reader:
        return names_in(list(reader))


def test_the_file_has_every_batch_as_soon_as_export_returns(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "traces.tzip"
    exporter = tracezip.TracezipExporter(path=path)
    for number in range(3):
        assert exporter.export(made_spans(2, f"batch {number}")) is SUCCESS
        assert len(names_of(path, skip_damage=True)) == 2 * (number + 1)
    assert exporter.force_flush()
    exporter.shutdown()
    assert names_of(path) == [f"batch {a} {b}" for a in range(3) for b in range(2)]


def test_batches_build_on_each_other_unless_told_otherwise(tmp_path: Path) -> None:
    sizes = {}
    for delta in (True, False):
        exporter = tracezip.TracezipExporter(path=tmp_path / f"{delta}.tzip", delta_encoding=delta)
        for _ in range(10):
            exporter.export(made_spans(50))
        exporter.shutdown()
        sizes[delta] = (tmp_path / f"{delta}.tzip").stat().st_size
        assert len(names_of(tmp_path / f"{delta}.tzip")) == 500
        assert exporter.get_tracezip_stats()["bytes_out"] == sizes[delta]
    assert sizes[True] < sizes[False] - 1_000  # the rest are ids, which are random


def test_a_trace_is_found_in_the_file(tmp_path: Path) -> None:
    exporter = tracezip.TracezipExporter(path=tmp_path / "t.tzip")
    batches = [made_spans(300, f"batch {number}") for number in range(40)]
    for batch in batches:
        exporter.export(batch)
    exporter.shutdown()
    with tracezip.open(tmp_path / "t.tzip") as reader:
        found = reader.trace(f"{batches[30][7].context.trace_id:032x}")
    assert found is not None
    assert names_in([found]) == ["batch 30 7"]


def test_each_service_can_have_its_own_file(tmp_path: Path) -> None:
    exporter = tracezip.TracezipExporter(path=tmp_path / "{service}" / "{date}.tzip")
    provider_of = {
        name: TracerProvider(resource=Resource({"service.name": name}), shutdown_on_exit=False) for name in ("a", "b")
    }
    for number, name in enumerate("abab"):
        span = provider_of[name].get_tracer("tests").start_span(f"{name} {number}")
        span.end()
        assert exporter.export([span]) is SUCCESS
    exporter.shutdown()
    assert {path.parent.name: names_of(path) for path in tmp_path.glob("*/*.tzip")} == {
        "a": ["a 0", "a 2"],
        "b": ["b 1", "b 3"],
    }


def test_a_file_that_is_large_enough_is_followed_by_the_next_one(tmp_path: Path) -> None:
    exporter = tracezip.TracezipExporter(path=tmp_path / "t.tzip", max_file_bytes="4KiB")
    for _ in range(20):
        assert exporter.export(made_spans(50)) is SUCCESS
    exporter.shutdown()
    files = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(files) > 2
    assert {path.name for path in files} >= {"t.tzip", "t-1.tzip", "t-2.tzip"}
    assert sum(len(names_of(path)) for path in files) == 1_000


def test_without_compression_it_is_a_file_of_length_prefixed_messages(tmp_path: Path) -> None:
    exporter = tracezip.TracezipExporter(path=tmp_path / "t.otlp", compression_enabled=False)
    exporter.export(made_spans(2, "a"))
    exporter.export(made_spans(2, "b"))
    exporter.shutdown()
    with (tmp_path / "t.otlp").open("rb") as file:
        container, messages = read_messages(file)
        assert names_in(list(messages)) == ["a 0", "a 1", "b 0", "b 1"]
    assert container == "length-prefixed"


def test_a_disk_that_takes_nothing_is_a_failure_and_no_exception(tmp_path: Path, monkeypatch: Any) -> None:
    exporter = tracezip.TracezipExporter(path=tmp_path / "t.tzip")
    assert exporter.export(made_spans(2, "before")) is SUCCESS

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tracezip.sink._write_all", full)
        assert exporter.export(made_spans(3)) is FAILURE
    assert exporter.export(made_spans(2, "after")) is SUCCESS
    exporter.shutdown()
    assert exporter.get_tracezip_stats()["dropped_spans"] == {"file": 3}
    assert names_of(tmp_path / "t.tzip", skip_damage=True) == ["before 0", "before 1"]
    assert names_of(tmp_path / "t-1.tzip") == ["after 0", "after 1"]


def test_a_killed_process_loses_at_most_the_batch_that_was_not_flushed(tmp_path: Path) -> None:
    code = (
        "import itertools, sys, tracezip\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "exporter = tracezip.TracezipExporter(path=sys.argv[1])\n"
        "tracer = TracerProvider(shutdown_on_exit=False).get_tracer('tests')\n"
        "for number in itertools.count():\n"
        "    span = tracer.start_span(str(number)); span.end()\n"
        "    exporter.export([span])\n"
        "    print(number, flush=True)\n"
    )
    path = tmp_path / "t.tzip"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 200:
            pass
        process.send_signal(signal.SIGKILL)
        acknowledged = 201 + len(process.stdout.readlines())
    names = names_of(path, skip_damage=True)
    assert names == [str(number) for number in range(len(names))]
    assert acknowledged <= len(names) <= acknowledged + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    code = (
        "import os, sys, tracezip\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "provider = TracerProvider()\n"
        "exporter = tracezip.TracezipExporter(path=sys.argv[1])\n"
        "provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        "tracer = provider.get_tracer('tests')\n"
        "tracer.start_span('before').end()\n"
        "child = os.fork()\n"
        "name = 'parent' if child else 'child'\n"
        "for _ in range(3): tracer.start_span(name).end()\n"
        "assert exporter.get_tracezip_stats()['spans_in'] == (4 if child else 3)\n"
        "provider.shutdown()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    path = tmp_path / "t.tzip"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True, timeout=60)
    assert names_of(path) == ["before", *["parent"] * 3]
    assert names_of(tmp_path / "t-1.tzip") == ["child"] * 3


def test_spans_of_concurrent_threads_are_all_there(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    exporter = tracezip.TracezipExporter(path=tmp_path / "t.tzip")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: provider.get_tracer("t").start_span(str(number)).end(), range(400)))
    exporter.shutdown()
    assert sorted(names_of(tmp_path / "t.tzip"), key=int) == [str(number) for number in range(400)]
