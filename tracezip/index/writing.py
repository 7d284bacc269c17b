"""Makes the index while an archive is written: blocks in, index frames out. FORMAT.md, "Index".

What a unit holds is worked out when the next one begins: an archive of one unit has no index, and needs no numpy.
"""

from __future__ import annotations

from tracezip import limits
from tracezip._backend import BlockSummary
from tracezip.container import INDEX, pack_frame
from tracezip.index.units import Unit


class Indexer:
    """Is told of every block of a stream, in order. Offsets count from the beginning of the stream."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._blocks = _Blocks()
        self._last_index = 0
        """Where the last index frame begins; 0 before there is one."""

    def before_block(self, chain: int, offset: int) -> bytes:
        """An index frame that must stand before the block that comes next, or nothing. chain: see BlockHeader."""
        if chain or self._blocks.n_spans < limits.UNIT_SPANS:
            return b""
        self._end_unit()
        return self._index_frame(offset) if len(self._units) == limits.INDEX_UNITS else b""

    def add_block(self, offset: int, n_bytes: int, n_spans: int, summary: BlockSummary | None) -> None:
        """A block was written there."""
        self._blocks.add(offset, n_bytes, n_spans, summary)

    def end(self, offset: int) -> bytes:
        """The last index frame, if there is one unit that no other tells of, and another one."""
        if self._blocks.n_blocks and (self._units or self._last_index):
            self._end_unit()
        return self._index_frame(offset) if self._units else b""

    def n_back(self, offset: int) -> int:
        """How far before `offset` the last index frame begins; 0 if there is none."""
        return offset - self._last_index if self._last_index else 0

    def _end_unit(self) -> None:
        self._units.append(self._blocks.unit())
        self._blocks = _Blocks()

    def _index_frame(self, offset: int) -> bytes:
        from tracezip.index.frame import pack_index  # it needs numpy

        frame = pack_frame(INDEX, pack_index(self._units, self.n_back(offset)))
        self._units = []
        self._last_index = offset
        return frame


class _Blocks:
    """The blocks of the unit that is being written."""

    def __init__(self) -> None:
        self.n_blocks = self.n_spans = 0
        self._offset = self._n_bytes = 0
        self._is_known = True
        self._summaries: list[tuple[int, BlockSummary]] = []
        """Each with the spans before it."""

    def add(self, offset: int, n_bytes: int, n_spans: int, summary: BlockSummary | None) -> None:
        if not self.n_blocks:
            self._offset = offset
        if summary is None:
            self._is_known = False
        elif n_spans:
            self._summaries.append((self.n_spans, summary))
        self._n_bytes += n_bytes
        self.n_blocks += 1
        self.n_spans += n_spans

    def unit(self) -> Unit:
        from tracezip.index.summing import summary_of  # it needs numpy

        summary = summary_of(self._summaries, self.n_spans, self._n_bytes) if self._is_known else None
        return Unit(self._offset, self._n_bytes, self.n_blocks, self.n_spans, summary)
