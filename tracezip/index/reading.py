"""Finds the units of an archive: from its end, or where that fails by walking over all frames."""

from __future__ import annotations

from typing import Any, NamedTuple

from tracezip import limits
from tracezip.container import END, HEAD_BYTES, HEADER, INDEX, MAGIC, MARKER, EndRecord, Totals, frame_of, read_end
from tracezip.errors import FormatError, LimitError, TracezipError
from tracezip.index.file import SeekableFile, opened
from tracezip.index.frame import read_index
from tracezip.index.scanning import scan
from tracezip.index.units import Unit

_END_BYTES = HEAD_BYTES + limits.MAX_END_BYTES
"""No end record is longer."""


def _no_index() -> FormatError:
    return FormatError("the end of the archive does not say where its blocks are")


def read_units(source: Any) -> list[Unit]:
    """The units of an archive, in order: all of its blocks that can be decoded, in whole restart groups.

    source: a path, bytes, or an open file that can seek (of which `seek`, `tell` and `read` are used). Little more than
    the end is read if the archive has an index and is whole. Of what is damaged or cut off nothing is raised: what can
    be found stands in the list. Raises FormatError if nothing can and it does not begin as an archive, InputError if
    the source cannot seek, and OSError as it comes.
    """
    with opened(source) as file:
        try:
            return [unit for stream in read_streams(file) for unit in stream.units]
        except (FormatError, LimitError):
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


class Stream(NamedTuple):
    """One stream of an archive that is whole."""

    offset: int
    units: list[Unit]
    totals: Totals


def read_streams(file: SeekableFile) -> list[Stream]:
    """The streams of an archive whose end records lead from the end to the beginning. Raises FormatError otherwise."""
    streams: list[Stream] = []
    end = file.n_bytes
    while end or not streams:
        offset, record = _end_record(file, end)
        end = offset - record.n_stream_bytes
        streams.append(Stream(end, _units_of_stream(file, end, offset, record), record.totals))
    return streams[::-1]


def _end_record(file: SeekableFile, end: int) -> tuple[int, EndRecord]:
    """The end record that ends there, and where it begins."""
    start = max(0, end - _END_BYTES)
    tail = file.read(start, end - start)
    at = len(tail)
    while (at := tail.rfind(MARKER + bytes([END]), 0, at)) >= 0:
        record = _end_record_in(tail[at:], start + at)
        if record is not None:
            return start + at, record
    raise _no_index()


def _end_record_in(data: bytes, offset: int) -> EndRecord | None:
    """The end record that these bytes are, if they are one."""
    try:
        frame = frame_of(data, offset)
        return read_end(frame) if frame.n_bytes == len(data) else None
    except TracezipError:
        return None


def _units_of_stream(file: SeekableFile, start: int, end: int, record: EndRecord) -> list[Unit]:
    """Of a stream that begins at `start` and has its end record at `end`."""
    if start < 0:
        raise _no_index()
    kind, first, _, _ = file.head(start)
    if kind != HEADER:
        raise _no_index()
    totals = record.totals
    if record.n_back:
        units = _indexed_units(file, first, end, record.n_back)
    elif totals.n_spans < 2 * limits.UNIT_SPANS:
        units = [Unit(first, end - first, totals.n_blocks, totals.n_spans, None)] if totals.n_blocks else []
    else:
        return scan(file, start, end)
    n_blocks, n_spans = sum(unit.n_blocks for unit in units), sum(unit.n_spans for unit in units)
    if (n_blocks, n_spans) != (totals.n_blocks, totals.n_spans) or first > end:
        raise _no_index()
    return units


def _indexed_units(file: SeekableFile, first: int, end: int, n_back: int) -> list[Unit]:
    """The units that the index frames of a stream tell of, which must be all that stands from `first` to `end`."""
    found: list[list[Unit]] = []
    at = end
    while n_back:
        at, after = at - n_back, at
        if at < first:
            raise _no_index()
        frame = file.frame(at)
        if frame.kind != INDEX:
            raise _no_index()
        units, n_back = read_index(frame.body, at)
        begins = found[-1][0].offset if found else after
        if not units or at + frame.n_bytes != begins:
            raise _no_index()
        found.append(units)
    if found[-1][0].offset != first:
        raise _no_index()
    return [unit for units in reversed(found) for unit in units]
