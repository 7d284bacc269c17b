"""Tables in Markdown: how numbers and lines look, and the smaller tables of a report."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.growth import Growth
from benchmarks.single_traces import TraceFigures
from benchmarks.threads import Speedup

TRACES_INTRO = """\
Single traces, each a message of its own, without state (up to 1,000 of them, spread over the file).
*ratio*: OTLP bytes over stored bytes; times in CPU µs for one trace, best of three runs each.
The dictionary is trained on as many others."""
SPEEDUPS_INTRO = "Two threads against one, by the clock on the wall, compressing the whole file, best of several runs:"
GROWTH_INTRO = """\
Growth: the file's first 100,000 spans (or all), repeated with new ids, later times and new UUIDs, everything else the
same; a message at a time to a file on disk. Ids are as random ones: no id generator's arithmetic helps.
*peak*: memory beyond what was in use before; that of STEF and OTel-Arrow has all of their output in it, too."""


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


def megabytes(n_bytes: int | None) -> str:
    return "" if n_bytes is None else f"{n_bytes / 1e6:.1f}"


def traces(figures: list[TraceFigures]) -> str:
    header = ("codec", "traces", "bytes/span", "ratio min", "mean", "max", "µs in", "p99", "µs out", "p99")
    return section(TRACES_INTRO, header, map(trace_line, figures))


def trace_line(found: TraceFigures) -> list[str]:
    sizes = [f"{value:.2f}" for value in (found.ratio_min, found.ratio_mean, found.ratio_max)]
    times = (found.compress_us_mean, found.compress_us_p99, found.decompress_us_mean, found.decompress_us_p99)
    per_span = f"{found.stored_bytes / found.n_spans:.2f}"
    return [found.codec, f"{found.n_traces:,}", per_span, *sizes, *map(number, times)]


def speedups(found: list[Speedup]) -> str:
    lines = ([s.codec, "file", number(s.one_s), number(s.two_s), f"{s.speedup:.2f}"] for s in found)
    return section(SPEEDUPS_INTRO, ("codec", "each", "s, one thread", "s, two", "speedup"), lines)


def growth(found: list[Growth]) -> str:
    header = ("codec", "spans", "bytes/span", "µs/span in", "µs/span out", "MB peak in", "MB peak out")
    return section(GROWTH_INTRO, header, map(growth_line, sorted(found, key=lambda g: (g.codec, g.n_spans))))


def growth_line(found: Growth) -> list[str]:
    times = (number(seconds * 1e6 / found.n_spans) for seconds in (found.compress_s, found.decompress_s))
    peaks = map(megabytes, (found.compress_peak, found.decompress_peak))
    return [found.codec, f"{found.n_spans:,}", f"{found.stored_bytes / found.n_spans:.2f}", *times, *peaks]


def section(intro: str, header: Iterable[str], lines: Iterable[list[str]]) -> str:
    rows = list(lines)
    return f"{intro}\n\n{table(header, rows)}" if rows else ""
