"""Finding the way back after damage. FORMAT.md, "Recovery"."""

from __future__ import annotations

from typing import NamedTuple

from tracezip.block import read_block
from tracezip.container import BLOCK, END, HEADER, MARKER, Frame, peek_frame
from tracezip.errors import FormatError, LimitError, TracezipError
from tracezip.limits import MAX_FRAME_BYTES, SCAN_EXPANSION
from tracezip.source import Source


class Damage(NamedTuple):
    """A stretch of a file that was passed over."""

    offset: int
    n_bytes: int
    reason: str

    @property
    def end(self) -> int:
        return self.offset + self.n_bytes


def resync(source: Source, kinds: frozenset[int] = frozenset({HEADER, END})) -> None:
    """Goes on to the next frame from which reading can start again, or to the end of the data.

    That is a frame of one of these kinds, or a block that begins a restart group, whose checksum is right.
    """
    n_allowed = MAX_FRAME_BYTES
    while source.skip_to(MARKER):
        offset = source.offset
        try:
            frame = peek_frame(source)
        except (FormatError, LimitError):
            n_allowed -= source.n_ahead
            source.skip(1)
        else:
            if frame is None or _can_start(frame, kinds):
                return
            source.skip(frame.n_bytes)
        n_allowed += (source.offset - offset) * SCAN_EXPANSION
        if n_allowed < 0:
            raise LimitError(f"too many false frames around byte {offset}: the data was made to be slow", offset=offset)


def _can_start(frame: Frame, kinds: frozenset[int]) -> bool:
    if frame.kind != BLOCK:
        return frame.kind in kinds
    try:
        return not read_block(frame.body).header.chain
    except TracezipError:
        return False
