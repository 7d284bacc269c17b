"""Finds units without an end record: walks over the heads of frames, and past what is damaged."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from tracezip import limits
from tracezip.block import read_block_header
from tracezip.container import BLOCK, END, HEADER, INDEX, OPTIONAL
from tracezip.errors import FormatError, LimitError, TracezipError
from tracezip.index.file import SeekableFile
from tracezip.index.frame import read_index
from tracezip.index.units import Unit
from tracezip.recover import resync

_BLOCK_HEADER_BYTES = 64
"""No block header is longer, up to its sections."""


_STARTS = frozenset({HEADER, INDEX, END})


class _Group(NamedTuple):
    """A restart group, or what is left of it."""

    offset: int
    end: int
    n_blocks: int
    n_spans: int


def scan(file: SeekableFile, start: int, end: int) -> list[Unit]:
    """The units between two offsets, whatever else stands there. Index frames are used where they fit.

    Raises LimitError for data that was made to be slow.
    """
    scanner = _Scanner(file)
    at = before = start
    while at < end:
        try:
            at, before = scanner.frame(at), at
        except (FormatError, LimitError):
            scanner.lose()
            if before != at and not _is_whole(file, before):
                scanner.take_back(before)  # its length, which led here, may be what is damaged
                at = before
            at = before = _next_start(file, at)
    scanner.finish()
    return scanner.units


def _is_whole(file: SeekableFile, at: int) -> bool:
    try:
        file.frame(at)
    except (FormatError, LimitError):
        return False
    return True


def _next_start(file: SeekableFile, at: int) -> int:
    """Where reading can start again behind the frame that is not at `at`."""
    source = file.source(at + 1)
    resync(source, _STARTS)
    return source.offset


class _Scanner:
    def __init__(self, file: SeekableFile) -> None:
        self._file = file
        self.units: list[Unit] = []
        self._groups: list[_Group] = []
        """Since the stream began, or since its last index frame."""
        self._next_chain = 0
        """Of a block that goes on with the last group; 0 if none can."""
        self._before: list[_Group] = []
        """What the last group was before its last block came: nothing if that is its first."""
        self._at = -1
        """Where that block begins."""

    def frame(self, at: int) -> int:
        """Takes the frame there; returns where it ends. Raises as read_head."""
        kind, end, n_head, data = self._file.head(at, _BLOCK_HEADER_BYTES)
        if end > self._file.n_bytes:
            raise FormatError("the frame is cut off")
        if kind == BLOCK:
            self._block(at, end, memoryview(data)[n_head : end - at])
        elif kind == INDEX:
            self._index(at)
        elif not kind & OPTIONAL:
            self.finish()
        return end

    def take_back(self, at: int) -> None:
        """The last frame, which is there, was not what it seemed to be."""
        if self._groups and at == self._at:
            self._groups[-1:] = self._before

    def lose(self) -> None:
        """Something was passed over: no block goes on with the ones before."""
        self._next_chain = 0

    def finish(self) -> None:
        """A stream ends here."""
        self.lose()
        self.units += _units(self._groups)
        self._groups = []

    def _block(self, at: int, end: int, body: memoryview) -> None:
        try:
            header, _ = read_block_header(body)
        except TracezipError:
            self.lose()
            return
        if not header.chain:
            self._before = []
            self._groups.append(_Group(at, end, 1, header.n_spans))
        elif header.chain == self._next_chain:
            last = self._groups[-1]
            self._before = [last]
            self._groups[-1] = _Group(last.offset, end, last.n_blocks + 1, last.n_spans + header.n_spans)
        else:
            self.lose()
            return
        self._at, self._next_chain = at, header.chain + 1

    def _index(self, at: int) -> None:
        try:
            indexed, _ = read_index(self._file.frame(at).body, at)
        except (FormatError, LimitError):
            indexed = []
        self.units += _matched(indexed, self._groups)
        self._groups = []
        self.lose()


def _units(groups: list[_Group]) -> list[Unit]:
    """Units that nothing is known of: groups that touch each other, as many as the index would look at together."""
    units: list[Unit] = []
    for group in groups:
        last = units[-1] if units else None
        if last is not None and last.end == group.offset and last.n_spans < limits.UNIT_SPANS:
            last.n_bytes = group.end - last.offset
            last.n_blocks += group.n_blocks
            last.n_spans += group.n_spans
        else:
            units.append(Unit(group.offset, group.end - group.offset, group.n_blocks, group.n_spans, None))
    return units


def _matched(indexed: list[Unit], groups: list[_Group]) -> list[Unit]:
    """The units of an index where they are what was found, and else what was found."""
    known = {unit.offset: unit for unit in indexed}
    units: list[Unit] = []
    rest: list[_Group] = []
    at = 0
    while at < len(groups):
        unit = known.get(groups[at].offset)
        n_groups = _n_groups(unit, groups, at) if unit is not None else 0
        if unit is not None and n_groups:
            units += [*_units(rest), unit]
            rest = []
        else:
            rest.append(groups[at])
        at += n_groups or 1
    return units + _units(rest)


def _n_groups(unit: Unit, groups: list[_Group], at: int) -> int:
    """How many groups from `at` on are this unit; 0 if they are not."""
    end, n_blocks, n_spans = unit.offset, 0, 0
    for n, group in enumerate(itertools.islice(groups, at, None), 1):
        if group.offset != end or group.end > unit.end:
            return 0
        end, n_blocks, n_spans = group.end, n_blocks + group.n_blocks, n_spans + group.n_spans
        if end == unit.end:
            return n if (n_blocks, n_spans) == (unit.n_blocks, unit.n_spans) else 0
    return 0
