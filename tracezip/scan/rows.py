"""The rows of one block as numpy arrays, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracezip._backend import FIELD_MANY, SKIP_TIMES, SKIP_VALUES, BlockRows, FieldName
from tracezip.convert.spans import Span, read_resource, read_scope, read_span
from tracezip.scan.messages import SpanBytes

Numbers = NDArray[np.uint32]
RowNumbers = NDArray[np.intp]

RESOURCE_SPANS, SCOPE_SPANS, SPAN = range(3)
RESOURCE, SCOPE = 5, 6
"""Places of fields, with the numbers of FORMAT.md; the first three are kinds of records too."""
ATTRIBUTE_TAGS = {SPAN: 0x4A, RESOURCE: 0x0A, SCOPE: 0x1A}

_TIMES = frozenset({"start", "end", "event_time"})
_cached_resource = lru_cache(1024)(read_resource)
_cached_scope = lru_cache(1024)(read_scope)


def plain_span(part: SpanBytes) -> Span:
    """Raises InputError if it is none."""
    return read_span(part.span, _cached_resource(part.resource_spans), _cached_scope(part.scope_spans))


class Wanted(NamedTuple):
    """What a query needs of blocks, as `BlockDecoder.read` takes it."""

    skips: int
    asked: tuple[FieldName, ...]


EVERYTHING = Wanted(0, ())


class Rows:
    """The rows of a block, or of a message; good until their owner reads another block."""

    def __init__(self, owner: BlockRows, need: Callable[[int], None] = lambda _: None) -> None:
        """`need` sees to it that `owner` has what it may have left out: `SKIP_TIMES`, `SKIP_VALUES` or both."""
        self._owner = owner
        self._need = need
        self._columns: dict[str, NDArray[Any]] = {}
        self._numbers: dict[tuple[int, int, bytes | None], Numbers] = {}

    @property
    def n_spans(self) -> int:
        return len(self.column("span_id"))

    def column(self, name: str) -> NDArray[Any]:
        """A column of BlockRows."""
        if name not in self._columns:
            if name in _TIMES:
                self._need(SKIP_TIMES)
            data = self._owner.columns((name,))[name]
            self._columns[name] = np.frombuffer(data, np.uint32 if name.startswith("n_") else np.uint64)
        return self._columns[name]

    @cached_property
    def scope_row(self) -> RowNumbers:
        """(n_spans,) the row of each span's scope spans."""
        counts = self.column("n_spans")
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def resource_row(self) -> RowNumbers:
        """(n_spans,) the row of each span's resource spans."""
        counts = self.column("n_scopes")
        return np.repeat(np.arange(len(counts)), counts)[self.scope_row]

    def numbers(self, place: int, tag: int, key: bytes | None = None) -> Numbers:
        """(n_spans,) of the field of each span, or of what it stands in: a number for `atoms`, 0 or FIELD_MANY."""
        name = place, tag, key
        if name not in self._numbers:
            told = np.frombuffer(self._fields(*name), np.uint32)
            if place in (RESOURCE_SPANS, RESOURCE):
                told = told[self.resource_row]
            elif place in (SCOPE_SPANS, SCOPE):
                told = told[self.scope_row]
            self._numbers[name] = told
        return self._numbers[name]

    def _fields(self, place: int, tag: int, key: bytes | None) -> bytes:
        fields = self._owner.fields(place, tag, key)
        if fields is None:
            self._need(SKIP_VALUES)
            fields = self._owner.fields(place, tag, key)
        assert fields is not None
        return fields

    def distinct(self, numbers: Numbers) -> tuple[Numbers, list[bytes]]:
        """The numbers of atoms that are there, in ascending order, and their encoded fields."""
        numbers = numbers[(numbers != 0) & (numbers != FIELD_MANY)]
        if not len(numbers):
            return numbers, []
        is_there = np.zeros(int(numbers.max()) + 1, bool)
        is_there[numbers] = True
        found = np.flatnonzero(is_there).astype(np.uint32)
        return found, self._owner.atoms(found.data)

    def span_bytes(self, rows: RowNumbers) -> list[SpanBytes]:
        """Spans and what they stand in; the rows ascend."""
        if not len(rows):
            return []
        self._need(SKIP_TIMES | SKIP_VALUES)
        resources = self._heads(RESOURCE_SPANS, self.resource_row[rows])
        scopes = self._heads(SCOPE_SPANS, self.scope_row[rows])
        spans = self._owner.records(SPAN, rows.astype(np.uint32).data)
        return list(map(SpanBytes, resources, scopes, spans))

    def _heads(self, kind: int, rows: RowNumbers) -> Sequence[bytes]:
        """The records of these rows, of which each may come several times, one after the other."""
        is_new = np.concatenate([[True], rows[1:] != rows[:-1]])
        records = self._owner.records(kind, rows[is_new].astype(np.uint32).data)
        return [records[i] for i in np.cumsum(is_new) - 1]
