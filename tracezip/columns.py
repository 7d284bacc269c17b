"""Spans as numpy columns, without an object per span. The names of the columns are those of opentelemetry-proto.

Imports numpy, and so it is imported by nothing that does not need columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracezip import _backend, limits
from tracezip.begin import preset
from tracezip.convert import to_otlp
from tracezip.convert.wire import read_length, read_tag, skip_value

_LENGTH_DELIMITED = 2
_RESOURCE_SPANS, _SCOPE_SPANS, _SPANS, _EVENTS, _LINKS = 0x0A, 0x12, 0x12, 0x5A, 0x6A

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """The spans of one trace message, in the order of the message: n spans of r ResourceSpans and s ScopeSpans.

    The arrays are read-only. A number that the message does not have is 0, and so is an id that it does not have or
    that has not the length that OTLP says (16 bytes for traces, 8 for spans). Of a field that stands twice in a span,
    the first counts that has the right length.
    """

    trace_id: NDArray[np.uint8]
    """(n, 16) uint8: the bytes as they are sent. `trace_id[i].tobytes().hex()` is what people read."""
    span_id: NDArray[np.uint64]
    """(n,) uint64: the 8 bytes as a big-endian number, to sort and join. `f"{span_id[i]:016x}"` is its hex form."""
    parent_span_id: NDArray[np.uint64]
    """(n,) uint64, as `span_id`: to be looked up in it. 0 for a root."""
    start_time_unix_nano: NDArray[np.uint64]
    """(n,) uint64: nanoseconds since 1970-01-01 UTC."""
    end_time_unix_nano: NDArray[np.uint64]
    """(n,) uint64: nanoseconds since 1970-01-01 UTC. May be before the start: clocks are not checked."""
    n_events: NDArray[np.uint32]
    """(n,) uint32: events of each span."""
    n_links: NDArray[np.uint32]
    """(n,) uint32: links of each span."""
    event_time_unix_nano: NDArray[np.uint64]
    """(n_events.sum(),) uint64: nanoseconds since 1970-01-01 UTC, the events of the first span first."""
    n_spans: NDArray[np.uint32]
    """(s,) uint32: spans of each ScopeSpans."""
    n_scopes: NDArray[np.uint32]
    """(r,) uint32: ScopeSpans of each ResourceSpans."""

    def __len__(self) -> int:
        """Spans."""
        return len(self.span_id)

    @property
    def scope_index(self) -> NDArray[np.intp]:
        """(n,) intp: the ScopeSpans of each span, counted through the message from 0."""
        return np.repeat(np.arange(len(self.n_spans)), self.n_spans)

    @property
    def resource_index(self) -> NDArray[np.intp]:
        """(n,) intp: the ResourceSpans of each span, from 0."""
        return np.repeat(np.arange(len(self.n_scopes)), self.n_scopes)[self.scope_index]


def parse_columns(trace: Any) -> Columns:
    """The columns of a trace in any form that `compress` takes; those of protobuf bytes without a Python object a span.

    What no encoder writes (fields in odd places, numbers longer than needed) is read too, but slowly. Raises
    InputError, with the byte offset, if the trace is not OTLP, and as `compress` does.
    """
    message = to_otlp(trace)
    columns = _fast_columns(message)
    return columns if _is_complete(columns, message) else _slow_columns(message)


# --- by the codec's own parser ----------------------------------------------------------------------------------------


def _fast_columns(message: bytes) -> Columns:
    threshold, level = limits.DEFAULT_DICTIONARY_THRESHOLD, limits.DEFAULT_LEVEL
    encoder = _backend.Encoder(preset(), threshold, level)
    encoder.add(message)
    columns = encoder.columns()
    wide = {name: np.frombuffer(data, np.uint64) for name, data in columns.items() if not name.startswith("n_")}
    narrow = {name: np.frombuffer(data, np.uint32) for name, data in columns.items() if name.startswith("n_")}
    return Columns(
        trace_id=_trace_ids(wide["trace_hi"], wide["trace_lo"]),
        span_id=wide["span_id"],
        parent_span_id=wide["parent_id"],
        start_time_unix_nano=wide["start"],
        end_time_unix_nano=wide["end"],
        n_events=narrow["n_events"],
        n_links=narrow["n_links"],
        event_time_unix_nano=wide["event_time"],
        n_spans=narrow["n_spans"],
        n_scopes=narrow["n_scopes"],
    )


def _trace_ids(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The bytes of ids given as two big-endian numbers."""
    return _sealed(np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16))


def _sealed(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _is_complete(columns: Columns, message: bytes) -> bool:
    """Whether all of the message is in the columns. What the parser keeps as it is, is missing there or all zero."""
    if (message and not len(columns.n_scopes)) or len(columns) != _backend.count_spans(message, 0):
        return False
    times = columns.start_time_unix_nano | columns.end_time_unix_nano
    spans = columns.span_id | columns.parent_span_id | times
    is_there = (spans != 0) | columns.trace_id.any(axis=1)
    return bool(is_there.all()) and bool(columns.event_time_unix_nano.all())


# --- field by field ---------------------------------------------------------------------------------------------------


class _Message:
    """Fields of one message in the bytes of a larger one. Raises InputError where they are not protobuf."""

    def __init__(self, data: bytes, start: int, stop: int) -> None:
        self._data = data
        self.fields = list(self._read(start, stop))
        """Tag, start of the value and its end."""

    def _read(self, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
        while at < stop:
            tag, start = read_tag(self._data, at, stop)
            if tag & 7 == _LENGTH_DELIMITED:
                start, at = read_length(self._data, start, stop)
            else:
                at = skip_value(self._data, start, stop, tag, 0)
            yield tag, start, at

    def messages(self, tag: int) -> list[_Message]:
        return [_Message(self._data, start, end) for found, start, end in self.fields if found == tag]

    def value(self, tag: int, size: int = 8) -> bytes:
        """The first value with this tag and size in bytes; zeros if there is none."""
        values = (self._data[start:end] for found, start, end in self.fields if (found, end - start) == (tag, size))
        return next(values, bytes(size))


def _slow_columns(message: bytes) -> Columns:
    resources = [resource.messages(_SCOPE_SPANS) for resource in _whole(message).messages(_RESOURCE_SPANS)]
    scopes = [scope.messages(_SPANS) for scope in _joined(resources)]
    spans = _joined(scopes)
    events = [span.messages(_EVENTS) for span in spans]
    return Columns(
        trace_id=np.frombuffer(b"".join([span.value(0x0A, 16) for span in spans]), np.uint8).reshape(-1, 16),
        span_id=_numbers(spans, 0x12, ">u8"),
        parent_span_id=_numbers(spans, 0x22, ">u8"),
        start_time_unix_nano=_numbers(spans, 0x39, "<u8"),
        end_time_unix_nano=_numbers(spans, 0x41, "<u8"),
        n_events=_counts(events),
        n_links=_counts([span.messages(_LINKS) for span in spans]),
        event_time_unix_nano=_numbers(_joined(events), 0x09, "<u8"),
        n_spans=_counts(scopes),
        n_scopes=_counts(resources),
    )


def _whole(message: bytes) -> _Message:
    return _Message(message, 0, len(message))


def _joined(lists: Sequence[list[_T]]) -> list[_T]:
    return [item for items in lists for item in items]


def _numbers(messages: Sequence[_Message], tag: int, order: str) -> NDArray[np.uint64]:
    values = b"".join([message.value(tag) for message in messages])
    return _sealed(np.frombuffer(values, order).astype(np.uint64))


def _counts(lists: Sequence[list[_Message]]) -> NDArray[np.uint32]:
    return _sealed(np.array([len(items) for items in lists], np.uint32))
