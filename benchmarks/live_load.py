"""A minute at 10,000 spans a second through agent, gateway and a real Collector: what arrives, and what each hop costs.

``python -m benchmarks.live_load [FILE]``: batches of 512 spans of FILE (astronomy), made again and again with new ids and
later times, are posted as plain OTLP/HTTP to `tracezip relay agent`, which sends them as a stream to `tracezip relay
gateway`, which forwards them to the OpenTelemetry Collector of ``make collector``, which writes them to a file. At the
end every span id that was sent must be in that file, once. CPU time and resident memory of each process are Linux's.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass, fields
from itertools import cycle
from pathlib import Path

import urllib3

from benchmarks import collector
from benchmarks.data import TraceFile, file_name, find_files, read_file, spans_of
from benchmarks.fresh import base_of, grow
from benchmarks.report import RESULTS
from benchmarks.report_tables import table

CSV = RESULTS / "live_load.csv"
SECONDS, SPANS_PER_SECOND = 60, 10_000
SETTLE_SECONDS = 60
SAMPLE_SECONDS = 1.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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
    """A process, started here, whose CPU and memory are looked at."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(command)
        self.resident: list[int] = []

    def cpu_seconds(self) -> float:
        after_name = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS  # utime and stime of proc(5)

    def sample(self) -> None:
        self.resident.append(int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE_BYTES)

    def hop(self, cpu_seconds: float, n_spans: int) -> Hop:
        early = len(self.resident) // 3
        peak = max(self.resident[early:])
        return Hop(self.name, cpu_seconds * 1e6 / n_spans, self.resident[early] / 1e6, peak / 1e6)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=SETTLE_SECONDS)


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_listening(port: int) -> None:
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        with closing(socket.socket()) as caller:
            if not caller.connect_ex(("127.0.0.1", port)):
                return
        if time.monotonic() > end:
            raise SystemExit(f"nothing listens on port {port} after {SETTLE_SECONDS} s")
        time.sleep(0.05)
