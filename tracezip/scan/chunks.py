"""Spans that come one after the other in an archive: rows of a block, or a message that is not all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from tracezip import _backend, limits
from tracezip.begin import preset
from tracezip.convert.fields import read_fields
from tracezip.errors import InputError, LimitError
from tracezip.expression import Field
from tracezip.scan.messages import SpanBytes, cut
from tracezip.scan.rows import RESOURCE_SPANS, Numbers, RowNumbers, Rows, plain_span
from tracezip.scan.select import Selector, is_odd

_TRACE_ID = Field("", "trace_id")
_NOT_ALL_ROWS, _CONTINUES = 1, 2
"""Flags of parts, see BlockDecoder.outline."""


class Chunk(Protocol):
    """Spans by number. A span that is no OTLP can only be found by an expression that does not ask what is wrong."""

    def select(self, selector: Selector) -> RowNumbers:
        """The numbers of those for which the expression holds, ascending."""

    def span_bytes(self, rows: RowNumbers) -> Sequence[SpanBytes]:
        """These spans, and what they stand in."""

    def trace_ids(self, rows: RowNumbers) -> list[bytes]:
        """The trace ids of these spans; b"" of those that have none, or are no OTLP."""


class RowChunk:
    """The spans from `first` to before `stop` of the rows of a block, or of a message."""

    def __init__(self, rows: Rows, first: int, stop: int) -> None:
        self.rows = rows
        self._first, self._stop = first, stop

    def select(self, selector: Selector) -> RowNumbers:
        mask, odd = selector.select(self.rows)
        found = np.flatnonzero(mask | odd)
        found = found[(found >= self._first) & (found < self._stop)]
        if not odd[found].any():
            return found
        keep = mask[found]
        doubtful = found[~keep]
        keep[~keep] = [matches(selector, part) for part in self.span_bytes(doubtful)]
        return found[keep]

    def span_bytes(self, rows: RowNumbers) -> Sequence[SpanBytes]:
        return self.rows.span_bytes(rows)

    def trace_ids(self, rows: RowNumbers) -> list[bytes]:
        words = [self.rows.column(name)[rows] for name in ("trace_hi", "trace_lo")]
        data = np.stack(words, axis=1).astype(">u8").tobytes()
        ids = [data[at : at + 16] for at in range(0, len(data), 16)]
        odd = np.flatnonzero(is_odd(self.rows, _TRACE_ID)[rows])
        for i, part in zip(odd, self.span_bytes(rows[odd]), strict=True):
            ids[i] = trace_id_of(part)
        return ids


def chunk_of_message(message: bytes) -> Chunk:
    """The spans of a message, as rows if it can be put into rows."""
    encoder = _backend.Encoder(preset(), limits.DEFAULT_DICTIONARY_THRESHOLD, limits.DEFAULT_LEVEL)
    encoder.add(message)
    rows = Rows(encoder)
    return RowChunk(rows, 0, rows.n_spans) if len(rows.column("n_scopes")) else OddChunk(message)


class OddChunk:
    """The spans of a message that is not put into rows; none if it is not OTLP."""

    def __init__(self, message: bytes) -> None:
        try:
            self._parts = list(cut(message))
        except InputError:
            self._parts = []

    def select(self, selector: Selector) -> RowNumbers:
        return np.flatnonzero([matches(selector, part) for part in self._parts])

    def span_bytes(self, rows: RowNumbers) -> Sequence[SpanBytes]:
        return [self._parts[i] for i in rows]

    def trace_ids(self, rows: RowNumbers) -> list[bytes]:
        return list(map(trace_id_of, self.span_bytes(rows)))


def trace_id_of(part: SpanBytes) -> bytes:
    try:
        return bytes(read_fields("Span", part.span).get("trace_id", b""))
    except InputError:
        return b""


def matches(selector: Selector, part: SpanBytes) -> bool:
    """Whether the expression holds for a span; of one that is no OTLP, only one that asks nothing."""
    try:
        return selector.expression.matches(plain_span(part))
    except InputError:
        return not selector.expression.fields


def all_in_rows(decoder: _backend.BlockDecoder, need: Callable[[int], None]) -> bool:
    """Whether the rows of the block that was read are all its spans, each with all that it stands in.

    Parts of messages that were cut repeat that, or nothing of it if it is too large. FORMAT.md, "Parts". `need` as for
    Rows.
    """
    n_resources, flags = decoder.outline()
    is_cut = np.frombuffer(flags, np.uint8) & _NOT_ALL_ROWS != 0
    if not is_cut.any():
        return True
    counts = np.frombuffer(n_resources, np.uint32)
    need(_backend.SKIP_TIMES | _backend.SKIP_VALUES)
    first = (np.cumsum(counts, dtype=np.uint32) - counts)[is_cut]
    return bool(counts[is_cut].all()) and all(decoder.records(RESOURCE_SPANS, first.data))


class Joiner:
    """Cuts blocks into chunks, and joins the parts of messages. Give it blocks in order; a message of which the
    beginning was not given is left out."""

    def __init__(self) -> None:
        self._pending: list[bytes] | None = None
        self._n_bytes = 0

    def lose(self) -> None:
        """What comes next does not follow what came before."""
        self._pending = None

    def chunks(self, decoder: _backend.BlockDecoder, rows: Rows, *, continued: bool) -> Iterator[Chunk]:
        """The chunks of the block that was read, whose first part goes on with a message, or does not."""
        n_resources, flags = decoder.outline()
        if not continued and not any(flags):
            yield RowChunk(rows, 0, rows.n_spans)
            return
        goes_on = np.frombuffer(flags, np.uint8) & _CONTINUES != 0
        is_rest = np.concatenate([[continued], goes_on[:-1]])
        is_whole = (np.frombuffer(flags, np.uint8) == 0) & ~is_rest
        first_span = _first_spans(rows, np.frombuffer(n_resources, np.uint32))
        parts = decoder.parts()[0]
        for first, stop in _runs(is_whole):
            if is_whole[first]:
                yield RowChunk(rows, int(first_span[first]), int(first_span[stop]))
            else:
                for i in range(first, stop):
                    yield from self._join(parts[i], is_rest=bool(is_rest[i]), goes_on=bool(goes_on[i]))

    def _join(self, part: bytes, *, is_rest: bool, goes_on: bool) -> Iterator[Chunk]:
        if not is_rest:
            self._pending, self._n_bytes = [], 0
        if self._pending is not None:
            self._pending.append(part)
            self._n_bytes += len(part)
            if self._n_bytes > limits.MAX_MESSAGE_BYTES:
                raise LimitError(f"a message of more than {limits.MAX_MESSAGE_BYTES} bytes, which is the limit")
            if not goes_on:
                yield chunk_of_message(b"".join(self._pending))
                self._pending = None


def _first_spans(rows: Rows, n_resources: Numbers) -> RowNumbers:
    """(parts + 1,) the first span of each part, and behind the last one."""
    part_row = np.repeat(np.arange(len(n_resources)), n_resources)[rows.resource_row]
    return np.searchsorted(part_row, np.arange(len(n_resources) + 1))


def _runs(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[tuple[int, int]]:
    """First and behind the last of each run of equal flags."""
    borders = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    yield from pairwise(borders)
