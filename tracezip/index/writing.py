"""Makes the index while an archive is written: blocks in, index frames out. FORMAT.md, "Index".

What a unit holds is worked out when the next one begins: an archive of one unit has no index.
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
        self._blocks = UnitBlocks()
        self._last_index = 0
        """Where the last index frame begins; 0 before there is one."""

    def before_block(self, chain: int, offset: int) -> bytes:
        """An index frame that must stand before the block that comes next, or nothing. chain: see BlockHeader."""
        return b"" if chain or self._blocks.n_spans < limits.UNIT_SPANS else self.before_unit(offset)

    def before_unit(self, offset: int) -> bytes:
        """As `before_block`, before blocks that begin a new unit."""
        self._end_unit()
        return self._index_frame(offset) if len(self._units) >= limits.INDEX_UNITS else b""

    def add_block(self, offset: int, n_bytes: int, n_spans: int, summary: BlockSummary | None) -> None:
        """A block was written there."""
        self._blocks.add(offset, n_bytes, n_spans, summary)

    def add_unit(self, unit: Unit) -> None:
        """The blocks of a unit were written that is known already."""
        self._units.append(unit)

    def end(self, offset: int) -> bytes:
        """The last index frame, if it is not the only one and of one unit only."""
        n_units = len(self._units) + bool(self._blocks.n_blocks)
        if n_units == 0 or (n_units == 1 and not self._last_index):
            return b""
        self._end_unit()
        return self._index_frame(offset)

    def n_back(self, offset: int) -> int:
        """How far before `offset` the last index frame begins; 0 if there is none."""
        return offset - self._last_index if self._last_index else 0

    def _end_unit(self) -> None:
        if not self._blocks.n_blocks:
            return
        self._units.append(self._blocks.unit())
        self._blocks = UnitBlocks()

    def _index_frame(self, offset: int) -> bytes:
        from tracezip.index.frame import pack_index  # only large archives need it

        frame = pack_frame(INDEX, pack_index(self._units, self.n_back(offset)))
        self._units = []
        self._last_index = offset
        return frame


class UnitBlocks:
    """The blocks of a unit, one after the other."""

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
        from tracezip.index.summing import summary_of  # likewise

        summary = summary_of(self._summaries, self.n_spans, self._n_bytes) if self._is_known else None
        return Unit(self._offset, self._n_bytes, self.n_blocks, self.n_spans, summary)
