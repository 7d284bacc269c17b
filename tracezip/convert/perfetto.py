"""Traces as Chrome's Trace Event Format, the JSON that ui.perfetto.dev and chrome://tracing open.

A resource is a process, named after its service. Slices of one thread must nest, and spans that run side by side do
not: so each trace has threads of its own, as many in each process as it needs, named after the trace's id. A span is a
complete event ("X"), an event an instant one ("i"), and an arrow ("s", "f") leads from a span to its child on another
thread. All that has no place in the format is among the `args`, where the viewer shows it.

What it cannot hold: times are cut to microseconds, because viewers keep numbers as doubles, which could not hold more
and would break the nesting; a span that ends before it starts has a duration of 0; bytes are in base64, NaN and
infinities are strings. Schema URLs, scope attributes and the dropped counts and flags are left out. It is for viewers,
and there is no way back.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from tracezip.convert.spans import SPAN_KINDS, Event, Link, Resource, Span
from tracezip.convert.table import shared_text
from tracezip.convert.tags import STATUS_NAMES, UNKNOWN_SERVICE, compact_json, json_value, value_text
from tracezip.convert.wire import utf8

_ERROR_COLOUR = "terrible"
"""Chrome's name for a red."""

_Json = dict[str, Any]


def write_perfetto(traces: Iterable[Sequence[Span]], stream: BinaryIO) -> None:
    """Writes one document. Each trace should be whole: its parts would stand on threads of their own.

    Memory holds one trace, and a few words for each resource.
    """
    timeline = _Timeline()
    before = b'{"traceEvents":[\n'
    for trace in traces:
        for event in timeline.events(trace):
            stream.write(before + utf8(compact_json(event)))
            before = b",\n"
    stream.write((before if before[0] == ord("{") else b"\n") + b'],"displayTimeUnit":"ns"}\n')


class _Thread:
    """A row of slices that nest: `ends` are those of the open ones, the innermost last."""

    __slots__ = ("ends", "number", "process")

    def __init__(self, process: int, number: int) -> None:
        self.process = process
        self.number = number
        self.ends: list[int] = []

    def nest(self, start: int, end: int) -> bool:
        """Whether a slice lies within one that is open, after all that were there before; it is open then."""
        while self.ends and self.ends[-1] <= start:
            self.ends.pop()
        if not self.ends or end > self.ends[-1]:
            return False
        self.ends.append(end)
        return True

    def event(self, phase: str, time: int, **fields: Any) -> _Json:
        return {"ph": phase, "ts": time, "pid": self.process, "tid": self.number, **fields}


class _Timeline:
    """Numbers processes, threads and arrows, from 1, over all traces of a document."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._n_threads = 0
        self._n_arrows = 0

    def events(self, trace: Sequence[Span]) -> Iterator[_Json]:
        """What one trace adds. Of spans that start at the same time the longest is the outer one."""
        free: dict[int, list[tuple[int, int, _Thread]]] = {}
        places: dict[bytes, tuple[_Thread, int]] = {}
        for start, end, span in sorted(map(_timed, trace), key=lambda timed: (timed[0], -timed[1])):
            process = yield from self._process(span.resource)
            parent = places.get(span.parent_span_id)
            if parent is not None and parent[0].process == process and parent[0].nest(start, end):
                thread = parent[0]
            else:
                thread = yield from self._thread(free.setdefault(process, []), process, span)
                thread.ends = [end]
                heapq.heappush(free[process], (end, thread.number, thread))
            places[span.span_id] = thread, start
            yield _slice(thread, start, end, span)
            yield from (_instant(thread, event) for event in span.events)
            if parent is not None and parent[0] is not thread:
                yield from self._arrow(parent, (thread, start))

    def _process(self, resource: Resource) -> Generator[_Json, None, int]:
        key = shared_text(resource)
        number = self._processes.get(key)
        if number is None:
            number = self._processes[key] = len(self._processes) + 1
            labels = ", ".join(f"{key}={value_text(value)}" for key, value in resource.attributes.items())
            yield _named("process_name", number, name=resource.service_name or UNKNOWN_SERVICE)
            yield _named("process_labels", number, labels=labels)
        return number

    def _thread(
        self, free: list[tuple[int, int, _Thread]], process: int, span: Span
    ) -> Generator[_Json, None, _Thread]:
        """The thread of this trace and process whose slices have all ended first, or a new one if none has ended."""
        if free and free[0][0] <= span.start_ns // 1000:
            return heapq.heappop(free)[2]
        self._n_threads += 1
        yield {**_named("thread_name", process, name=f"trace {span.trace_id.hex()}"), "tid": self._n_threads}
        return _Thread(process, self._n_threads)

    def _arrow(self, parent: tuple[_Thread, int], child: tuple[_Thread, int]) -> Iterator[_Json]:
        self._n_arrows += 1
        for phase, (thread, time) in zip("sf", (parent, child), strict=True):
            yield thread.event(phase, time, name="child", cat="child", id=self._n_arrows, bp="e")


def _named(what: str, process: int, **names: str) -> _Json:
    return {"ph": "M", "name": what, "pid": process, "args": names}


def _timed(span: Span) -> tuple[int, int, Span]:
    """Start and end in microseconds, cut in the same way, so that what nests in nanoseconds nests here."""
    return span.start_ns // 1000, max(span.start_ns, span.end_ns) // 1000, span


def _slice(thread: _Thread, start: int, end: int, span: Span) -> _Json:
    kind = SPAN_KINDS[span.kind].lower() if 0 < span.kind < len(SPAN_KINDS) else "span"
    colour = {"cname": _ERROR_COLOUR} if span.is_error else {}
    return thread.event("X", start, dur=end - start, name=span.name, cat=kind, **colour, args=_span_args(span))


def _span_args(span: Span) -> _Json:
    args = {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "status_code": STATUS_NAMES.get(span.status_code),
        "status_message": span.status_message,
        "scope_name": span.scope.name,
        "scope_version": span.scope.version,
        "trace_state": span.trace_state,
        "attributes": json_value(span.attributes),
        "links": [_link_args(link) for link in span.links],
    }
    return {key: value for key, value in args.items() if value}


def _link_args(link: Link) -> _Json:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "attributes": json_value(link.attributes),
    }


def _instant(thread: _Thread, event: Event) -> _Json:
    args = json_value(event.attributes)
    return thread.event("i", event.time_ns // 1000, s="t", name=event.name, cat="event", args=args)
