"""A trace in one line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracezip.show.model import Trace
from tracezip.show.text import BOLD, DIM, RED, Piece, Style, duration_text, escape, service_colour, time_text

_COLUMNS = (("trace id", -32), ("start (UTC)", -23), ("duration", 9), ("spans", 6), ("errors", 6))


def heading(style: Style) -> str:
    """What stands above the lines."""
    return style.line([("  ".join(_aligned(name, width) for name, width in _COLUMNS) + "  root", DIM)])


def listing(trace: Trace, style: Style) -> str:
    """One line: id, start, duration, spans, errors, and the service and name of the root."""
    root = trace.spans[trace.main_root]
    values = (
        trace.trace_id.hex() or "(no id)",
        time_text(trace.start_ns).removesuffix(" UTC"),
        style.plain(duration_text(trace.duration_ns)),
        f"{len(trace.spans):,}",
        f"{trace.n_errors:,}",
    )
    cells = [_aligned(value, width) for value, (_, width) in zip(values, _COLUMNS, strict=True)]
    pieces: list[Piece] = [("  ".join(cells[:4]) + "  ", 0), (cells[4], RED if trace.n_errors else 0)]
    pieces += [("  ", 0), (escape(root.service_name), service_colour(root.service_name))]
    return style.line([*pieces, (f" {escape(root.name)}", BOLD)])


def facts(trace: Trace) -> dict[str, Any]:
    """The same for programs. Version 1 always has these keys, with these meanings."""
    root = trace.spans[trace.main_root]
    return {
        "version": 1,
        "trace_id": trace.trace_id.hex(),
        "start": _iso(trace.start_ns),
        "duration_ns": trace.duration_ns,
        "spans": len(trace.spans),
        "errors": trace.n_errors,
        "services": sorted(trace.services()),
        "root_service": root.service_name,
        "root_name": root.name,
    }


def _iso(ns: int) -> str | None:
    """A time with nanoseconds in UTC; None where there is none, or beyond the year 9999."""
    try:
        return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09}Z" if ns else None
    except (ValueError, OverflowError):
        return None


def _aligned(text: str, width: int) -> str:
    """To the right; to the left for a negative width."""
    return text.ljust(-width) if width < 0 else text.rjust(width)
