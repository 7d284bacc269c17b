"""Traces as one page of HTML that needs nothing else: no network, no other file, any browser.

The page is page/page.html with the style and the scripts beside it. It may run these only, which its policy names by
their hashes, and load nothing. Its data are JSON in which no character of the traces can end the element they are in:

    texts        every text there is, once; elsewhere a text is its place in here
    traces       [trace id, start in ms since 1970, duration in ns, its first span, spans, its main root]
    spans        columns, a trace's spans one after the other by start. start: ns after the trace's. parent: counted
                 from the trace's first span, or -1. attributes: [key, value, key, value, …] or null. events: [[ns after
                 the span's start, name, attributes], …] or null. own: when it works on the critical path,
                 [ns after the trace's start, ns, …] or null
    resources    attributes of each
    flaws        [bit of `spans.flaws`, what it means of one span, of several]
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from tracezip.convert.spans import Event, Resource, Span
from tracezip.show.critical import critical_path
from tracezip.show.model import FLAW_TEXTS, NO_PARENT, Trace
from tracezip.show.text import value_text

_SCRIPTS = ("data.js", "dom.js", "search.js", "overview.js", "waterfall.js", "main.js")
_IN_SCRIPTS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_COLUMNS = (
    *("id", "parent", "service", "name", "kind", "status", "message", "start", "duration", "flaws"),
    *("resource", "attributes", "events", "own"),
)


def page(traces: Iterable[Sequence[Span]], title: str, note: Callable[[], str] = str) -> str:
    """The page, in ASCII but for its own characters. title: what it shows. note: is asked, after
    the last trace, for something to know about that."""
    data = _Data()
    for spans in traces:
        data.add(Trace(spans))
    style = _read("page.css")
    script = '"use strict";\n' + "".join(map(_read, _SCRIPTS))
    return Template(_read("page.html")).substitute(
        title=html.escape(title),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=data.json(title, note()),
    )


class _Data:
    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._resources: dict[int, int] = {}
        self._kept: list[Resource] = []  # so that an id stays that of one resource
        self._traces: list[list[Any]] = []
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}

    def add(self, trace: Trace) -> None:
        order = sorted(range(len(trace.spans)), key=lambda i: (trace.starts[i], i))
        place = {i: n for n, i in enumerate(order)}
        place[NO_PARENT] = NO_PARENT
        first, path = len(self._columns["id"]), critical_path(trace)
        root = first + place[trace.main_root]
        head = [trace.trace_id.hex(), trace.start_ns / 1e6, trace.duration_ns, first, len(order), root]
        self._traces.append(head)
        for i in order:
            self._add_span(trace, i, place[trace.parents[i]], path.get(i, []))

    def json(self, title: str, note: str) -> str:
        data = {
            "title": title,
            "note": note,
            "traces": self._traces,
            "spans": self._columns,
            "resources": [self._attributes(resource.attributes) for resource in self._kept],
            "flaws": [[int(flaw), *texts] for flaw, texts in FLAW_TEXTS.items()],
            "texts": list(self._texts),  # last: the others bring some
        }
        return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPTS)

    def _add_span(self, trace: Trace, i: int, parent: int, own: list[tuple[int, int]]) -> None:
        span = trace.spans[i]
        values = (
            *(span.span_id.hex(), parent, self._text(span.service_name), self._text(span.name), span.kind),
            *(span.status_code, self._text(span.status_message), trace.starts[i] - trace.start_ns),
            *(trace.ends[i] - trace.starts[i], int(trace.flaws[i]), self._resource(span.resource)),
            self._attributes(span.attributes) or None,
            [self._event(event, trace.starts[i]) for event in span.events] or None,
            [ns for start, end in reversed(own) for ns in (start - trace.start_ns, end - start)] or None,
        )
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _resource(self, resource: Resource) -> int:
        if id(resource) not in self._resources:
            self._resources[id(resource)] = len(self._kept)
            self._kept.append(resource)
        return self._resources[id(resource)]

    def _attributes(self, attributes: dict[str, Any]) -> list[int]:
        return [self._text(text) for key, value in attributes.items() for text in (key, value_text(value))]

    def _event(self, event: Event, start_ns: int) -> list[Any]:
        return [event.time_ns - start_ns, self._text(event.name), self._attributes(event.attributes)]


def _read(name: str) -> str:
    return files("tracezip.show").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
