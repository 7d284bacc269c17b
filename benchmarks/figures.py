"""The short table of README.md, between its two ``figures`` marks, from the measurements of this run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.plots import GROWTH_PLOT, size_plot
from benchmarks.report import DEFAULT, RESULTS, FileReport, machine
from benchmarks.report_tables import number, table

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"

SIZES = {
    "gzip -6": "gzip -6",
    "zstd -3": "zstd -3",
    "zstd -19": "zstd -19",
    "xz -9": "xz -9",
    "Parquet, zstd -19": "Parquet",
    "tracezip -1": "tracezip -1",
    "tracezip -3": "**tracezip**",
    "tracezip -9": "tracezip -9",
}


BATCH_SIZES = {
    "zstd -3": "zstd -3",
    "zstd -3, dictionary": "zstd -3, dictionary",
    "tracezip -3": "**tracezip**",
    "tracezip -3, dictionary": "**tracezip, dictionary**",
    "STEF + zstd": "STEF, stream",
    "OTel-Arrow + zstd": "OTel-Arrow, stream",
    "tracezip -3, stream": "**tracezip, stream**",
}


def summary(reports: list[FileReport]) -> str:
    described = ", ".join(f"{key} {value}" for key, value in machine().items())
    intro = "Bytes per span, whole file; `*` only its beginning was measured. Speeds are CPU time on one thread beside"
    parts = [f"{intro}\nzstd -3 in the same run ({described}).", file_table(reports)]
    parts += ["Bytes per span in batches of 512, each on its own or as a stream:", batch_table(reports)]
    return "\n\n".join([*parts, *images(reports)])


def file_table(reports: list[FileReport]) -> str:
    return table(["file", "", *SIZES.values(), "compress, × zstd -3", "decompress, × zstd -3"], map(row, reports))


def batch_table(reports: list[FileReport]) -> str:
    rows = ([r.name, f"{r.n_spans:,} spans", *(size(r, codec, "512") for codec in BATCH_SIZES)] for r in reports)
    return table(["file", "", *BATCH_SIZES.values()], rows)


def images(reports: list[FileReport]) -> list[str]:
    drawn = [image(f"{report.name}: size against CPU", size_plot(report.name)) for report in reports]
    drawn.append(image("cost and memory from 10,000 spans on", GROWTH_PLOT))
    return [line for line in drawn if line]


def image(text: str, name: str) -> str:
    """Shown if this run, or one before it, has drawn it."""
    path = RESULTS / name
    return f"![{text}]({path.relative_to(README.parent)})" if path.exists() else ""


def row(report: FileReport) -> list[str]:
    sizes = [size(report, codec) for codec in SIZES]
    spans = f"{report.n_spans:,} spans"
    return [report.name, spans, *sizes, speed(report, "compress_s"), speed(report, "decompress_s")]


def size(report: FileReport, codec: str, unit: str = "file") -> str:
    measured = report.find(codec, unit)
    return f"{measured.bytes_per_span:.1f}{'*' if measured.is_prefix else ''}" if measured else ""


def speed(report: FileReport, attribute: str) -> str:
    measured, base = report.find(DEFAULT, "file"), report.baseline
    if not measured or not base:
        return ""
    return number(getattr(base, attribute) / getattr(measured, attribute))


def fill_readme(reports: list[FileReport], readme: Path = README) -> None:
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{readme.name} has no place for the figures: {BEGIN} ... {END}")
    readme.write_text(f"{before}{BEGIN}\n{summary(reports)}\n{END}{after}", encoding="utf-8")
