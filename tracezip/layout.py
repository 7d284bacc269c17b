"""Lays the frames of a stream one after the other, the index among them, and knows where they stand."""

from __future__ import annotations

from collections.abc import Iterable

from tracezip.container import EndRecord, Totals, pack_end
from tracezip.index.writing import Indexer
from tracezip.lanes import WrittenBlock


class Layout:
    """Of a stream whose header has `n_bytes`. `indexed`: it gets an index, if it is large enough for one."""

    def __init__(self, n_bytes: int, *, indexed: bool) -> None:
        self._n_bytes = n_bytes
        self._indexer = Indexer() if indexed else None

    def blocks(self, blocks: Iterable[WrittenBlock]) -> bytes:
        """The frames of blocks, in their order, with index frames where they belong."""
        return b"".join([self._block(block) for block in blocks])

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
