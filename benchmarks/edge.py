"""What `memory_limit` costs, and what it holds: ``python -m benchmarks.edge [FILE ...]``.

Batches of 512 spans go through a `Compressor`, one after the other, in a process that has imported everything, and has
its first batch, before its memory is looked at; another process takes what comes out, and must get the same batches. As
*otlp* a batch is an OTLP message, as *spans* it is a list of the SDK's own spans, from which the message is made first.
Files that are too short go on with copies that have new ids and later times.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import peak
from benchmarks.child import run_module
from benchmarks.data import BATCH_SPANS, TraceFile, file_name, find_files, read_file, spans_of
from benchmarks.fresh import base_of, grow
from benchmarks.measure import NotExactError
from benchmarks.report import RESULTS, machine, write_csv
from benchmarks.report_tables import megabytes, number, table

FILES = ("astronomy", "shop-capture")
LIMITS = ("", "4MB", "8MB", "10MB", "16MB", "32MB")
SPANS_LIMITS = ("", "10MB")
SPANS = 300_000
RATE = 500  # spans per second of a small device


@dataclass(frozen=True)
class Sent:
    """Bytes and CPU seconds; the peak is what resident memory rises by, `memory` what the compressor itself holds."""

    stored_bytes: int
    encode_s: float
    compress_s: float
    memory: int
    peak: int | None


@dataclass(frozen=True)
class Received:
    decompress_s: float
    memory: int
    peak: int | None


@dataclass(frozen=True)
class Edge:
    """One file's batches below one limit; percent of a core at RATE."""

    file: str
    source: str
    memory_limit: str
    n_spans: int
    raw_bytes: int
    stored_bytes: int
    encode_us_per_span: float
    compress_us_per_span: float
    cpu_percent: float
    memory: int
    peak: int | None
    receiver_memory: int
    receiver_peak: int | None

    def line(self, unlimited: int) -> list[str]:
        sizes = (self.raw_bytes / self.n_spans, self.stored_bytes / self.n_spans)
        more = f"{100 * (self.stored_bytes / unlimited - 1):+.1f} %"
        held = map(megabytes, (self.memory, self.peak, self.receiver_memory, self.receiver_peak))
        name = f"{self.source}, {self.memory_limit or 'no limit'}"
        times = (self.encode_us_per_span, self.compress_us_per_span, self.cpu_percent)
        return [self.file, name, f"{self.n_spans:,}", *map(number, sizes), more, *held, *map(number, times)]


HEADER = (
    "file",
    "batches, limit",
    "spans",
    "OTLP B/span",
    "B/span",
    "against none",
    "memory, MB",
    "peak, MB",
    "receiver",
    "peak, MB",
    "encode µs/span",
    "compress µs/span",
    f"% of a core at {RATE}/s",
)


# --- the processes that are measured ----------------------------------------------------------------------------------


def read_frames(path: str) -> Iterator[bytes]:
    """One at a time: what a process has read before is not in its memory."""
    with open(path, "rb") as source:
        while head := source.read(4):
            yield source.read(int.from_bytes(head, "big"))


def write_frames(path: Path, items: Iterator[bytes]) -> None:
    with path.open("wb") as target:
        target.writelines(len(item).to_bytes(4, "big") + item for item in items)


def as_they_are(message: bytes) -> bytes:
    return message


def spans_of_sdk(message: bytes) -> list[Any]:
    from benchmarks.data import RESOURCE_SPANS, SCOPE_SPANS, children
    from tracezip.convert.to_sdk import readable_span

    made = []
    for resource, scope, span in spans_of(message):
        of_resource, of_scope = children(resource, RESOURCE_SPANS)[0], children(scope, SCOPE_SPANS - 1)[0]
        made.append(readable_span(span, b"".join(of_resource), b"", b"".join(of_scope)))
    return made


def import_everything() -> None:
    """What an application with an exporter has loaded before it exports for the first time."""
    import opentelemetry.sdk.trace.export

    import tracezip.convert.sdk
    import tracezip.convert.to_sdk

    with suppress(ImportError):
        import urllib3  # noqa: F401  # of exporters that send
    tracezip.compress(b"")
    tracezip.Decompressor()
    assert opentelemetry.sdk.trace.export


def send(source: str, limit: str, batches: str, to: str) -> Sent:
    import_everything()
    import tracezip
    from tracezip.convert.sdk import encode_spans

    make: Callable[[bytes], Any] = spans_of_sdk if source == "spans" else as_they_are
    encode: Callable[[Any], bytes] = encode_spans if source == "spans" else as_they_are
    made = map(make, read_frames(batches))
    batch = next(made)
    before = peak.reset()
    compressor = tracezip.Compressor(memory_limit=limit or None)
    most = n_bytes = 0
    encode_s = compress_s = 0.0
    with open(to, "wb") as target:
        while batch:
            start = time.process_time()
            otlp = encode(batch)
            encoded = time.process_time()
            frames = compressor.compress(otlp)
            compress_s += time.process_time() - encoded
            encode_s += encoded - start
            most = max(most, compressor.memory)
            n_bytes += target.write(frames)
            del batch, otlp, frames
            batch = next(made, None)
    return Sent(n_bytes, encode_s, compress_s, most, peak.since(before))


def receive(frames: str, batches: str) -> Received:
    import_everything()
    import tracezip
    from tracezip.container import peek_frame
    from tracezip.source import Source
    from tracezip.stream.decoder import StreamDecoder

    before = peak.reset()
    decoder, most, seconds = StreamDecoder(None), 0, 0.0
    expected = read_frames(batches)
    with open(frames, "rb") as stream:
        source = Source(stream)
        while (frame := peek_frame(source)) is not None:
            start = time.process_time()
            messages = decoder.feed(frame)
            seconds += time.process_time() - start
            most = max(most, decoder.memory)
            if any(message != next(expected) for message in messages):
                raise NotExactError("the receiver does not get what was sent")
            source.skip(frame.n_bytes)
    assert tracezip
    return Received(seconds, most, peak.since(before))


# --- all of it --------------------------------------------------------------------------------------------------------


def batches_of(file: TraceFile, n_spans: int) -> Iterator[bytes]:
    if file.n_spans >= n_spans:
        return iter(file.batches[: -(-n_spans // BATCH_SPANS)])
    return grow(base_of(TraceFile(file.name, file.batches)), n_spans)


def measure(file: TraceFile, n_spans: int, folder: Path) -> Iterator[Edge]:
    batches, frames = folder / "batches", folder / "frames"
    write_frames(batches, batches_of(file, n_spans))
    sizes = [(len(item), sum(1 for _ in spans_of(item))) for item in read_frames(str(batches))]
    raw_bytes, n_spans = (sum(column) for column in zip(*sizes, strict=True))
    for source, limits in (("otlp", LIMITS), ("spans", SPANS_LIMITS)):
        for limit in limits:
            print(f"{file.name}: {source}, {limit or 'no limit'}", file=sys.stderr)
            sent = Sent(**run_module("benchmarks.edge", "--send", source, limit, str(batches), str(frames)))
            got = Received(decompress_s=0, memory=0, peak=None)
            if source == "otlp":
                got = Received(**run_module("benchmarks.edge", "--receive", str(frames), str(batches)))
            encode, compress = (s / n_spans * 1e6 for s in (sent.encode_s, sent.compress_s))
            percent = (encode + compress) * RATE / 1e4
            rest = (encode, compress, percent, sent.memory, sent.peak, got.memory, got.peak)
            yield Edge(file.name, source, limit, n_spans, raw_bytes, sent.stored_bytes, *rest)


def report(found: list[Edge]) -> str:
    unlimited = {(one.file, one.source): one.stored_bytes for one in found if not one.memory_limit}
    lines = [one.line(unlimited[one.file, one.source]) for one in found]
    about = "; ".join(f"{key} {value}" for key, value in machine().items())
    return f"# Memory limits\n\n{__doc__}\nMeasured on: {about}.\n\n{table(HEADER, lines)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"names of files in TRACEZIP_DATA; default: {', '.join(FILES)}")
    parser.add_argument("--spans", type=int, default=SPANS, help=f"of each file (default: {SPANS})")
    parser.add_argument("--send", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--receive", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send or arguments.receive:
        part = send(*arguments.send) if arguments.send else receive(*arguments.receive)
        print(json.dumps(asdict(part)))
        return
    names = arguments.files or FILES
    found: list[Edge] = []
    for path in (path for path in find_files() if file_name(path) in names):
        with tempfile.TemporaryDirectory(prefix="tracezip-edge-") as folder:
            found += measure(read_file(path), arguments.spans, Path(folder))
    if not found:
        raise SystemExit(f"benchmarks.edge: none of the files {', '.join(names)}: set TRACEZIP_DATA")
    print(report(found))
    write_csv([asdict(one) for one in found], RESULTS / "edge.csv")


if __name__ == "__main__":
    main()
