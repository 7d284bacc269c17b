"""What was measured, as a table for people (Markdown) and as JSON for programs."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import peers, report_tables
from benchmarks.codecs import BASELINE, CODECS
from benchmarks.data import TraceFile
from benchmarks.growth import Growth
from benchmarks.measure import Measurement
from benchmarks.report_tables import megabytes, number, table
from benchmarks.single_traces import TraceFigures
from benchmarks.threads import Speedup

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("tracezip", "zstandard", "numpy", "pyarrow", "brotli", "zpaq")
DEFAULT = "tracezip -3"
SCHEMA = 2  # of latest.json

HEADER = (
    "codec", "each", "bytes/span", "ratio", "ratio to JSON", "MB/s in", "× zstd", "µs/span in",
    "MB/s out", "× zstd", "µs/span out", "MB peak in", "MB peak out",
)  # fmt: skip

LEGEND = """\
*each*: what is compressed on its own: the whole file, each message as exported, or each batch of 512 or 8,192 spans;
*stream*: the same, with what was sent before known to the receiver.
*ratio*: OTLP protobuf bytes over stored bytes; *to JSON*: OTLP JSON bytes (of a large file estimated from its
beginning) over stored bytes.
*in* is compressing, *out* decompressing, both in CPU time of one thread, best of several runs, per megabyte or span of
OTLP protobuf; *× zstd*: the speed over that of zstd -3 on the whole file, in the same run.
*peak*: the most memory of a process that does only this, beyond what it used before, the input among it: so the output
counts, and where a whole file is one input or output, most of it may be that.
Every codec gave its input back before it was timed (of STEF and OTel-Arrow, which lose the order of spans and some
fields: ids, names, times and numbers of attributes and events of every span).
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
    traces: list[TraceFigures] = field(default_factory=list)
    speedups: list[Speedup] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    id_bytes: int | None = None  # of tracezip's default: its sections `ids` and `binary`

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
    installed = {package: found for package in PACKAGES if (found := package_version(package))}
    return {
        "processor": f"{processor()}, {os.cpu_count()} logical",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **installed,
        **peers.versions(),
    }


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
    noted = {codec.name: codec.note for codec in CODECS if codec.note} | peers.NOTES
    yield from (f"{name}: {note}." for name, note in noted.items())


def file_section(report: FileReport) -> str:
    title = f"## {report.name}: {report.n_spans:,} spans in {report.n_messages:,} messages, {report.raw_bytes:,} bytes"
    parts = [title, table(HEADER, (cells(m, report) for m in report.measurements)), id_note(report)]
    parts += [report_tables.traces(report.traces), report_tables.speedups(report.speedups)]
    return "\n\n".join(filter(None, [*parts, report_tables.growth(report.growth)]))


def id_note(report: FileReport) -> str:
    """How much of the default's size is ids and other binary that nothing foretold."""
    measured = report.find(DEFAULT, "file")
    if measured is None or report.id_bytes is None:
        return ""
    per_span = report.id_bytes / report.n_spans
    rest = measured.bytes_per_span - per_span
    return (
        f"Of {DEFAULT}'s {measured.bytes_per_span:.2f} bytes per span, {per_span:.2f} are its sections `ids` and "
        f"`binary` (raw: ids, UUIDs and hex digits that nothing foretold, and states of generators); "
        f"so it spends {rest:.2f} on the rest."
    )


def cells(measured: Measurement, report: FileReport) -> list[str]:
    mark = " *" if measured.is_prefix else ""
    sizes = (measured.bytes_per_span, measured.ratio, measured.ratio * report.json_per_raw)
    row = [measured.codec + mark, measured.unit, *(f"{size:.2f}" for size in sizes)]
    row += speed(measured, report, "compress_s") + speed(measured, report, "decompress_s")
    return [*row, megabytes(measured.compress_peak), megabytes(measured.decompress_peak)]


def speed(measured: Measurement, report: FileReport, direction: str) -> list[str]:
    """MB/s, the same over zstd's, and µs per span, for ``compress_s`` or ``decompress_s``."""
    seconds = getattr(measured, direction)
    mb_per_s = measured.mb_per_s(seconds)
    base = report.baseline
    relative = number(mb_per_s / base.mb_per_s(getattr(base, direction))) if base else ""
    return [number(mb_per_s), relative, number(measured.us_per_span(seconds))]


def write_results(reports: list[FileReport], skipped: list[str], folder: Path = RESULTS) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(as_json(reports, skipped), encoding="utf-8")
    (folder / "latest.md").write_text(as_markdown(reports, skipped), encoding="utf-8")
    for name in ("measurements", "traces", "speedups", "growth"):
        rows = [asdict(row) for report in reports for row in getattr(report, name)]
        write_csv(rows, folder / f"{name}.csv")


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """One line per measurement, bytes and seconds as they are; no file where nothing was measured."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
