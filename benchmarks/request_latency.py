"""What an exporter costs the requests of an application: ``python -m benchmarks.request_latency``.

A small instrumented web application (Flask and SQLite, `benchmarks.web_app`) answers one request after the other, while
a BatchSpanProcessor as the SDK sets it up exports to a server in another process that takes everything: with no
exporter, with OpenTelemetry's own OTLP/HTTP exporter and gzip, and with ours. By the clock, in a process of its own for
each turn; all turns are counted together. CPU time is that of the process with all its threads, until the last span is
sent, of the turn that took least.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

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
HEADER = ("exporter", "", "requests", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "CPU µs")


class Turn(NamedTuple):
    """Of one process: the time of each request by the clock, and the CPU time of all."""

    times_ns: list[int]
    cpu_ns: int


@dataclass(frozen=True)
class Latency:
    """Of one way: microseconds of a request, by the clock but for the CPU time."""

    way: str
    n_requests: int
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    cpu_us: float

    @classmethod
    def of(cls, way: str, turns: list[Turn]) -> Latency:
        ordered = sorted(time_ns for turn in turns for time_ns in turn.times_ns)
        n = len(ordered)
        parts = [ordered[min(int(n * part), n - 1)] / 1e3 for part in (0.5, 0.9, 0.99, 0.999)]
        parts.append(min(turn.cpu_ns / len(turn.times_ns) for turn in turns) / 1e3)
        return cls(way, n, *parts)


def exporter_of(way: str, url: str, folder: str) -> Any:
    if way == "tracezip":
        from tracezip.otel.exporter import TracezipExporter

        return TracezipExporter(url, spool_dir=folder)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)


def one_turn(way: str, url: str, n_requests: int, folder: str) -> Turn:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider, exporter = web_app.new_provider(), None
    if way != "no exporter":
        exporter = exporter_of(way, url, folder)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    client = web_app.new_app(provider).test_client()
    timed(client, N_WARM_UP)
    start = time.process_time_ns()
    times = timed(client, n_requests)
    if exporter is not None and not provider.force_flush(FLUSH_MILLIS):
        raise NotExactError(f"{way}: not all spans were sent")
    cpu_ns = time.process_time_ns() - start
    if way == "tracezip":
        check(exporter)
    provider.shutdown()
    return Turn(times, cpu_ns)


def timed(client: Any, n_requests: int) -> list[int]:
    times = []
    for request in web_app.requests(n_requests):
        start = time.perf_counter_ns()
        client.open(**request)
        times.append(time.perf_counter_ns() - start)
    return times


def check(exporter: Any) -> None:
    """All of it went as a stream, at the first attempt."""
    counts = exporter.get_tracezip_stats()
    if counts["fallbacks"] or counts["failures"] or counts["dropped_spans"] or not counts["spans_sent"]:
        raise NotExactError(f"the spans did not all go to the sink: {counts}")


def measure(n_requests: int, n_turns: int) -> list[Latency]:
    turns: dict[str, list[Turn]] = {way: [] for way in WAYS}
    with sink.running() as url:
        for _ in range(n_turns):
            for way, found in turns.items():
                found.append(Turn(*run_module("benchmarks.request_latency", "--turn", way, url, str(n_requests))))
    return [Latency.of(way, found) for way, found in turns.items()]


def row(latency: Latency) -> list[str]:
    parts = (latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.cpu_us)
    return [latency.way, "", f"{latency.n_requests:,}", *(f"{part:,.0f}" for part in parts)]


def main() -> None:
    if sys.argv[1:2] == ["--turn"]:
        way, url, n_requests = sys.argv[2:]
        with tempfile.TemporaryDirectory(prefix="tracezip-latency-") as folder:
            print(json.dumps(one_turn(way, url, int(n_requests), folder)))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request_latency", description=__doc__)
    parser.add_argument("--requests", type=int, default=N_REQUESTS, help=f"in each turn; default: {N_REQUESTS}")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"default: {TURNS}")
    arguments = parser.parse_args()
    found = measure(arguments.requests, arguments.turns)
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print("", table(HEADER, map(row, found)), sep="\n")
    RESULTS.mkdir(exist_ok=True)
    write_csv([asdict(latency) for latency in found], RESULTS / "request-latency.csv")


if __name__ == "__main__":
    main()
