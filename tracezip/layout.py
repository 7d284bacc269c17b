"""How a stream is laid out: when a block is full, where its frames stand, and the index among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from tracezip import limits
from tracezip.container import EndRecord, Totals, pack_end
from tracezip.index.units import Unit
from tracezip.index.writing import Indexer
from tracezip.lanes import WrittenBlock


class FullBlock(NamedTuple):
    """What a block holds when it is written, or at most."""

    n_spans: int
    n_bytes: int
    n_rows: int


def full_block(level: int, *, for_searches: bool = False) -> FullBlock:
    """`for_searches`: less is read for one answer, and the file is a little larger."""
    if for_searches:
        return FullBlock(limits.UNIT_SPANS, limits.BLOCK_BYTES, limits.BLOCK_ROWS)
    if level >= limits.LARGE_BLOCKS_LEVEL:
        return FullBlock(limits.LARGE_BLOCK_SPANS, limits.LARGE_BLOCK_BYTES, limits.LARGE_BLOCK_ROWS)
    return FullBlock(limits.BLOCK_SPANS, limits.BLOCK_BYTES, limits.BLOCK_ROWS)


class Layout:
    """Of a stream whose header has `n_bytes`. `indexed`: it gets an index, if it is large enough for one."""

    def __init__(self, n_bytes: int, *, indexed: bool) -> None:
        self._n_bytes = n_bytes
        self._indexer = Indexer() if indexed else None

    def blocks(self, blocks: Iterable[WrittenBlock]) -> bytes:
        """The frames of blocks, in their order, with index frames where they belong."""
        return b"".join([self._block(block) for block in blocks])

    def copied(self, frames: bytes, unit: Unit) -> bytes:
        """The blocks of a unit that stood elsewhere."""
        if self._indexer is None:
            self._n_bytes += len(frames)
            return frames
        index = self._indexer.before_unit(self._n_bytes)
        self._n_bytes += len(index)
        self._indexer.add_unit(dataclasses.replace(unit, offset=self._n_bytes))
        self._n_bytes += len(frames)
        return index + frames

    def end(self, totals: Totals) -> bytes:
        """What stands behind all blocks."""
        index, n_back = b"", 0
        if self._indexer is not None:
            index = self._indexer.end(self._n_bytes)
            self._n_bytes += len(index)
            n_back = self._indexer.n_back(self._n_bytes)
        return index + pack_end(EndRecord(totals, self._n_bytes, n_back))

    def _block(self, block: WrittenBlock) -> bytes:
        index = b""
        if self._indexer is not None:
            index = self._indexer.before_block(block.header.chain, self._n_bytes)
            self._n_bytes += len(index)
            self._indexer.add_block(self._n_bytes, len(block.frame), block.header.n_spans, block.summary)
        self._n_bytes += len(block.frame)
        return index + block.frame
