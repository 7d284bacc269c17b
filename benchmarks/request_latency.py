"""What an exporter costs the requests of an application: ``python -m benchmarks.request_latency``.

A small instrumented web application (Flask and SQLite, `benchmarks.web_app`) answers one request after the other, while
a BatchSpanProcessor as the SDK sets it up exports to a server in another process that takes everything: with no
exporter, with OpenTelemetry's own OTLP/HTTP exporter and gzip, and with ours. By the clock, in a process of its own for
each turn; all turns are counted together.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import sink, web_app
from benchmarks.child import run_module
from benchmarks.measure import NotExactError
from benchmarks.report import RESULTS, machine, write_csv
from benchmarks.report_tables import table

WAYS = ("no exporter", "stock, gzip", "tracezip")
N_REQUESTS = 6_000
N_WARM_UP = 300
TURNS = 3
FLUSH_MILLIS = 30_000
HEADER = ("exporter", "", "requests", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "requests/s")


@dataclass(frozen=True)
class Latency:
    """Of one way, all turns together: microseconds, by the clock."""

    way: str
    n_requests: int
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float

    @classmethod
    def of(cls, way: str, times_ns: list[int]) -> Latency:
        ordered, n = sorted(times_ns), len(times_ns)
        parts = (ordered[min(int(n * part), n - 1)] / 1e3 for part in (0.5, 0.9, 0.99, 0.999))
        return cls(way, n, sum(ordered) / n / 1e3, *parts)


def exporter_of(way: str, url: str, folder: str) -> Any:
    if way == "tracezip":
        from tracezip.otel.exporter import TracezipExporter

        return TracezipExporter(url, spool_dir=folder)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)


def times_of(way: str, url: str, n_requests: int, folder: str) -> list[int]:
    """Nanoseconds of each request."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider, exporter = web_app.new_provider(), None
    if way != "no exporter":
        exporter = exporter_of(way, url, folder)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    client, times = web_app.new_app(provider).test_client(), []
    for request in web_app.requests(N_WARM_UP + n_requests):
        start = time.perf_counter_ns()
        client.open(**request)
        times.append(time.perf_counter_ns() - start)
    if exporter is not None and not provider.force_flush(FLUSH_MILLIS):
        raise NotExactError(f"{way}: not all spans were sent")
    if way == "tracezip":
        check(exporter)
    provider.shutdown()
    return times[N_WARM_UP:]


def check(exporter: Any) -> None:
    """All of it went as a stream, at the first attempt."""
    counts = exporter.get_tracezip_stats()
    if counts["fallbacks"] or counts["failures"] or counts["dropped_spans"] or not counts["spans_sent"]:
        raise NotExactError(f"the spans did not all go to the sink: {counts}")


def measure(n_requests: int, turns: int) -> Iterator[Latency]:
    times: dict[str, list[int]] = {way: [] for way in WAYS}
    with sink.running() as url:
        for _ in range(turns):
            for way, found in times.items():
                found += run_module("benchmarks.request_latency", "--turn", way, url, str(n_requests))
    return (Latency.of(way, found) for way, found in times.items())


def row(latency: Latency) -> list[str]:
    parts = (latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, 1e6 / latency.mean_us)
    return [latency.way, "", f"{latency.n_requests:,}", *(f"{part:,.0f}" for part in parts)]


def main() -> None:
    if sys.argv[1:2] == ["--turn"]:
        way, url, n_requests = sys.argv[2:]
        with tempfile.TemporaryDirectory(prefix="tracezip-latency-") as folder:
            print(json.dumps(times_of(way, url, int(n_requests), folder)))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request_latency", description=__doc__)
    parser.add_argument("--requests", type=int, default=N_REQUESTS, help=f"in each turn; default: {N_REQUESTS}")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"default: {TURNS}")
    arguments = parser.parse_args()
    found = list(measure(arguments.requests, arguments.turns))
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print("", table(HEADER, map(row, found)), sep="\n")
    RESULTS.mkdir(exist_ok=True)
    write_csv([asdict(latency) for latency in found], RESULTS / "request-latency.csv")


if __name__ == "__main__":
    main()
