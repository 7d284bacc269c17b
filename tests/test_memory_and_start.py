"""Compressing without end takes no more memory than compressing for a while; importing and asking for help is quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from benchmarks.data import SAMPLES, read_file

resource = pytest.importorskip("resource", reason="memory is measured with getrusage, which this system has not")

MIB = 1 << 20
N_SPANS = 1_500_000
MAX_BYTES = 200 * MIB
MAX_IMPORT_RATIO = 1.4
MAX_HELP_SECONDS = 0.15

ENDLESS = """
import io, json, resource, sys
sys.path[:0] = {path!r}
import numpy as np
import tracezip

class Forgetful(io.RawIOBase):
    def writable(self): return True
    def write(self, data): return memoryview(data).nbytes

def varied(messages):
    "The messages again and again; each time with other ids and times, and with texts that never come twice."
    stores = [(np.frombuffer(bytes.fromhex(text), np.uint8).copy(), np.array(at)) for text, at in messages]
    for n in range(1 << 30):
        change = np.frombuffer((n * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(8, "big"), np.uint8)
        for content, at in stores:
            content[at] ^= change[np.arange(len(at)) % 4]
            yield content.tobytes()
            content[at] ^= change[np.arange(len(at)) % 4]

def texts(n):
    name = b"order %d of %x" % (n * 7919, n * 0x9E3779B97F4A7C15)
    value = b"\\x0a" + bytes([len(name)]) + name
    attribute = b"\\x0a\\x02id\\x12" + bytes([len(value)]) + value
    span = b"\\x2a" + bytes([len(name)]) + name + b"\\x4a" + bytes([len(attribute)]) + attribute
    for tag in (0x12, 0x12, 0x0a):
        span = bytes([tag]) + bytes([len(span)]) + span
    return span

def peak():
    try:  # getrusage counts in what the process that started this one had
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except FileNotFoundError:
        value = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return value if sys.platform == "darwin" else value * 1024

source = json.load(open({source!r}))
n_spans, peaks = 0, []
{setup}
for number, message in enumerate(varied(source["messages"])):
    write(message + texts(number))
    n_spans += source["n_spans"][number % len(source["n_spans"])] + 1
    if n_spans > {n_spans} * (len(peaks) + 1) // 8:
        peaks.append(peak())
    if len(peaks) == 8:
        break
{finish}
print(json.dumps(peaks))
"""

WAYS = {
    "open": ("writer = tracezip.open(Forgetful(), 'wb'); write = writer.write", "writer.close()"),
    "Compressor": ("compressor = tracezip.Compressor(); write = compressor.compress", "compressor.finish()"),
}


def bytes_that_vary(message: bytes) -> list[int]:
    """Where four bytes stand of every id and of every start and end that the message has."""
    found: set[int] = set()
    for span in spans_of(message):
        for value in (span.trace_id, span.span_id, span.parent_span_id):
            found.update(at + len(value) - 4 for at in places(message, value) if len(value) > 4)
        for nanoseconds in (span.start_time_unix_nano, span.end_time_unix_nano):
            found.update(places(message, nanoseconds.to_bytes(8, "little")))
    starts = sorted(found)
    apart = [at for at, before in zip(starts, [-4, *starts], strict=False) if at >= before + 4]
    return list(chain.from_iterable(range(at, at + 4) for at in apart))


def spans_of(message: bytes) -> Iterator[Span]:
    for resource_spans in TracesData.FromString(message).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def places(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def peaks_of(way: str, n_spans: int, folder: Path) -> list[int]:
    """The peak memory of a process, in bytes, after each eighth of an endless stream."""
    messages = read_file(SAMPLES / "astronomy.otlp").messages
    source = folder / "source.json"
    content = {
        "messages": [(message.hex(), bytes_that_vary(message)) for message in messages],
        "n_spans": [sum(1 for _ in spans_of(message)) for message in messages],
    }
    source.write_text(json.dumps(content))
    setup, finish = WAYS[way]
    program = ENDLESS.format(path=sys.path, source=str(source), n_spans=n_spans, setup=setup, finish=finish)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return [int(peak) for peak in json.loads(run.stdout)]


@pytest.mark.slow
@pytest.mark.parametrize(("way", "n_spans"), [("open", N_SPANS), ("Compressor", N_SPANS // 3)])
def test_memory_of_compressing_an_endless_stream_stays_flat_and_below_200_mb(
    way: str, n_spans: int, tmp_path: Path
) -> None:
    peaks = peaks_of(way, n_spans, tmp_path)
    assert max(peaks) < MAX_BYTES, peaks
    assert peaks[-1] < 1.05 * peaks[1] + 2 * MIB, peaks


# --- start ------------------------------------------------------------------------------------------------------------


def seconds(*command: str, environment: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, timeout=60, env={**os.environ, **(environment or {})})
    return time.perf_counter() - start


def seconds_to_import(statement: str) -> float:
    """Inside the process, so that starting Python itself does not flatter the ratio."""
    program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return float(run.stdout)


def reached(holds: Callable[[], Any], n_tries: int) -> bool:
    """Whether it holds once: other work on the machine makes things slower, and nothing makes them faster."""
    return any(holds() for _ in range(n_tries))


@pytest.mark.parametrize("statement", ["import tracezip", "import tracezip; tracezip.open; tracezip.compress"])
def test_importing_takes_at_most_1_4_times_as_long_as_importing_numpy(statement: str) -> None:
    best = {"import numpy": float("inf"), statement: float("inf")}

    def holds() -> bool:
        for one in best:
            best[one] = min(best[one], seconds_to_import(one))
        return best[statement] <= MAX_IMPORT_RATIO * best["import numpy"]

    for _ in range(4):
        holds()
    assert reached(holds, 8), best


@pytest.mark.parametrize("command", ["tracezip", "tracezip-cat"])
def test_help_is_there_within_150_ms(command: str) -> None:
    script = Path(sysconfig.get_path("scripts")) / command
    assert script.exists(), "the package is not installed"
    times: list[float] = []

    def holds() -> bool:
        times.append(seconds(str(script), "--help"))
        return min(times) < MAX_HELP_SECONDS

    for _ in range(4):
        holds()
    assert reached(holds, 12), times
