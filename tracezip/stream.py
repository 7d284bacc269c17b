"""One stream: OTLP messages to frames and back. Knows nothing of files. FORMAT.md, "Streams"."""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import xxhash

from tracezip import _backend, limits
from tracezip.begin import decoder_to_begin_like, preset
from tracezip.block import SECTIONS, Block, BlockHeader, UnzstdStage, read_block
from tracezip.container import (
    BLOCK,
    END,
    HEADER,
    OPTIONAL,
    Frame,
    Totals,
    checksum_of,
    pack_header,
    read_end,
    read_header,
)
from tracezip.errors import (
    ChecksumError,
    FormatError,
    InputError,
    LimitError,
    TracezipError,
    TruncatedError,
    UnsupportedError,
)
from tracezip.index.units import Unit
from tracezip.lanes import Lanes
from tracezip.layout import Layout, full_block
from tracezip.split import Part, cut, split

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

OUTPUT_LIMIT = "output-limit"
"""The code of the LimitError for more output than the caller allows, which is no damage."""


def checked_option(name: str, value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`; raises InputError for anything else."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{name} must be a whole number, not a {type(value).__name__}", code="argument") from None
    if not low <= number <= high:
        raise InputError(f"{name} must be from {low} to {high}, not {number}", code="argument")
    return number


class StreamEncoder:
    """Messages in, frames out. `chained`: blocks of a group build on each other. `indexed`: see Layout."""

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
    ) -> None:
        level = checked_option("level", level, limits.MIN_LEVEL, limits.MAX_LEVEL)
        threshold = checked_option("dictionary_threshold", dictionary_threshold, 1, limits.MAX_DICTIONARY_THRESHOLD)
        self.header = pack_header(facts or {}, dictionary.id if dictionary else None)
        """The frame that stands before all others."""
        n_threads = checked_option("threads", threads, 1, limits.MAX_THREADS)
        self._full = full_block(level, for_searches=for_searches)
        self._lanes = Lanes(
            lambda other: _backend.Encoder(preset(), threshold, level, other), level, n_threads, sums_up=indexed
        )
        self._layout = Layout(len(self.header), indexed=indexed)
        self._like = dictionary.encoder if dictionary else None
        self._chained = chained
        self._totals = Totals()
        self._n_parts = 0  # pending, as are the next two
        self._n_bytes = 0
        self._hash = xxhash.xxh3_64()
        self._inside = False  # the next part goes on with a message
        self._block_begins_inside = False
        self._new_group()

    @property
    def totals(self) -> Totals:
        """Of everything that was added, also of what is not in a block yet."""
        totals = dataclasses.replace(self._totals)
        totals.add(0, 0, self._encoder.n_spans, self._n_bytes)
        return totals

    def add(self, message: bytes) -> Iterator[bytes]:
        """Takes one message; gives the frames that became full. The iterator must be run to its end."""
        if len(message) > limits.MAX_MESSAGE_BYTES:
            raise InputError(f"a message of {len(message)} bytes, protobuf allows {limits.MAX_MESSAGE_BYTES}: split it")
        if self._add_whole(message):
            if self._is_full():
                yield self._end_block()
        else:
            for part in split(message):
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
        if not self._chained:
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
        if n_bytes > limits.PART_BYTES or self._overflows_block(n_bytes) or self._overflows_group(n_bytes):
            return False
        return self._add_part(Part(message), self._n_free_spans())

    def _overflows_block(self, n_bytes: int) -> bool:
        return self._n_parts > 0 and self._n_bytes + n_bytes > self._full.n_bytes

    def _overflows_group(self, n_bytes: int) -> bool:
        n_free_bytes = limits.MAX_GROUP_BYTES - self._n_group_bytes - self._n_bytes
        return n_bytes > n_free_bytes or self._chain >= limits.MAX_GROUP_BLOCKS

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
                for smaller in cut(part):
                    yield from self._add_with_room(smaller)
        if self._is_full():
            yield self._end_block()

    def _new_group(self) -> None:
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

    def _header_of_block(self) -> BlockHeader:
        n_spans, checksum = self._encoder.n_spans, self._hash.intdigest() & 0xFFFFFFFF
        header = BlockHeader(self._chain, self._block_begins_inside, self._n_parts, n_spans, self._n_bytes, checksum)
        self._chain += 1
        self._n_group_spans += n_spans
        self._n_group_bytes += self._n_bytes
        self._totals.add(1, 0, n_spans, self._n_bytes)
        return header


class StreamDecoder:
    """Frames in, messages out: any number of streams, one after the other."""

    def __init__(
        self, max_output_size: int | None, *, counts_traces: bool = False, dictionary: Dictionary | None = None
    ) -> None:
        if max_output_size is not None:
            checked_option("max_output_size", max_output_size, 0, sys.maxsize)
        self._max_output_bytes = max_output_size
        self._n_output_before = 0
        self._counts_traces = counts_traces
        self.decoder = _backend.Decoder(preset())
        self._dictionary = dictionary
        self._like: _backend.BlockDecoder | None = None  # what the restart groups of the stream at hand begin like
        self._unzstd = UnzstdStage()
        self.facts: dict[str, Any] | None = None
        """What the header of the first stream says; None before it is read."""
        self.frame_may_be_good = False
        """The error was about what stands before the frame: after `recover` it is worth feeding again."""
        self.n_streams = 0
        self.n_groups = 0
        self.n_traces = 0
        """Summed over restart groups: a trace that is in two counts twice. Only if `counts_traces`."""
        self.section_bytes: Counter[str] = Counter()
        self.totals = Totals()
        """Of all streams."""
        self._in_stream = False
        self._stream = Totals()  # of the stream at hand, to be compared with its end record
        self._is_damaged = False  # something of the stream at hand was passed over
        self._chain: int | None = None  # of the block that must come next, None: it must begin a restart group
        self._n_group_spans = self._n_group_bytes = self._n_group_traces = 0
        self._unfinished: list[bytes] = []  # a message that goes on, or nothing
        self._may_be_rest = False

    def fact(self, name: str) -> dict[str, Any]:
        """A map in the header of the first stream; an empty one if it is not there."""
        fact = (self.facts or {}).get(name)
        return fact if isinstance(fact, dict) else {}

    def feed(self, frame: Frame) -> list[bytes]:
        """The messages that became whole. Raises TracezipError with the offset of the frame."""
        self.frame_may_be_good = False
        try:
            return self._feed(frame)
        except MemoryError:
            raise LimitError(f"not enough memory for the block at byte {frame.offset}", offset=frame.offset) from None
        except TracezipError as error:
            if error.offset is None:
                error.offset = frame.offset
                error.args = (f"the frame at byte {frame.offset}: {error}",)
            raise

    def begin_output(self) -> None:
        """The output limit counts from here."""
        self._n_output_before = self.totals.n_bytes

    @property
    def is_inside_message(self) -> bool:
        return bool(self._unfinished)

    def finish(self, offset: int) -> None:
        """The input ends here: raises TruncatedError if a stream does not."""
        if not offset:
            raise TruncatedError(
                "there is no data at all: even an archive without messages has a header and an end", offset=0
            )
        if self._in_stream:
            raise self._no_end(offset)

    def recover(self) -> None:
        """Something was passed over: goes on at the next restart group, without what is missing."""
        self._chain = None
        self._is_damaged = self._may_be_rest = True
        self._unfinished = []

    def _feed(self, frame: Frame) -> list[bytes]:
        if frame.kind == HEADER:
            self._begin(frame)
        elif frame.kind not in (BLOCK, END) and not frame.kind & OPTIONAL:
            raise UnsupportedError(f"the part of kind {frame.kind:#04x} is new to this tracezip: upgrade tracezip")
        elif not self._in_stream and not self._is_damaged and not (frame.kind & OPTIONAL and self.n_streams):
            self.frame_may_be_good = True
            raise FormatError(f"no stream begins at byte {frame.offset}: a part of the data is missing")
        elif frame.kind == BLOCK:
            return self._block(frame)
        elif frame.kind == END:
            self._end(frame)
        return []

    def _begin(self, frame: Frame) -> None:
        if self._in_stream and not self._is_damaged:
            self._in_stream = False
            self.frame_may_be_good = True
            raise self._no_end(frame.offset)
        header = read_header(frame)
        self._like = decoder_to_begin_like(header.dictionary, self._dictionary)
        if self.facts is None:
            self.facts = header.facts
        self.n_streams += 1
        self._in_stream = True
        self._is_damaged = self._may_be_rest = False
        self._stream = Totals()
        self._chain = None

    def _no_end(self, offset: int) -> TruncatedError:
        return TruncatedError(
            f"the stream has no end record before byte {offset}: it is cut short, or still being written; "
            "everything before that was read",
            offset=offset,
        )

    def _end(self, frame: Frame) -> None:
        stated = read_end(frame).totals
        if not self._is_damaged and (stated != self._stream or self._unfinished):
            raise FormatError(f"the stream should have {stated}, but has {self._stream}: a part of it is missing")
        self._in_stream = self._is_damaged = False

    def _block(self, frame: Frame) -> list[bytes]:
        block = read_block(frame.body)
        header = block.header
        self._check_place(header)
        self._check_output(header.n_bytes)
        if not header.chain:
            self.decoder.reset(self._like)
        n_begun = sum(map(len, self._unfinished))
        is_rest = header.continued and not self._unfinished
        messages, n_parts, goes_on = self.decoder.decode_messages(
            self._unzstd.sections(block), header.n_bytes, self._unfinished
        )
        if n_parts != header.n_parts:
            raise FormatError(f"the block has {n_parts} parts and not the {header.n_parts} that it says")
        n_spans = self.decoder.statistics()["spans"]
        if n_spans != header.n_spans:
            raise FormatError(f"the block has {n_spans} spans and not the {header.n_spans} that it says")
        if checksum_of(memoryview(messages[0])[n_begun:], *messages[1:]) != header.checksum:
            raise ChecksumError("the decoded block does not match its checksum: the data is damaged")
        self._in_stream = True
        self._keep_unfinished(messages, is_rest=is_rest, goes_on=goes_on)
        self._count(block, len(messages))
        return messages

    def _check_place(self, header: BlockHeader) -> None:
        if header.chain and header.chain != self._chain:
            raise FormatError("the block does not follow the one before it: a part of the data is missing")
        if header.continued != bool(self._unfinished) and not (self._may_be_rest and header.continued):
            raise FormatError("the block does not go on where the one before it ends: a part of the data is missing")
        if not header.chain:
            self._n_group_spans = self._n_group_bytes = self._n_group_traces = 0
        self._n_group_spans += header.n_spans
        self._n_group_bytes += header.n_bytes
        over = self._n_group_spans > limits.MAX_GROUP_SPANS or self._n_group_bytes > limits.MAX_GROUP_BYTES
        if over or header.chain >= limits.MAX_GROUP_BLOCKS:
            raise LimitError("the restart group is larger than the format allows")

    def _check_output(self, n_bytes: int) -> None:
        n_output = self.totals.n_bytes - self._n_output_before + n_bytes
        if self._max_output_bytes is not None and n_output > self._max_output_bytes:
            raise LimitError(
                f"the output is more than {self._max_output_bytes} bytes: raise max_output_size if you trust the data",
                code=OUTPUT_LIMIT,
            )

    def _keep_unfinished(self, messages: list[bytes], *, is_rest: bool, goes_on: bool) -> None:
        """Leaves the messages that end in this block. Of one whose beginning was passed over, the rest is dropped."""
        if is_rest:
            del messages[0]
        if any(len(message) > limits.MAX_MESSAGE_BYTES for message in messages):
            raise LimitError(f"a message is larger than {limits.MAX_MESSAGE_BYTES} bytes, the limit of protobuf")
        self._may_be_rest = is_rest and goes_on and not messages
        self._unfinished = [messages.pop()] if goes_on and messages else []

    def _count(self, block: Block, n_messages: int) -> None:
        header = block.header
        self._chain = header.chain + 1
        self.n_groups += not header.chain
        for totals in (self.totals, self._stream):
            totals.add(1, n_messages, header.n_spans, header.n_bytes)
        for name, data in zip(SECTIONS, block.stored, strict=False):
            self.section_bytes[name] += len(data)
        if self._counts_traces:
            n_traces = self.decoder.statistics()["traces"]
            self.n_traces += n_traces - self._n_group_traces
            self._n_group_traces = n_traces
