"""OTLP messages to the frames of a stream."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import xxhash

from tracezip import _backend, limits
from tracezip.begin import preset
from tracezip.block import BlockHeader, ZstdStage
from tracezip.container import (
    Totals,
    pack_header,
)
from tracezip.errors import (
    InputError,
)
from tracezip.index.units import Unit
from tracezip.lanes import Lanes
from tracezip.layout import Layout
from tracezip.memory import memory_plan
from tracezip.options import checked_option
from tracezip.split import Part, cut, split

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary


class StreamEncoder:
    """Messages in, frames out. `chained`: blocks of a group build on each other. `indexed`: see Layout.

    memory_limit: bytes, or text such as "10MB", that tree, dictionaries and buffers stay below; blocks and restart
    groups are then smaller, and so are their readers.
    """

    def __init__(
        self,
        level: int,
        dictionary_threshold: int,
        facts: Mapping[str, Any] | None = None,
        *,
        chained: bool = False,
        indexed: bool = False,
        for_searches: bool = False,
        threads: int = 1,
        dictionary: Dictionary | None = None,
        memory_limit: int | str | None = None,
    ) -> None:
        level = checked_option("level", level, limits.MIN_LEVEL, limits.MAX_LEVEL)
        threshold = checked_option("dictionary_threshold", dictionary_threshold, 1, limits.MAX_DICTIONARY_THRESHOLD)
        self.header = pack_header(facts or {}, dictionary.id if dictionary else None)
        """The frame that stands before all others."""
        n_threads = checked_option("threads", threads, 1, limits.MAX_THREADS)
        if chained:
            n_threads = 1  # no block can be begun before the one it builds on is done
        self._plan = plan = memory_plan(
            memory_limit, level, chained=chained, n_threads=n_threads, for_searches=for_searches
        )
        self._full = plan.full
        self._lanes = Lanes(
            lambda other: _backend.Encoder(preset(), threshold, level, other, plan.halvings),
            lambda: ZstdStage(level, plan.zstd_input),
            n_threads,
            sums_up=indexed,
        )
        self._layout = Layout(len(self.header), indexed=indexed)
        self._like = dictionary.encoder if dictionary else None
        self._chained, self._indexed = chained, indexed
        self._totals = Totals()
        self._n_parts = 0  # pending, as are the next two
        self._n_bytes = 0
        self._hash = xxhash.xxh3_64()
        self._inside = False  # the next part goes on with a message
        self._block_begins_inside = False
        self._chain = self._n_group_spans = self._n_group_bytes = 0
        if self._like:
            self._encoder.reset(self._like)
            self._check_room_for_dictionary()

    def _check_room_for_dictionary(self) -> None:
        weight = self._encoder.weight
        if self._plan.group_weight is not None and weight > self._plan.group_weight // 2:
            raise InputError(
                f"the dictionary takes {weight} bytes of memory, more than memory_limit leaves it: raise memory_limit, "
                "or do without the dictionary",
                code="argument",
            )

    @property
    def totals(self) -> Totals:
        """Of everything that was added, also of what is not in a block yet."""
        totals = dataclasses.replace(self._totals)
        totals.add(0, 0, self._encoder.n_spans, self._n_bytes)
        return totals

    @property
    def memory(self) -> int:
        """Bytes that tree, dictionaries, columns and buffers hold now."""
        return self._lanes.memory

    def add(self, message: bytes) -> Iterator[bytes]:
        """Takes one message; gives the frames that became full. The iterator must be run to its end."""
        if len(message) > limits.MAX_MESSAGE_BYTES:
            raise InputError(f"a message of {len(message)} bytes, protobuf allows {limits.MAX_MESSAGE_BYTES}: split it")
        if self._add_whole(message):
            if self._is_full():
                yield self._end_block()
        else:
            for part in split(message, self._plan.part):
                yield from self._add_with_room(part)
        self._totals.n_messages += 1

    def flush(self) -> bytes:
        """The frames of all that is pending; nothing if nothing is."""
        return self._end_block() + self._layout.blocks(self._lanes.finish())

    def end(self) -> bytes:
        """The frames of what is pending, and the end record."""
        return self.flush() + self._layout.end(self._totals)

    def copy(self, frames: bytes, unit: Unit, totals: Totals) -> bytes:
        """The frames of what is pending, and of a unit of another archive, whose blocks hold `totals`, as it stands."""
        flushed = self.flush()
        self._totals.add(totals.n_blocks, totals.n_messages, totals.n_spans, totals.n_bytes)
        return flushed + self._layout.copied(frames, unit)

    def count_messages(self, n_messages: int) -> None:
        """So many messages end in what was copied."""
        self._totals.n_messages += n_messages

    def close(self) -> None:
        """Lets the threads go; what was not given out is lost."""
        self._lanes.close()

    def _end_block(self) -> bytes:
        """Ends the block that is filled, if there is anything in it; gives the frames that are ready."""
        if not self._n_parts:
            return b""
        frames = self._layout.blocks(self._lanes.end_block(self._header_of_block()))
        self._n_parts = self._n_bytes = 0
        self._hash.reset()
        self._block_begins_inside = self._inside
        if not self._chained or (self._indexed and self._is_group_full()):
            self._new_group()
        return frames

    @property
    def _encoder(self) -> _backend.BlockEncoder:
        return self._lanes.filled.encoder

    def _add_whole(self, message: bytes) -> bool:
        """Adds a message that needs no room made: nearly all of them, whose spans are counted while they are parsed.

        To count them before takes a tenth of the time that compression takes: the bytes come from far each time.
        """
        n_bytes = len(message)
        if n_bytes > self._plan.part.most or self._overflows_block(n_bytes) or self._overflows_group(n_bytes):
            return False
        return self._add_part(Part(message), self._n_free_spans())

    def _overflows_block(self, n_bytes: int) -> bool:
        return self._n_parts > 0 and self._n_bytes + n_bytes > self._full.n_bytes

    def _overflows_group(self, n_bytes: int) -> bool:
        n_free_bytes = limits.MAX_GROUP_BYTES - self._n_group_bytes - self._n_bytes
        return n_bytes > n_free_bytes or self._chain >= limits.MAX_GROUP_BLOCKS or self._outweighs_group(n_bytes)

    def _outweighs_group(self, n_bytes: int) -> bool:
        """Would the group weigh too much with so many bytes more, as far as that can be known?"""
        if self._plan.group_weight is None or not self._chain:
            return False
        n_expected = self._plan.expected_weight * (self._n_bytes + n_bytes)
        return self._encoder.weight + n_expected > self._plan.group_weight

    def _n_free_spans(self) -> int:
        return limits.MAX_GROUP_SPANS - self._n_group_spans - self._encoder.n_spans

    def _add_with_room(self, part: Part) -> Iterator[bytes]:
        """Adds a part; before it ends the block if the part would not fit into it, and likewise the restart group."""
        if self._overflows_block(part.n_bytes):
            yield self._end_block()
        if self._overflows_group(part.n_bytes) or not self._add_part(part, self._n_free_spans()):
            yield self._end_block()
            self._new_group()
            if not self._add_part(part, sys.maxsize if part.is_counted else limits.MAX_GROUP_SPANS):
                for smaller in cut(part, self._plan.part):
                    yield from self._add_with_room(smaller)
        if self._is_full():
            yield self._end_block()

    def _new_group(self) -> None:
        if self._plan.group_weight is not None:
            self._encoder.trim()
        self._encoder.reset(self._like)
        self._chain = self._n_group_spans = self._n_group_bytes = 0

    def _add_part(self, part: Part, most_spans: int) -> bool:
        """False, and nothing is added, if it has more spans than that."""
        if not self._encoder.add(part.message, part.prefix, part.skip, part.continues, most_spans):
            return False
        self._hash.update(part.prefix)
        self._hash.update(memoryview(part.message)[part.skip :])
        self._n_parts += 1
        self._n_bytes += part.n_bytes
        self._inside = part.continues
        return True

    def _is_full(self) -> bool:
        return (
            self._encoder.n_spans >= self._full.n_spans
            or self._encoder.n_rows >= self._full.n_rows
            or self._n_parts >= limits.MAX_BLOCK_PARTS
        )

    def _is_group_full(self) -> bool:
        """Whether it has as much as one block that was not ended early: to read a trace, all of its group is read."""
        return self._n_group_spans >= self._full.n_spans or self._n_group_bytes >= self._full.n_bytes

    def _header_of_block(self) -> BlockHeader:
        n_spans, checksum = self._encoder.n_spans, self._hash.intdigest() & 0xFFFFFFFF
        header = BlockHeader(self._chain, self._block_begins_inside, self._n_parts, n_spans, self._n_bytes, checksum)
        self._chain += 1
        self._n_group_spans += n_spans
        self._n_group_bytes += self._n_bytes
        self._totals.add(1, 0, n_spans, self._n_bytes)
        return header
