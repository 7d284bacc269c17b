"""Plots of a report: size against CPU for each file, and how cost and memory grow. They need matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.growth import Growth
from benchmarks.measure import Measurement
from benchmarks.report import RESULTS, FileReport

GENERAL, COLUMNS, OURS = "general-purpose", "columnar", "tracezip"
LOOKS = {GENERAL: ("#767676", "s"), COLUMNS: ("#c25700", "^"), OURS: ("#0b5cad", "o")}
PANELS = (("file", "whole file"), ("512", "batches of 512 spans"))
FOOTNOTE = "STEF and OTel-Arrow: streams. * measured on the file's beginning only. Lower left is better."
LABEL_OFFSETS = [(6, 5), (6, -11), (-6, 5), (-6, -11), (0, 9), (0, -15), (9, 0), (-9, 0), (6, 16), (-6, 16), (6, -22)]
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "tracezip",  # the same plot is the same file
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Point:
    label: str
    family: str
    us_per_span: float
    bytes_per_span: float

    @classmethod
    def of(cls, measured: Measurement) -> Point:
        label = measured.codec + ("*" if measured.is_prefix else "")
        return cls(label, family(measured.codec), measured.us_per_span(measured.compress_s), measured.bytes_per_span)


def family(codec: str) -> str:
    if codec.startswith("tracezip"):
        return OURS
    return COLUMNS if codec.startswith(("STEF", "OTel-Arrow", "Parquet")) else GENERAL


def draw(reports: list[FileReport], say: Callable[[str], Any], folder: Path = RESULTS) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        say("Skipped: plots, matplotlib is not installed.")
        return
    import matplotlib

    matplotlib.use("svg")
    with matplotlib.rc_context(STYLE):
        for report in reports:
            draw_sizes(report, folder / size_plot(report.name))
        if any(report.growth for report in reports):
            draw_growth(reports, folder / GROWTH_PLOT)


GROWTH_PLOT = "growth.svg"


def size_plot(name: str) -> str:
    return f"size-{name}.svg"


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
    import matplotlib.pyplot as plt

    plt.close(figure)


def draw_sizes(report: FileReport, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 5.4), sharey=True, layout="constrained")
    figure.suptitle(
        f"{report.name}: {report.n_spans:,} spans, {report.raw_bytes / report.n_spans:.0f} bytes each in OTLP"
    )
    for axes, (unit, title) in zip(panels, PANELS, strict=True):
        points = [Point.of(measured) for measured in report.measurements if measured.unit == unit]
        set_axes(axes, title)
        scatter(axes, points)
    highest = max((m.bytes_per_span for m in report.measurements if m.unit in dict(PANELS)), default=1)
    panels[0].set_ylim(0, highest * 1.12)
    panels[0].set_ylabel("bytes per span")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels), frameon=False, fontsize=9)
    figure.text(0.995, 0.012, FOOTNOTE, ha="right", fontsize=8, color="#555555")
    figure.canvas.draw()
    for axes in panels:
        place_labels(axes)
    save(figure, path)


def set_axes(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("CPU µs per span to compress, one thread (log scale)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.14)


def scatter(axes: Any, points: list[Point]) -> None:
    for name, (colour, marker) in LOOKS.items():
        chosen = [point for point in points if point.family == name]
        x, y = [p.us_per_span for p in chosen], [p.bytes_per_span for p in chosen]
        axes.scatter(x, y, c=colour, marker=marker, s=30, label=name)
        for point in chosen:
            weight = "bold" if point.label.startswith("tracezip -3") else "normal"
            xy = (point.us_per_span, point.bytes_per_span)
            axes.annotate(
                point.label, xy, (6, 5), textcoords="offset points", color=colour, fontsize=8, fontweight=weight
            )


def place_labels(axes: Any) -> None:
    """Each label beside its point where it hides no other label and no point, as far as there is such a place."""
    renderer = axes.figure.canvas.get_renderer() if hasattr(axes.figure.canvas, "get_renderer") else None
    labels = sorted(axes.texts, key=lambda label: -label.xy[1])
    taken = [box_around(axes.transData.transform(label.xy), 5) for label in labels]
    for label in labels:
        boxes = [
            (overlaps(box := moved(label, offset, renderer), taken, axes.bbox), offset, box) for offset in LABEL_OFFSETS
        ]
        _, offset, box = min(boxes, key=lambda found: found[0])
        moved(label, offset, renderer)
        taken.append(box)


def moved(label: Any, offset: tuple[int, int], renderer: Any) -> Any:
    """Where the label is then."""
    label.set_position(offset)
    label.set_horizontalalignment("left" if offset[0] > 0 else "right" if offset[0] < 0 else "center")
    label.set_verticalalignment("center" if offset[1] == 0 else "baseline")
    return label.get_window_extent(renderer)


def box_around(centre: Any, radius: float) -> Any:
    from matplotlib.transforms import Bbox

    x, y = centre
    return Bbox([[x - radius, y - radius], [x + radius, y + radius]])


def overlaps(box: Any, taken: Iterable[Any], frame: Any) -> float:
    """How much of a box is hidden by others or outside of the frame, in square points."""
    hidden = sum(shared_area(box, other) for other in taken)
    return float(hidden + box.width * box.height - shared_area(box, frame))


def shared_area(one: Any, other: Any) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0) * max(height, 0))


GROWTH_ROWS: tuple[tuple[str, Callable[[Growth], float]], ...] = (
    ("µs CPU/span, compress (log)", lambda found: found.compress_s * 1e6 / found.n_spans),
    ("µs CPU/span, decompress (log)", lambda found: found.decompress_s * 1e6 / found.n_spans),
    ("peak MB, compress (log)", lambda found: (found.compress_peak or 0) / 1e6),
)
GROWTH_TITLE = (
    "Spans repeated with new ids and later times, a message at a time\n"
    "(memory: STEF and OTel-Arrow were made to keep all of their output in it, the others write to disk)"
)
GROWTH_CODECS = {
    "tracezip -3": ("#0b5cad", "o"),
    "zstd -3": ("#767676", "s"),
    "STEF + zstd": ("#c25700", "^"),
    "OTel-Arrow + zstd": ("#8a3d9c", "v"),
}


def draw_growth(reports: list[FileReport], path: Path) -> None:
    """One column of panels for each file, one row for each of `GROWTH_ROWS`."""
    import matplotlib.pyplot as plt

    grown = [report for report in reports if report.growth]
    n_rows = len(GROWTH_ROWS)
    figure, panels = plt.subplots(
        n_rows, len(grown), figsize=(12, 8), squeeze=False, sharex=True, sharey="row", layout="constrained"
    )
    figure.suptitle(GROWTH_TITLE, fontsize=10)
    for (title, value), line in zip(GROWTH_ROWS, panels, strict=True):
        line[0].set_ylabel(title)
        for axes, report in zip(line, grown, strict=True):
            growth_lines(axes, report, value)
        line[0].set_yscale("log")
        line[0].yaxis.set_major_formatter(lambda shown, _: f"{shown:g}")
    for top, bottom, report in zip(panels[0], panels[-1], grown, strict=True):
        top.set_title(report.name, fontsize=10)
        bottom.set_xscale("log")
        bottom.set_xlabel("spans (log scale)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def growth_lines(axes: Any, report: FileReport, value: Callable[[Growth], float]) -> None:
    for codec, (colour, marker) in GROWTH_CODECS.items():
        found = [growth for growth in report.growth if growth.codec == codec]
        if found:
            spans = [growth.n_spans for growth in found]
            axes.plot(spans, list(map(value, found)), c=colour, marker=marker, ms=4, label=codec)
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
