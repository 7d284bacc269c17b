"""A trace as text: a tree, or a waterfall with a bar for each row."""

from __future__ import annotations

from collections.abc import Iterator

from tracezip.convert.spans import SPAN_KINDS
from tracezip.show.bars import Bars
from tracezip.show.critical import critical_path
from tracezip.show.model import FLAW_TEXTS, Flaw, Trace
from tracezip.show.rows import Row, rows, summary
from tracezip.show.text import (
    BOLD,
    DIM,
    RED,
    Piece,
    Style,
    counted,
    cut,
    duration_text,
    escape,
    padded,
    service_colour,
    time_text,
    value_text,
    width_of,
)

_INDENT_SHARE = 3  # at most a third of the width is spent on indentation
_MIN_WIDTH, _DEFAULT_WIDTH = 40, 120
_DURATION_COLUMNS = 9
_NO_SERVICE = "(no service)"
_NO_NAME = "(no name)"


def tree(trace: Trace, style: Style, *, fold: bool = True, details: bool = False) -> Iterator[str]:
    """The lines of a tree. details: with attributes, events and links below each span."""
    yield from _head(trace, style)
    own = {span: sum(end - start for start, end in parts) for span, parts in critical_path(trace).items()}
    for row in rows(trace, fold=fold):
        yield style.line([*_indent(row, style), *_label(trace, row, style), *_facts(trace, row, own, style)])
        if details and not row.is_folded:
            yield from _details(trace, row, style)


def waterfall(trace: Trace, style: Style, *, fold: bool = True) -> Iterator[str]:
    """The lines of a waterfall: what it is, how long it takes, and when, along the time of the whole trace."""
    yield from _head(trace, style)
    width = max(style.width or _DEFAULT_WIDTH, _MIN_WIDTH)
    listed = list(rows(trace, fold=fold))
    labels = [[*_indent(row, style), *_label(trace, row, style), *_typical(trace, row, style)] for row in listed]
    widest = max((sum(width_of(text) for text, _ in label) for label in labels), default=0)
    n_label = min(width * 11 // 20, widest)
    bars = Bars(trace, critical_path(trace), width - n_label - _DURATION_COLUMNS - 2, style)
    yield style.line([(" " * (n_label + _DURATION_COLUMNS + 2), 0), (bars.axis(), DIM)])
    for row, label in zip(listed, labels, strict=True):
        yield style.line([*_fitted(label, n_label, style), *_extent(trace, row, style), *bars.bar(row)])


# --- above the rows ---------------------------------------------------------------------------------------------------


def _head(trace: Trace, style: Style) -> Iterator[str]:
    n_errors = trace.n_errors
    facts: list[Piece] = [
        (f"trace {trace.trace_id.hex() or '(no id)'}", BOLD),
        (style.plain(duration_text(trace.duration_ns)), 0),
        (counted(len(trace.spans), "span"), 0),
        *([(counted(n_errors, "error"), RED)] if n_errors else []),
        (counted(len(trace.services()), "service"), 0),
        (time_text(trace.start_ns), DIM),
    ]
    separator = (style.plain(" · "), 0)
    yield style.line([facts[0], *(piece for fact in facts[1:] for piece in (separator, fact))])
    for flaw, n_spans in trace.flaw_counts().items():
        yield style.line([(f"  {counted(n_spans, 'span')} {FLAW_TEXTS[flaw][1]}{_how_much(trace, flaw)}", DIM)])


def _how_much(trace: Trace, flaw: Flaw) -> str:
    return f", by up to {duration_text(trace.max_skew_ns)}" if flaw is Flaw.EARLY else ""


# --- rows -------------------------------------------------------------------------------------------------------------


def _indent(row: Row, style: Style) -> list[Piece]:
    """Lines from the parents; where they would take too much of the width, the depth as a number instead."""
    if not row.depth:
        return []
    branch = "└─ " if row.is_last else "├─ "
    guides = "".join("│  " if guide == "|" else "   " for guide in row.guides)
    room = max(style.width or _DEFAULT_WIDTH, _MIN_WIDTH) // _INDENT_SHARE
    if row.depth * 3 > room:
        depth = f"{row.depth:,}… "
        guides = depth + guides[len(guides) - (room - len(branch) - len(depth)) :]
    return [(style.plain(guides + branch), DIM)]


def _label(trace: Trace, row: Row, style: Style) -> list[Piece]:
    span = trace.spans[row.span]
    pieces: list[Piece] = [(style.plain(f"× {len(row.members):,} "), BOLD)] if row.is_folded else []
    if span.is_error:
        pieces.append((style.plain("✗ "), RED))
    service = escape(span.service_name) or _NO_SERVICE
    return [*pieces, (service, service_colour(span.service_name)), (" ", 0), (escape(span.name) or _NO_NAME, BOLD)]


def _facts(trace: Trace, row: Row, own: dict[int, int], style: Style) -> Iterator[Piece]:
    """What stands behind the name in a tree."""
    span = trace.spans[row.span]
    yield "  " + style.plain(_durations(trace, row)), 0
    on_path_ns = sum(own.get(i, 0) for i in row.members)
    if on_path_ns * 100 >= trace.duration_ns > 0:
        yield style.plain(f"  ◆ {on_path_ns / trace.duration_ns:.0%}"), DIM
    if span.is_error and span.status_message:
        yield f"  {escape(span.status_message)}", RED
    texts = [text for flaw, (text, _) in FLAW_TEXTS.items() if trace.flaws[row.span] & flaw]
    if texts and not row.is_folded:
        yield f"  ({', '.join(texts)})", DIM


def _durations(trace: Trace, row: Row) -> str:
    if not row.is_folded:
        return duration_text(trace.ends[row.span] - trace.starts[row.span])
    of = summary(trace, row)
    return (
        f"p50 {duration_text(of.p50_ns)}, p99 {duration_text(of.p99_ns)}, max {duration_text(of.max_ns)}, "
        f"sum {duration_text(of.total_ns)}"
    )


def _details(trace: Trace, row: Row, style: Style) -> Iterator[str]:
    span = trace.spans[row.span]
    blank = (style.plain("".join("│  " if guide == "|" else "   " for guide in row.guides[-8:]) + "      "), DIM)
    kind = SPAN_KINDS[span.kind] if 0 <= span.kind < len(SPAN_KINDS) else str(span.kind)
    yield style.line([blank, (f"{span.span_id.hex()} {kind.lower()} {escape(span.scope.name)}", DIM)])
    for key, value in span.attributes.items():
        yield style.line([blank, (f"{escape(key)} = ", DIM), (escape(value_text(value)), 0)])
    for event in span.events:
        after = duration_text(event.time_ns - trace.starts[row.span])
        attributes = ", ".join(f"{key} = {value_text(value)}" for key, value in event.attributes.items())
        yield style.line([blank, (f"event +{style.plain(after)} ", DIM), (escape(f"{event.name} {attributes}"), 0)])
    for link in span.links:
        yield style.line([blank, (f"link to span {link.span_id.hex()} of trace {link.trace_id.hex()}", DIM)])


def _typical(trace: Trace, row: Row, style: Style) -> Iterator[Piece]:
    """What stands behind the name of a folded row of a waterfall."""
    if row.is_folded:
        of = summary(trace, row)
        yield style.plain(f"  p50 {duration_text(of.p50_ns)}, p99 {duration_text(of.p99_ns)}"), 0


def _extent(trace: Trace, row: Row, style: Style) -> Iterator[Piece]:
    """How long it took; of a folded row, from the first start to the last end."""
    ns = max(trace.ends[i] for i in row.members) - trace.starts[row.span]
    yield style.plain(f" {duration_text(ns):>{_DURATION_COLUMNS}} "), 0


def _fitted(label: list[Piece], width: int, style: Style) -> Iterator[Piece]:
    """A label of exactly this width."""
    for text, code in label:
        text = cut(text, width, style.plain("…"))
        width -= width_of(text)
        yield text, code
    yield padded("", width), 0
