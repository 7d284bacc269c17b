"""The exporter sends what the SDK gives it to any receiver, loses nothing silently, and never stands in the way."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tracezip
from tests.trace_servers import free_port, gateway, hanging_server, names_in, otlp_receiver
from tracezip.live.link import Link
from tracezip.otel import get_tracezip_stats

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def made_spans(n_spans: int, prefix: str = "span") -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    for number in range(n_spans):
        with tracer.start_as_current_span(f"{prefix} {number}", attributes={"number": number}):
            pass
    return list(memory.get_finished_spans())


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    """Makes exporters with a spool of their own, and shuts them down."""
    exporters: list[tracezip.TracezipExporter] = []

    def make(endpoint: str, **options: Any) -> tracezip.TracezipExporter:
        exporters.append(tracezip.TracezipExporter(endpoint, **{"spool_dir": tmp_path / "spool", **options}))
        return exporters[-1]

    yield make
    for exporter in exporters:
        exporter.shutdown(timeout_millis=0)


def test_a_gateway_gets_a_stream(made: Any) -> None:
    with gateway() as server:
        exporter = made(server.url)
        assert exporter.export(made_spans(100)) is SUCCESS
        assert exporter.export(made_spans(100)) is SUCCESS
        assert server.names() == [f"span {number}" for number in range(100)] * 2
        assert all(path.startswith("/v1/tracezip/") for path, _ in server.requests)
        counts = exporter.get_tracezip_stats()
    assert counts["spans_in"] == counts["spans_sent"] == 200
    assert counts["compression_ratio"] > 0.5


def test_a_receiver_that_does_not_know_tracezip_gets_otlp_with_gzip(made: Any, caplog: Any) -> None:
    with otlp_receiver() as server:
        exporter = made(server.url)
        for _ in range(3):
            assert exporter.export(made_spans(10)) is SUCCESS
        plain = [headers for path, headers in server.requests if path == "/v1/traces"]
        assert len(plain) == 3
        assert all(headers["Content-Encoding"] == "gzip" for headers in plain)
        assert len(server.names()) == 30
    assert len([one for one in caplog.records if "does not know" in one.message]) == 1


def test_an_endpoint_may_be_the_url_of_otlp(made: Any) -> None:
    with gateway() as server:
        assert made(f"{server.url}/v1/traces").export(made_spans(1)) is SUCCESS
        assert server.requests[0][0].startswith("/v1/tracezip/")


def test_without_compression_an_endpoint_gets_plain_otlp(made: Any) -> None:
    with gateway() as server:
        assert made(server.url, compression_enabled=False).export(made_spans(10)) is SUCCESS
        ((path, headers),) = server.requests
        assert path == "/v1/traces"
        assert "Content-Encoding" not in headers


def test_headers_reach_the_receiver(made: Any) -> None:
    with gateway() as server:
        made(server.url, headers={"Authorization": "Bearer x"}).export(made_spans(1))
        assert server.requests[0][1]["Authorization"] == "Bearer x"


def test_batch_size_splits_larger_exports(made: Any) -> None:
    with gateway() as server:
        assert made(server.url, batch_size=40).export(made_spans(100)) is SUCCESS
        assert [len(names_in([message])) for message in server.messages] == [40, 40, 20]


def test_a_message_that_would_be_too_large_is_split(made: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tracezip.otel.exporter.MAX_OTLP_BYTES", 4_000)
    with gateway() as server:
        assert made(server.url).export(made_spans(100)) is SUCCESS
        assert len(server.names()) == 100
        assert max(map(len, server.messages)) <= 4_000


def test_a_span_that_cannot_be_expressed_costs_itself_only(made: Any) -> None:
    spans = made_spans(7)
    spans[3]._start_time = -1
    with gateway() as server:
        exporter = made(server.url)
        assert exporter.export(spans) is FAILURE
        assert len(server.names()) == 6
        assert exporter.get_tracezip_stats()["dropped_spans"] == {"unencodable": 1}


def test_what_is_no_span_is_a_failure_and_no_exception(made: Any) -> None:
    with gateway() as server:
        exporter = made(server.url)
        assert exporter.export([object()]) is FAILURE
        assert exporter.export([]) is SUCCESS
        assert exporter.export(None) is FAILURE


def test_an_error_that_nobody_foresaw_is_a_failure_and_no_exception(made: Any, monkeypatch: Any) -> None:
    with gateway() as server:
        exporter = made(server.url, batch_size=10)
        target, n_puts = exporter._target, itertools.count()

        def put(*arguments: Any) -> bool:
            return target.put(*arguments) if next(n_puts) == 0 else 1 // 0

        monkeypatch.setattr(exporter, "_target", SimpleNamespace(by_service=False, put=put))
        assert exporter.export(made_spans(25)) is FAILURE
        assert exporter.get_tracezip_stats()["dropped_spans"] == {"error": 15}
        assert not exporter.force_flush()
        exporter.shutdown()
        target.shutdown(0)
        assert len(server.names()) == 10


def test_many_threads_may_export_at_a_time(made: Any) -> None:
    with gateway() as server:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(made(server.url)))
        tracer = provider.get_tracer("tests")

        def work(name: str) -> None:
            for number in range(25):
                tracer.start_span(f"{name} {number}").end()

        threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(server.names()) == sorted(f"thread {a} {b}" for a in range(8) for b in range(25))


def test_a_batch_processor_delivers_all_before_it_ends(made: Any) -> None:
    with gateway() as server:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(made(server.url)))
        for number in range(1_500):
            provider.get_tracer("tests").start_span(f"span {number}").end()
        provider.shutdown()
        assert sorted(server.names()) == sorted(f"span {number}" for number in range(1_500))


def test_what_cannot_be_sent_arrives_in_order_when_the_endpoint_is_back(made: Any) -> None:
    port = free_port()
    exporter = made(f"http://127.0.0.1:{port}", batch_timeout=0.1)
    for number in range(3):
        assert exporter.export(made_spans(2, f"batch {number}")) is SUCCESS
    assert exporter.get_tracezip_stats()["queue_messages"] == 3
    with gateway(port) as server:
        assert exporter.force_flush(20_000)
        assert exporter.export(made_spans(2, "batch 3")) is SUCCESS
        assert exporter.force_flush(20_000)
        assert server.names() == [f"batch {a} {b}" for a in range(4) for b in range(2)]
    assert exporter.get_tracezip_stats()["queue_messages"] == 0


def test_the_spool_of_a_process_that_ended_is_sent_by_the_next_one(made: Any) -> None:
    port = free_port()
    first = made(f"http://127.0.0.1:{port}", batch_timeout=0)
    assert first.export(made_spans(2)) is SUCCESS
    first.shutdown(timeout_millis=100)
    with gateway(port) as server:
        second = made(server.url)
        assert second.force_flush(20_000)
        assert len(server.names()) == 2


def test_without_a_spool_what_cannot_be_sent_is_a_failure(made: Any) -> None:
    exporter = made(f"http://127.0.0.1:{free_port()}", spool_max_bytes=0, batch_timeout=0.1)
    assert exporter.export(made_spans(3)) is FAILURE
    assert sum(exporter.get_tracezip_stats()["dropped_spans"].values()) == 3


def test_a_server_that_hangs_holds_up_export_and_shutdown_for_no_longer_than_they_say(made: Any) -> None:
    with hanging_server() as url:
        exporter = made(url, batch_timeout=0.3, batch_size=1)
        started = time.monotonic()
        assert exporter.export(made_spans(5)) is SUCCESS
        assert time.monotonic() - started < 2
        started = time.monotonic()
        assert exporter.force_flush(200) is False
        exporter.shutdown(timeout_millis=200)
        assert time.monotonic() - started < 3


def test_after_shutdown_spans_are_refused_and_it_is_said_once(made: Any, caplog: Any) -> None:
    with gateway() as server:
        exporter = made(server.url)
        exporter.shutdown()
        exporter.shutdown()
        with caplog.at_level(logging.WARNING, "tracezip"):
            assert exporter.export(made_spans(1)) is FAILURE
            assert exporter.export(made_spans(1)) is FAILURE
        assert not server.requests
    assert len([one for one in caplog.records if "shut down" in one.message]) == 1
    assert exporter.get_tracezip_stats()["dropped_spans"] == {"shutdown": 2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_sends_a_stream_of_its_own(tmp_path: Path) -> None:
    code = (
        "import os, sys, tracezip\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "provider = TracerProvider()\n"
        "exporter = tracezip.TracezipExporter(sys.argv[1], spool_dir=sys.argv[2])\n"
        "provider.add_span_processor(BatchSpanProcessor(exporter))\n"
        "tracer = provider.get_tracer('tests')\n"
        "tracer.start_span('before').end(); provider.force_flush()\n"
        "child = os.fork()\n"
        "for _ in range(3): tracer.start_span('parent' if child else 'child').end(); provider.force_flush()\n"
        "provider.shutdown()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    with gateway() as server:
        command = [sys.executable, "-W", "ignore", "-c", code, server.url, str(tmp_path)]
        subprocess.run(command, check=True, timeout=60)
        assert sorted(server.names()) == ["before", *["child"] * 3, *["parent"] * 3]
        assert len({path for path, _ in server.requests}) == 2


def test_no_spans_are_made_of_the_sending_itself(made: Any, monkeypatch: Any) -> None:
    seen, deliver = [], Link.deliver

    def watched(self: Link, message: bytes, timeout: float) -> Any:
        seen.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
        return deliver(self, message, timeout)

    monkeypatch.setattr(Link, "deliver", watched)
    with gateway() as server:
        made(server.url).export(made_spans(1))
    assert seen == [True]


def test_with_a_memory_limit_everything_arrives_just_so(made: Any) -> None:
    with gateway() as server:
        exporter = made(server.url, memory_limit="8MB")
        for _ in range(20):
            assert exporter.export(made_spans(200)) is SUCCESS
        assert exporter._target._link._stream._encoder.memory < 4_000_000
        assert server.names() == [f"span {number}" for number in range(200)] * 20


def test_the_statistics_of_the_process_are_those_of_all_its_exporters(made: Any) -> None:
    before = get_tracezip_stats()
    with gateway() as server:
        exporters = [made(server.url, spool_max_bytes=0) for _ in range(2)]
        for exporter in exporters:
            exporter.export(made_spans(5))
        after = get_tracezip_stats()
    assert after["exporters"] >= 2
    assert after["spans_sent"] - before["spans_sent"] <= 10
    assert after["spans_sent"] >= 10
    assert 0 < after["compression_ratio"] < 1


def test_a_change_of_the_level_begins_a_new_stream(made: Any) -> None:
    with gateway() as server:
        exporter = made(server.url, level="auto")
        exporter.export(made_spans(5))
        exporter._auto_level._level = 1
        exporter.export(made_spans(5))
        exporter.export(made_spans(5))
        streams = [path for path, _ in server.requests]
        assert len(server.names()) == 15
        assert len(set(streams)) == 2
        assert streams[1] == streams[2]
