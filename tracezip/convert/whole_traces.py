"""OTLP messages -> whole traces, wherever in the messages their spans are, in memory that the spans do not fill.

The spans go, still encoded, to a temporary file, each with the place of the one before it in its trace. Memory holds a
few words for each trace, the message at hand, one trace's spans, and up to IN_MEMORY_BYTES before there is a file.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from tracezip.convert.fields import read_field
from tracezip.convert.spans import Context, EncodedSpan, Span, encoded_spans, read_span
from tracezip.convert.wire import utf8
from tracezip.errors import InputError

IN_MEMORY_BYTES = 1 << 25
N_CONTEXTS = 1024
"""Resources and scopes that are remembered; those that come again later are written again."""

_SPAN = struct.Struct("<qqI")
"""Before a span: where the one before it in its trace is, or -1; where its context is; its size in bytes."""
_CONTEXT = struct.Struct("<IIII")


def whole_traces(messages: Iterable[bytes]) -> Iterator[list[Span]]:
    """The traces in the order of their first spans, the spans of each in order. All messages are read first.

    Raises InputError that names the message, or the trace, if something is not OTLP.
    """
    for trace_id, trace in encoded_traces(_all_encoded(messages)):
        try:
            yield [read_span(span, *context.read()) for span, context in trace]
        except InputError as error:
            raise InputError(f"trace {trace_id.hex()}: {error}", offset=error.offset) from None


def encoded_traces(spans: Iterable[EncodedSpan]) -> Iterator[tuple[bytes, list[EncodedSpan]]]:
    """Each trace id and the spans that have it, still encoded, in the order of `whole_traces`."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        store = _Store(file)
        for span, context in spans:
            store.add(span, context)
        yield from store.traces()


def _all_encoded(messages: Iterable[bytes]) -> Iterator[EncodedSpan]:
    for index, message in enumerate(messages):
        try:
            yield from encoded_spans(message)
        except InputError as error:
            raise InputError(f"message {index}: {error}", offset=error.offset) from None


class _Store:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0
        self._last: dict[bytes, int] = {}
        self._places: dict[Context, int] = {}
        self._contexts: dict[int, Context] = {}

    def add(self, span: bytes, context: Context) -> None:
        trace_id = read_field("Span", "trace_id", span) or b""
        head = self._places.get(context)
        if head is None:
            head = self._add_context(context)
        self._last[trace_id] = self._write(_SPAN.pack(self._last.get(trace_id, -1), head, len(span)) + span)

    def _add_context(self, context: Context) -> int:
        if len(self._places) >= N_CONTEXTS:
            self._places.clear()
        parts = (context.resource, utf8(context.resource_schema_url), context.scope, utf8(context.scope_schema_url))
        place = self._places[context] = self._write(_CONTEXT.pack(*map(len, parts)) + b"".join(parts))
        return place

    def _write(self, data: bytes) -> int:
        place = self._size
        self._file.write(data)
        self._size += len(data)
        return place

    def traces(self) -> Iterator[tuple[bytes, list[EncodedSpan]]]:
        for trace_id, place in self._last.items():
            yield trace_id, self._trace(place)[::-1]

    def _trace(self, place: int) -> list[EncodedSpan]:
        spans = []
        while place >= 0:
            place, head, n_bytes = self._read(place, _SPAN)
            span = self._file.read(n_bytes)
            spans.append((span, self._context(head)))
        return spans

    def _context(self, place: int) -> Context:
        context = self._contexts.get(place)
        if context is None:
            if len(self._contexts) >= N_CONTEXTS:
                self._contexts.clear()
            resource, resource_url, scope, scope_url = (self._file.read(size) for size in self._read(place, _CONTEXT))
            context = self._contexts[place] = Context(resource, resource_url.decode(), scope, scope_url.decode())
        return context

    def _read(self, place: int, head: struct.Struct) -> tuple[int, ...]:
        self._file.seek(place)
        return head.unpack(self._file.read(head.size))
