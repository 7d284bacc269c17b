"""The bars of a waterfall: when each row's spans ran, along the time of the whole trace."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from tracezip.show.critical import Segments
from tracezip.show.model import Trace
from tracezip.show.rows import Row
from tracezip.show.text import RED, Piece, Style, duration_text, service_colour

_NOTHING, _RUNS, _IS_WAITED_FOR, _INSTANT = range(4)
_CHARACTERS = " ▒█▏"
_MIN_TICK_COLUMNS = 12


class Bars:
    """Bars of `n_columns`, each a stretch of time of the same length.

    A column is dark where the trace waited for the row's own work (the critical path), light where it just ran.
    """

    def __init__(self, trace: Trace, critical: Segments, n_columns: int, style: Style) -> None:
        self._trace = trace
        self._critical = critical
        self._n_columns = n_columns
        self._duration_ns = max(trace.duration_ns, 1)
        self._characters = style.plain(_CHARACTERS)
        self._style = style

    def axis(self) -> str:
        """The times at the left ends of as many columns as have room for it."""
        n_ticks = max(self._n_columns // _MIN_TICK_COLUMNS, 1)
        line = ""
        for tick in range(n_ticks):
            line = line.ljust(tick * self._n_columns // n_ticks) + "|"
            line += duration_text(self._trace.duration_ns * tick // n_ticks)
        return self._style.plain(line)

    def bar(self, row: Row) -> Iterator[Piece]:
        """The bar in pieces of one kind of column each, without the empty columns at its end."""
        cells = bytearray(self._n_columns)
        for member in row.members:
            self._draw(cells, member)
        span = self._trace.spans[row.span]
        colour = RED if span.is_error else service_colour(span.service_name)
        for kind, run in groupby(cells.rstrip(b"\0")):
            yield self._characters[kind] * len(list(run)), 0 if kind == _NOTHING else colour

    def _draw(self, cells: bytearray, member: int) -> None:
        start, end = self._trace.starts[member], self._trace.ends[member]
        first, last = self._column(start), self._column(end - 1 if end > start else end)
        if start == end:
            cells[first] = cells[first] or _INSTANT
        for at in range(first, last + 1 if end > start else first):
            cells[at] = _IS_WAITED_FOR if cells[at] == _IS_WAITED_FOR else _RUNS
        for from_ns, to_ns in self._critical.get(member, ()):
            for at in range(self._column(from_ns), self._column(to_ns - 1) + 1):
                cells[at] = _IS_WAITED_FOR

    def _column(self, ns: int) -> int:
        return min((ns - self._trace.start_ns) * self._n_columns // self._duration_ns, self._n_columns - 1)
