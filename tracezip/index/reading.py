"""Finds the units of an archive: from its end, or where that fails by walking over all frames."""

from __future__ import annotations

import io
from typing import Any

from tracezip import limits
from tracezip.container import END, HEAD_BYTES, HEADER, INDEX, MAGIC, MARKER, EndRecord, peek_frame, read_end
from tracezip.errors import FormatError, LimitError, TracezipError
from tracezip.index.file import SeekableFile, opened
from tracezip.index.scanning import scan
from tracezip.index.units import Unit
from tracezip.source import Source

_END_BYTES = HEAD_BYTES + limits.MAX_END_BYTES
"""No end record is longer."""


class _NoIndexError(Exception):
    """The units must be found in another way."""


def read_units(source: Any) -> list[Unit]:
    """The units of an archive, in order: all of its blocks that can be decoded, in whole restart groups.

    source: a path, bytes, or an open file that can seek (of which `seek`, `tell` and `read` are used). Little more than
    the end is read if the archive has an index and is whole. Of what is damaged or cut off nothing is raised: what can
    be found stands in the list. Raises FormatError if nothing can and it does not begin as an archive, InputError if
    the source cannot seek, and OSError as it comes.
    """
    with opened(source) as file:
        try:
            return _from_the_end(file)
        except (_NoIndexError, FormatError, LimitError):
            return _scanned(file)


def scan_units(source: Any) -> list[Unit]:
    """As `read_units`, but by walking over all frames: for a file of which a unit is not where the index says."""
    with opened(source) as file:
        return _scanned(file)


def _scanned(file: SeekableFile) -> list[Unit]:
    units = scan(file, 0, file.n_bytes)
    if not units and file.read(0, len(MAGIC)) != MAGIC:
        raise FormatError("no archive begins at byte 0: the data is damaged, or not tracezip data", offset=0)
    return units


def _from_the_end(file: SeekableFile) -> list[Unit]:
    streams: list[list[Unit]] = []
    end = file.n_bytes
    while end or not streams:
        offset, record = _end_record(file, end)
        end = offset - record.n_stream_bytes
        streams.append(_units_of_stream(file, end, offset, record))
    return [unit for units in reversed(streams) for unit in units]


def _end_record(file: SeekableFile, end: int) -> tuple[int, EndRecord]:
    """The end record that ends there, and where it begins."""
    start = max(0, end - _END_BYTES)
    tail = file.read(start, end - start)
    at = len(tail)
    while (at := tail.rfind(MARKER + bytes([END]), 0, at)) >= 0:
        record = _end_record_in(tail[at:], start + at)
        if record is not None:
            return start + at, record
    raise _NoIndexError


def _end_record_in(data: bytes, offset: int) -> EndRecord | None:
    """The end record that these bytes are, if they are one."""
    try:
        frame = peek_frame(Source(io.BytesIO(data), offset))
        return read_end(frame) if frame is not None and frame.n_bytes == len(data) else None
    except TracezipError:
        return None


def _units_of_stream(file: SeekableFile, start: int, end: int, record: EndRecord) -> list[Unit]:
    """Of a stream that begins at `start` and has its end record at `end`."""
    if start < 0:
        raise _NoIndexError
    kind, first, _, _ = file.head(start)
    if kind != HEADER:
        raise _NoIndexError
    totals = record.totals
    if record.n_back:
        units = _indexed_units(file, first, end, record.n_back)
    elif totals.n_spans < 2 * limits.UNIT_SPANS:
        units = [Unit(first, end - first, totals.n_blocks, totals.n_spans, None)] if totals.n_blocks else []
    else:
        return scan(file, start, end)
    n_blocks, n_spans = sum(unit.n_blocks for unit in units), sum(unit.n_spans for unit in units)
    if (n_blocks, n_spans) != (totals.n_blocks, totals.n_spans) or first > end:
        raise _NoIndexError
    return units


def _indexed_units(file: SeekableFile, first: int, end: int, n_back: int) -> list[Unit]:
    """The units that the index frames of a stream tell of, which must be all that stands from `first` to `end`."""
    from tracezip.index.frame import read_index  # it needs numpy

    found: list[list[Unit]] = []
    at = end
    while n_back:
        at, after = at - n_back, at
        if at < first:
            raise _NoIndexError
        frame = file.frame(at)
        if frame.kind != INDEX:
            raise _NoIndexError
        units, n_back = read_index(frame.body, at)
        begins = found[-1][0].offset if found else after
        if not units or at + frame.n_bytes != begins:
            raise _NoIndexError
        found.append(units)
    if found[-1][0].offset != first:
        raise _NoIndexError
    return [unit for units in reversed(found) for unit in units]
