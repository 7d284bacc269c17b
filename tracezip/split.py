"""Cuts messages that are too large for a restart group into parts whose concatenation is the message.

A part is `prefix + message[skip:]`. Where a message can be cut between two ResourceSpans, its parts are plain messages.
A ResourceSpans that is too large is cut between its ScopeSpans, a ScopeSpans between its spans: such a part is put into
a wrapper, a small valid message of which `skip` bytes are not emitted; the true bytes that belong there are the prefix.
The wrapper repeats all fields of the ResourceSpans and of the ScopeSpans but their children, so that the part says of
its spans all that the message says of them. What cannot be walked is cut anywhere, as prefixes of empty messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracezip import _backend, limits
from tracezip.varint import pack_varint
from tracezip.walk import SPANS_LEVEL, UNIT, fields

_MAX_CONTEXT_FIELDS = 100
"""Of a ResourceSpans or ScopeSpans; OTLP has two."""


class Part(NamedTuple):
    message: bytes | memoryview
    prefix: bytes = b""
    skip: int = 0
    continues: bool = False
    is_counted: bool = False
    """It has no more spans than a restart group may have. Of other parts nobody knows: most are small, and those that
    are not are seen when they are parsed."""

    @property
    def n_bytes(self) -> int:
        """What it stands for in the OTLP bytes."""
        return len(self.prefix) + len(self.message) - self.skip


class PartSize(NamedTuple):
    """In bytes."""

    most: int
    """A message larger than this is cut, where it can be, into parts of at most this size."""
    most_uncut: int
    """A part that cannot be cut further (one span) may be so large; what is still larger is kept raw."""


def usual_size() -> PartSize:
    """That of a writer without a limit of memory."""
    return PartSize(limits.PART_BYTES, limits.MAX_PART_BYTES)


def split(message: bytes, size: PartSize) -> Iterator[Part]:
    """The parts of a message, at least one; a message that is not too large is one part."""
    if len(message) <= size.most:
        return iter([Part(message)])
    return _joined(_Cutter(message, size).parts(), continues=False)


def cut(part: Part, size: PartSize) -> Iterator[Part]:
    """The parts of a part that has too many spans for a restart group."""
    return _joined(_Cutter(bytes(part.message), size, part.prefix).counted_parts(), continues=part.continues)


def _joined(parts: Iterator[Part], *, continues: bool) -> Iterator[Part]:
    """All but the last one go on in the next."""
    last = next(parts)
    for part in parts:
        yield last._replace(continues=True)
        last = part
    yield last._replace(continues=continues)


class _Cutter:
    """Walks one message, outermost level first. `_prefix` is what has been passed and is not yet in a part."""

    def __init__(self, data: bytes, size: PartSize, prefix: bytes = b"") -> None:
        self._data = data
        self._size = size
        self._prefix = prefix

    def parts(self) -> Iterator[Part]:
        """Runs of ResourceSpans as they are, what is larger than a part cut."""
        view = memoryview(self._data)
        for start, stop in self._runs():
            if stop - start <= self._size.most:
                yield self._part(view[start:stop], 0)._replace(is_counted=False)
            else:
                yield from self._cut(start, stop, ())
        if self._prefix:
            yield self._part(b"", 0)

    def counted_parts(self) -> Iterator[Part]:
        """All cut by what can be walked, so that no part has too many spans."""
        yield from self._cut(0, len(self._data), ())
        if self._prefix:
            yield self._part(b"", 0)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Runs of the message's fields, as large as a part may be; a field that is larger; what cannot be walked."""
        begin = 0
        while (end := _backend.run_end(self._data, begin, self._size.most)) > begin:
            yield begin, end
            begin = end
        if begin < len(self._data):
            yield begin, len(self._data)

    def _cut(self, at: int, stop: int, contexts: tuple[bytes, ...]) -> Iterator[Part]:
        """Cuts what stands between two positions, which is `len(contexts)` levels deep, into regions of whole fields.

        `contexts` are the other fields of what encloses it, from the outside to the inside; for the message itself b"".
        """
        level = len(contexts)
        region = _Region(at, self._size.most)
        others = self._others(at, stop, level)
        if others is None or sum(map(len, contexts)) + sum(b - a for a, b in others) > limits.MAX_CONTEXT_BYTES:
            others, contexts = [], (b"",) * level  # all is repeated, or nothing
        context = b"".join([self._data[a:b] for a, b in others])
        for tag, start, value, end in fields(self._data, at, stop):
            at = end
            n_spans = self._n_spans(value, end, level) if tag == UNIT[level] else 0
            if self._is_too_large(tag, end - start, n_spans, level):
                yield from self._region(region, start, contexts, others)
                yield from self._inside(tag, start, value, end, (*contexts, context))
                region = _Region(end, self._size.most)
            elif region.would_overflow(end, n_spans):
                yield from self._region(region, start, contexts, others)
                region = _Region(start, self._size.most)
            region.n_spans += 0 if region.start == end else n_spans
        yield from self._region(region, at, contexts, others)
        yield from self._raw(at, stop)

    def _others(self, at: int, stop: int, level: int) -> list[tuple[int, int]] | None:
        """Start and end of each field that is no child; none in the message itself, None if there are too many."""
        if not level:
            return []
        found = _backend.other_fields(memoryview(self._data)[at:stop], UNIT[level], _MAX_CONTEXT_FIELDS)
        return None if found is None else [(at + start, at + end) for start, end in found]

    def _n_spans(self, value: int, end: int, level: int) -> int:
        if level == SPANS_LEVEL:
            return 1
        return _backend.count_spans(memoryview(self._data)[value:end], level + 1)

    def _is_too_large(self, tag: int, n_bytes: int, n_spans: int, level: int) -> bool:
        can_be_cut = tag == UNIT[level] and level < SPANS_LEVEL
        limit = self._size.most if can_be_cut else self._size.most_uncut
        return n_bytes > limit or n_spans > limits.MAX_GROUP_SPANS

    def _inside(self, tag: int, start: int, value: int, end: int, contexts: tuple[bytes, ...]) -> Iterator[Part]:
        if tag == UNIT[len(contexts) - 1] and len(contexts) <= SPANS_LEVEL:
            self._prefix += self._data[start:value]
            yield from self._cut(value, end, contexts)
        else:
            yield from self._raw(start, end)

    def _region(
        self, region: _Region, end: int, contexts: tuple[bytes, ...], others: list[tuple[int, int]]
    ) -> Iterator[Part]:
        """The part for the fields of a region, in the wrapper that its level needs; `others` are those around it."""
        if end == region.start:
            return
        content = self._data[region.start : end]
        around = b"".join([self._data[a:b] for a, b in others if not region.start <= a < end])
        before = [*contexts[1:], around][: len(contexts)]
        message = content
        for level in range(len(contexts), 0, -1):
            message = before[level - 1] + message
            message = pack_varint(UNIT[level - 1]) + pack_varint(len(message)) + message
        yield self._part(message, len(message) - len(content))

    def _raw(self, start: int, stop: int) -> Iterator[Part]:
        for at in range(start, stop, self._size.most):
            self._prefix += self._data[at : min(at + self._size.most, stop)]
            yield self._part(b"", 0)

    def _part(self, message: bytes | memoryview, skip: int) -> Part:
        prefix, self._prefix = self._prefix, b""
        return Part(message, prefix, skip, is_counted=True)


class _Region:
    """Neighbouring fields that go into one part."""

    def __init__(self, start: int, most: int) -> None:
        self.start = start
        self._most = most
        self.n_spans = 0

    def would_overflow(self, end: int, n_spans: int) -> bool:
        return end - self.start > self._most or self.n_spans + n_spans > limits.MAX_GROUP_SPANS
