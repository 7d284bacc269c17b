"""A minute at 10,000 spans a second through agent, gateway and a real Collector: what arrives, and what each hop costs.

``python -m benchmarks.live_load [FILE]``: batches of about 512 spans of FILE (astronomy unless told otherwise), made
again and again with new ids and later times, are posted as plain OTLP/HTTP to `tracezip relay agent`, which sends them
as a stream to `tracezip relay gateway`, which forwards them to the OpenTelemetry Collector of ``make collector``, which
writes them to a file. At the end every span id that was sent must be in that file, once. CPU time and resident memory
of each process are Linux's own.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from itertools import cycle
from pathlib import Path

import urllib3

from benchmarks.data import TraceFile, file_name, find_files, read_file
from benchmarks.fresh import Message, base_of, grow
from benchmarks.measure import NotExactError
from benchmarks.report import RESULTS
from benchmarks.report_tables import table
from tests.chain import relay
from tests.otel_collector import collector, to_file
from tracezip.convert.spans import read_spans
from tracezip.files import read_messages

CSV = RESULTS / "live_load.csv"
SECONDS, SPANS_PER_SECOND = 60, 10_000
SAMPLE_SECONDS = 1.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HEADERS = {"Content-Type": "application/x-protobuf"}


@dataclass(frozen=True)
class Hop:
    """CPU of one process for each span, and its resident memory: at a third of the time, and the most after that."""

    name: str
    cpu_us_per_span: float
    early_mb: float
    peak_mb: float

    def line(self) -> list[str]:
        return [self.name, "", f"{self.cpu_us_per_span:.2f}", f"{self.early_mb:.1f}", f"{self.peak_mb:.1f}"]


class Watched:
    """A process, whose CPU and memory are looked at."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name, self._pid = name, process.pid
        self._cpu_before = self._cpu_seconds()
        self._resident: list[int] = []

    def sample(self) -> None:
        self._resident.append(int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * PAGE_BYTES)

    def hop(self, n_spans: int) -> Hop:
        early = len(self._resident) // 3
        cpu_seconds = self._cpu_seconds() - self._cpu_before
        peak = max(self._resident[early:])
        return Hop(self.name, cpu_seconds * 1e6 / n_spans, self._resident[early] / 1e6, peak / 1e6)

    def _cpu_seconds(self) -> float:
        behind_name = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(behind_name[11]) + int(behind_name[12])) / TICKS  # utime and stime of proc(5)


class Watch:
    """Samples the memory of processes in a thread of its own."""

    def __init__(self, watched: list[Watched]) -> None:
        self._watched, self._end = watched, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            for one in self._watched:
                one.sample()


def send(url: str, base: list[Message], seconds: float) -> int:
    """Posts batches at the rate of SPANS_PER_SECOND; how many spans were acknowledged."""
    pool, begin = urllib3.PoolManager(retries=False), time.monotonic()
    n_spans = 0
    for batch, message in zip(grow(base, sys.maxsize), cycle(base), strict=False):
        time.sleep(max(begin + n_spans / SPANS_PER_SECOND - time.monotonic(), 0))
        if time.monotonic() - begin >= seconds:
            break
        response = pool.request("POST", f"{url}/v1/traces", body=batch, headers=HEADERS)
        if response.status != 200:
            raise SystemExit(f"the agent answers {response.status}: {response.data.decode(errors='replace')}")
        n_spans += message.n_spans
    return n_spans


def ids_in(messages: Iterable[bytes]) -> Counter[bytes]:
    return Counter(span.span_id for message in messages for span in read_spans(message))


def ids_in_file(path: Path) -> Counter[bytes]:
    with path.open("rb") as file:
        return ids_in(read_messages(file)[1])


def measure(file: TraceFile, seconds: float) -> tuple[list[Hop], int]:
    base = base_of(TraceFile(file.name, file.batches))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        written = folder / "arrived.jsonl"
        real = stack.enter_context(collector(folder, to_file(written)))
        gateway = stack.enter_context(relay(folder, "gateway", "--to", real.http))
        options = ("--to", gateway.http, "--no-grpc", "--spool", str(folder / "spool"))
        agent = stack.enter_context(relay(folder, "agent", *options))
        hops = {"agent": agent.process, "gateway": gateway.process, "Collector": real.process}
        watched = [Watched(name, process) for name, process in hops.items()]
        with Watch(watched):
            n_spans = send(agent.http, base, seconds)
        measured = [one.hop(n_spans) for one in watched]
        agent.drain()
        gateway.drain()
        real.stop()
        if ids_in_file(written) != ids_in(grow(base, n_spans)):
            raise NotExactError("the Collector's file does not have every span that was sent, once")
    return measured, n_spans


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_load", description=__doc__.partition("\n\n")[2])
    parser.add_argument("file", nargs="?", default="astronomy", help="name of a file in TRACEZIP_DATA")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    found = [path for path in find_files() if file_name(path) == arguments.file]
    if not found:
        raise SystemExit(
            f"there is no {arguments.file}: TRACEZIP_DATA must name a folder with {arguments.file}.otlp.zst"
        )
    hops, n_spans = measure(read_file(found[0]), arguments.seconds)
    header = ("hop", "", "CPU µs/span", "MB at a third", "MB peak after")
    print(f"{n_spans:,} spans of {arguments.file} in {arguments.seconds:.0f} s, all of them arrived once:\n")
    print(table(header, (hop.line() for hop in hops)))
    with CSV.open("w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["file", "n_spans", "seconds", *(field.name for field in fields(Hop))])
        writer.writerows([arguments.file, n_spans, arguments.seconds, *astuple(hop)] for hop in hops)


if __name__ == "__main__":
    main()
