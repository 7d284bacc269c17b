"""Bytes on the wire, batch by batch: OTLP with gzip, OTLP with zstd, and the stream protocol.

``python -m benchmarks.wire``: every file of TRACEZIP_DATA with 10,000 spans or more, as the batches of 512 spans that
an SDK exports, each batch one request. Counted are bodies: of ours with the envelope, of OTLP as compressed. What HTTP
puts before a body is nearly the same for all. A server's state decodes every body back to the bytes of its batch.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields

import zstandard

from benchmarks.data import BATCH_SPANS, TraceFile, find_files, read_file
from benchmarks.measure import NotExactError
from benchmarks.report import RESULTS
from benchmarks.report_tables import table
from tracezip.codec import Decompressor
from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, DEFAULT_LEVEL
from tracezip.live.protocol import unpack
from tracezip.live.sending import SendingStream

MIN_SPANS = 10_000
CSV = RESULTS / "wire.csv"
GZIP_WBITS = 31


@dataclass(frozen=True)
class Wire:
    """Body bytes of all batches of a file."""

    file: str
    n_spans: int
    n_batches: int
    otlp_bytes: int
    gzip_bytes: int
    zstd_bytes: int
    alone_bytes: int
    stream_bytes: int

    @property
    def ratio(self) -> float:
        """Of the stream to OTLP with zstd -3, batch by batch."""
        return self.stream_bytes / self.zstd_bytes

    def line(self) -> list[str]:
        sizes = (self.otlp_bytes, self.gzip_bytes, self.zstd_bytes, self.alone_bytes, self.stream_bytes)
        per_span = [f"{n_bytes / self.n_spans:.1f}" for n_bytes in sizes]
        return [self.file, f"{self.n_spans:,} spans", *per_span, f"{self.ratio:.3f}"]


def measure(file: TraceFile) -> Wire:
    batches = file.batches
    otlp_bytes = sum(map(len, batches))
    return Wire(
        file.name,
        file.n_spans,
        len(batches),
        otlp_bytes,
        sum(len(gzipped(batch)) for batch in batches),
        sum(len(zstandard.ZstdCompressor(level=3).compress(batch)) for batch in batches),
        stream_bytes(batches, chained=False),
        stream_bytes(batches, chained=True),
    )


def gzipped(batch: bytes) -> bytes:
    """As the SDK's exporter does it, at zlib's default level."""
    return zlib.compress(batch, wbits=GZIP_WBITS)


def stream_bytes(batches: list[bytes], *, chained: bool) -> int:
    stream = SendingStream(level=DEFAULT_LEVEL, dictionary_threshold=DEFAULT_DICTIONARY_THRESHOLD, chained=chained)
    decompressor = Decompressor()
    n_bytes = 0
    for batch in batches:
        body = stream.frame(batch)
        stream.acknowledged()
        if decompressor.decompress(unpack(body).frames) != batch:
            raise NotExactError("the stream does not give its batches back")
        n_bytes += len(body)
    return n_bytes


def report(found: list[Wire]) -> str:
    header = ("file", "", "OTLP", "gzip", "zstd -3", "each alone", "**stream**", "stream / zstd -3")
    return f"Body bytes per span, batches of {BATCH_SPANS}:\n\n{table(header, (wire.line() for wire in found))}"


def write_csv(found: list[Wire]) -> None:
    with CSV.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Wire))
        writer.writerows(map(astuple, found))


def large_files() -> Iterator[TraceFile]:
    for path in find_files():
        file = read_file(path)
        if file.n_spans >= MIN_SPANS:
            yield file


def main(argv: list[str] | None = None, output: Callable[[str], None] = print) -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__.partition("\n\n")[2]).parse_args(argv)
    found = [measure(file) for file in large_files()]
    if not found:
        raise SystemExit("no file with enough spans: TRACEZIP_DATA must name a folder with *.otlp.zst files")
    output(report(found))
    write_csv(found)


if __name__ == "__main__":
    main()
