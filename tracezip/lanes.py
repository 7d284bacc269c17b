"""Blocks that are encoded one after the other, or several at a time. What is written is the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from tracezip import _backend
from tracezip.block import BlockHeader, ZstdStage, pack_block
from tracezip.container import BLOCK, pack_frame

if TYPE_CHECKING:
    from concurrent.futures import Future


class WrittenBlock(NamedTuple):
    header: BlockHeader
    frame: bytes
    summary: _backend.BlockSummary | None
    """None also if nobody asked for it."""


class Lane:
    """An encoder and its byte stage: what a block goes through until it is a frame. Of one thread at a time."""

    def __init__(self, encoder: _backend.BlockEncoder, zstd: ZstdStage, *, sums_up: bool) -> None:
        self.encoder = encoder
        self.memory_before = 0
        """What it held, bytes, before a thread took it: only that thread may look at it then."""
        self._zstd = zstd
        self._sums_up = sums_up

    @property
    def memory(self) -> int:
        return self.encoder.memory + self._zstd.memory

    def write(self, header: BlockHeader) -> WrittenBlock:
        """What was added to the encoder, as a frame."""
        summary = self.encoder.summary() if self._sums_up else None
        return WrittenBlock(header, pack_frame(BLOCK, *pack_block(header, self.encoder.encode(), self._zstd)), summary)


class Lanes:
    """`n_threads` lanes besides the one that is filled; with one thread, that one alone.

    What is known of generators of ids goes from block to block, and so it is looked at in their order, by the thread
    that fills the blocks. All else that a block needs is its own.
    """

    def __init__(
        self,
        make_encoder: Callable[[_backend.BlockEncoder | None], _backend.BlockEncoder],
        make_zstd: Callable[[], ZstdStage],
        n_threads: int,
        *,
        sums_up: bool,
    ) -> None:
        self._make_encoder = make_encoder
        self._make_zstd = make_zstd
        self._sums_up = sums_up
        self._n_threads = n_threads
        self._busy: deque[tuple[Future[WrittenBlock], Lane]] = deque()
        self._idle: list[Lane] = []
        self.filled = self._new_lane(None)
        """The lane that the next block goes into."""
        if n_threads > 1:
            from concurrent.futures import ThreadPoolExecutor  # it takes its time to import

            self._pool = ThreadPoolExecutor(n_threads, "tracezip")

    @property
    def memory(self) -> int:
        """Bytes that all lanes hold; those at work, when they were given their block."""
        lanes = [self.filled, *self._idle]
        return sum(lane.memory for lane in lanes) + sum(lane.memory_before for _, lane in self._busy)

    def end_block(self, header: BlockHeader) -> list[WrittenBlock]:
        """The blocks that are ready: this one, with one thread; else earlier ones, and perhaps none."""
        if self._n_threads == 1:
            return [self.filled.write(header)]
        lane = self.filled
        lane.encoder.plan_ids()
        lane.memory_before = lane.memory
        self._busy.append((self._pool.submit(lane.write, header), lane))
        ready = list(self._ready(self._n_threads))
        self.filled = self._idle.pop() if self._idle else self._new_lane(lane.encoder)
        return ready

    def finish(self) -> list[WrittenBlock]:
        """Waits for all blocks that have ended."""
        return list(self._ready(0))

    def _new_lane(self, of_same_stream: _backend.BlockEncoder | None) -> Lane:
        return Lane(self._make_encoder(of_same_stream), self._make_zstd(), sums_up=self._sums_up)

    def close(self) -> None:
        if self._n_threads > 1:
            self._pool.shutdown(cancel_futures=True)

    def _ready(self, n_left: int) -> Iterator[WrittenBlock]:
        """Blocks in their order; waits for them while more than `n_left` are not given out."""
        while self._busy and (len(self._busy) > n_left or self._busy[0][0].done()):
            written, lane = self._busy.popleft()
            yield written.result()
            self._idle.append(lane)
