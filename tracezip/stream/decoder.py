"""The frames of streams to OTLP messages."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

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
    read_end,
    read_header,
)
from tracezip.errors import (
    ChecksumError,
    FormatError,
    LimitError,
    TracezipError,
    TruncatedError,
    UnsupportedError,
)
from tracezip.options import checked_option

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

OUTPUT_LIMIT = "output-limit"
"""The code of the LimitError for more output than the caller allows, which is no damage."""


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
    def memory(self) -> int:
        """Bytes that tree, dictionaries, columns and buffers hold now, and a message that is not whole yet."""
        return self.decoder.memory + sum(map(len, self._unfinished))

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
