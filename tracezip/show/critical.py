"""The critical path: at every moment the span that the trace was waiting for.

From the end of a span backwards: the child that ended last was waited for, back to its start; then the child that had
ended last before that, and so on. What no child covers was the span's own work. Children that end while one that was
waited for still runs ran beside it, and are not on the path. A child is taken to end no later than its parent, and to
start no earlier. The roots are taken for children of the trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracezip.show.model import Trace

Segments = dict[int, list[tuple[int, int]]]


def critical_path(trace: Trace) -> Segments:
    """For each span on the path when it worked on it itself: from, to, in ns since 1970. Latest first."""
    segments: Segments = {}
    waiting = _waited_for(trace, trace.roots, trace.start_ns, trace.end_ns)[0]
    while waiting:
        span, start, end = waiting.pop()
        children, own = _waited_for(trace, trace.children[span], start, end)
        waiting += children
        if own:
            segments[span] = own
    return segments


def _waited_for(
    trace: Trace, spans: Sequence[int], start: int, end: int
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Which of `spans` were waited for between start and end, each from when to when, and the times between them."""
    chosen, own = [], []
    by_end = sorted(((min(trace.ends[span], end), -trace.starts[span], span) for span in spans), reverse=True)
    for ended, minus_start, span in by_end:
        started = max(-minus_start, start)
        if ended > end or started >= ended:
            continue
        if ended < end:
            own.append((ended, end))
        chosen.append((span, started, ended))
        end = started
    if start < end:
        own.append((start, end))
    return chosen, own
