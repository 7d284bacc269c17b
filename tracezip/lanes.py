"""Blocks that are encoded one after the other, or several at a time. What is written is the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tracezip import _backend
from tracezip.block import BlockHeader, ZstdStage, pack_block
from tracezip.container import BLOCK, pack_frame

if TYPE_CHECKING:
    from concurrent.futures import Future


class Lane:
    """An encoder and its byte stage: what a block goes through until it is a frame. Of one thread at a time."""

    def __init__(self, encoder: _backend.BlockEncoder, level: int) -> None:
        self.encoder = encoder
        self._zstd = ZstdStage(level)

    def frame(self, header: BlockHeader) -> bytes:
        """The frame of what was added to the encoder."""
        return pack_frame(BLOCK, *pack_block(header, self.encoder.encode(), self._zstd))


class Lanes:
    """`n_threads` lanes besides the one that is filled; with one thread, that one alone.

    What is known of generators of ids goes from block to block, and so it is looked at in their order, by the thread
    that fills the blocks. All else that a block needs is its own.
    """

    def __init__(
        self, make_encoder: Callable[[_backend.BlockEncoder | None], _backend.BlockEncoder], level: int, n_threads: int
    ) -> None:
        self._make_encoder = make_encoder
        self._level = level
        self._n_threads = n_threads
        self._busy: deque[tuple[Future[bytes], Lane]] = deque()
        self._idle: list[Lane] = []
        self.filled = Lane(make_encoder(None), level)
        """The lane that the next block goes into."""
        if n_threads > 1:
            from concurrent.futures import ThreadPoolExecutor  # it takes its time to import

            self._pool = ThreadPoolExecutor(n_threads, "tracezip")

    def end_block(self, header: BlockHeader) -> bytes:
        """The frames that are ready: of this block, with one thread; else of earlier ones, and perhaps none."""
        if self._n_threads == 1:
            return self.filled.frame(header)
        lane = self.filled
        lane.encoder.plan_ids()
        self._busy.append((self._pool.submit(lane.frame, header), lane))
        ready = b"".join(self._ready(self._n_threads))
        self.filled = self._idle.pop() if self._idle else Lane(self._make_encoder(lane.encoder), self._level)
        return ready

    def finish(self) -> bytes:
        """Waits for the frames of all blocks that have ended."""
        return b"".join(self._ready(0))

    def close(self) -> None:
        if self._n_threads > 1:
            self._pool.shutdown(cancel_futures=True)

    def _ready(self, n_left: int) -> Iterator[bytes]:
        """Frames in the order of their blocks; waits for them while more than `n_left` are not given out."""
        while self._busy and (len(self._busy) > n_left or self._busy[0][0].done()):
            frame, lane = self._busy.popleft()
            yield frame.result()
            self._idle.append(lane)
