"""What was measured, as a table for people (Markdown) and as JSON for programs."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.codecs import BASELINE, CODECS
from benchmarks.data import TraceFile
from benchmarks.measure import Measurement

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("tracezip", "zstandard", "numpy", "pyarrow", "brotli")
SCHEMA = 1  # of latest.json

HEADER = (
    "codec", "each", "bytes/span", "ratio", "ratio to JSON",
    "MB/s in", "× zstd", "µs/span in", "MB/s out", "× zstd", "µs/span out",
)  # fmt: skip

LEGEND = """\
*each*: what is compressed on its own: the whole file, each message as exported, or each batch of 512 spans.
*ratio*: OTLP protobuf bytes over stored bytes; *to JSON*: OTLP JSON bytes (of a large file estimated from its
beginning) over stored bytes.
*in* is compressing, *out* decompressing, both in CPU time of one thread, best of several runs, per megabyte or span of
OTLP protobuf; *× zstd*: the speed over that of zstd -3 on the whole file, in the same run.
Every codec gave its input back before it was timed.
`*`: a slow codec, measured once, on the first messages or batches of the file only (`--full` measures all)."""


@dataclass
class FileReport:
    """Everything measured on one file."""

    name: str
    n_messages: int
    n_spans: int
    raw_bytes: int
    json_bytes: int
    measurements: list[Measurement] = field(default_factory=list)

    @classmethod
    def of(cls, file: TraceFile, json_bytes: int) -> FileReport:
        return cls(file.name, len(file.messages), file.n_spans, file.n_bytes, json_bytes)

    @property
    def json_per_raw(self) -> float:
        return self.json_bytes / self.raw_bytes

    def find(self, codec: str, unit: str) -> Measurement | None:
        found = (m for m in self.measurements if (m.codec, m.unit) == (codec, unit))
        return next(found, None)

    @property
    def baseline(self) -> Measurement | None:
        return self.find(BASELINE.name, BASELINE.unit)


def machine() -> dict[str, str]:
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    } | {package: installed for package in PACKAGES if (installed := package_version(package))}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def package_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_json(reports: list[FileReport], skipped: list[str]) -> str:
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine(),
        "skipped": skipped,
        "files": [asdict(report) for report in reports],
    }
    return json.dumps(document, indent=1) + "\n"


def as_markdown(reports: list[FileReport], skipped: list[str]) -> str:
    described = "; ".join(f"{key} {value}" for key, value in machine().items())
    sections = ["# Benchmarks", f"Measured on: {described}.", LEGEND, *notes(), *skipped]
    sections += [file_section(report) for report in reports]
    return "\n\n".join(sections) + "\n"


def notes() -> Iterator[str]:
    noted = {codec.name: codec.note for codec in CODECS if codec.note}
    yield from (f"{name}: {note}." for name, note in noted.items())


def file_section(report: FileReport) -> str:
    title = f"## {report.name}: {report.n_spans:,} spans in {report.n_messages:,} messages, {report.raw_bytes:,} bytes"
    return f"{title}\n\n{table(HEADER, (cells(m, report) for m in report.measurements))}"


def cells(measured: Measurement, report: FileReport) -> list[str]:
    mark = " *" if measured.is_prefix else ""
    sizes = (measured.bytes_per_span, measured.ratio, measured.ratio * report.json_per_raw)
    row = [measured.codec + mark, measured.unit, *(f"{size:.2f}" for size in sizes)]
    return row + speed(measured, report, "compress_s") + speed(measured, report, "decompress_s")


def speed(measured: Measurement, report: FileReport, direction: str) -> list[str]:
    """MB/s, the same over zstd's, and µs per span, for ``compress_s`` or ``decompress_s``."""
    seconds = getattr(measured, direction)
    mb_per_s = measured.mb_per_s(seconds)
    base = report.baseline
    relative = number(mb_per_s / base.mb_per_s(getattr(base, direction))) if base else ""
    return [number(mb_per_s), relative, number(measured.us_per_span(seconds))]


def number(value: float) -> str:
    """Three digits that mean something: 1234, 123, 12.3, 1.23, 0.123, 0.0123."""
    whole_digits = len(str(int(value))) if value >= 1 else 0
    return f"{value:.{max(3 - whole_digits, 0)}f}" if value >= 0.1 else f"{value:.3g}"


def table(header: Iterable[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal; the first two columns are text, the others numbers."""
    lines = [list(header), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if index < 2 else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join(table_line(line, widths) for line in [lines[0], rule, *lines[1:]])


def table_line(line: list[str], widths: list[int]) -> str:
    padded = (
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "| " + " | ".join(padded) + " |"


def write_results(reports: list[FileReport], skipped: list[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(as_json(reports, skipped), encoding="utf-8")
    (RESULTS / "latest.md").write_text(as_markdown(reports, skipped), encoding="utf-8")
