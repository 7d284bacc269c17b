"""One archive out of many: blocks are copied as they stand, and only what would stay large is compressed anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracezip import _backend, limits
from tracezip._backend import BlockSummary
from tracezip.begin import preset
from tracezip.block import Block, UnzstdStage, read_block
from tracezip.container import BLOCK, Totals, frame_of, read_header
from tracezip.errors import FormatError, TracezipError
from tracezip.index.file import SeekableFile, opened
from tracezip.index.reading import Stream, read_streams
from tracezip.index.units import Unit
from tracezip.index.writing import UnitBlocks
from tracezip.reader import Reader
from tracezip.stream.encoder import StreamEncoder
from tracezip.writer import stream_facts

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

_SMALL_BLOCK_SPANS = limits.BLOCK_SPANS // 4
"""Files whose blocks hold fewer spans are compressed anew: in blocks of the usual size they become much smaller."""


class Merger:
    """Writes the messages of archives one after the other, in their order, as one stream with one index.

    Of what is copied the frames' checksums are verified; it is only decoded where the index knows nothing of it, to sum
    it up. `metadata` is that of the new archive; `level` and `threads` are for what is compressed anew. `dictionary` is
    the one that some archives need to be read; the new one needs none.
    """

    def __init__(
        self,
        level: int,
        metadata: Mapping[str, Any] | None,
        threads: int = 1,
        dictionary: Dictionary | None = None,
    ) -> None:
        self._stream = StreamEncoder(
            level, limits.DEFAULT_DICTIONARY_THRESHOLD, stream_facts(metadata), indexed=True, threads=threads
        )
        self._dictionary = dictionary
        self._summer = _Summer()
        self.n_copied = self.n_recompressed = 0
        """Files."""

    @property
    def header(self) -> bytes:
        return self._stream.header

    def add(self, source: Any) -> Iterator[bytes]:
        """The frames for one archive, which must be whole. Raises as `tracezip.open` and its reader do.

        source: as for `read_units`. After an error the merger is of no use.
        """
        with opened(source) as file:
            streams = _streams_to_copy(file)
            if streams is None:
                self.n_recompressed += 1
                for message in Reader(file.from_start(), dictionary=self._dictionary):
                    yield from self._stream.add(message)
                return
            self.n_copied += 1
            for stream in streams:
                yield from self._copied(file, stream)

    def end(self) -> bytes:
        return self._stream.end()

    def close(self) -> None:
        self._stream.close()

    def _copied(self, file: SeekableFile, stream: Stream) -> Iterator[bytes]:
        n_bytes = 0
        for unit in stream.units:
            frames, n_unit_bytes = _read_unit(file, unit)
            n_bytes += n_unit_bytes
            if unit.summary is None:
                unit = self._summer.summed_up(unit, frames)
            yield self._stream.copy(b"".join(frames), unit, Totals(unit.n_blocks, 0, unit.n_spans, n_unit_bytes))
        if n_bytes != stream.totals.n_bytes:
            raise FormatError("an archive does not hold as many bytes as its end record says: a part is missing")
        self._stream.count_messages(stream.totals.n_messages)


def _streams_to_copy(file: SeekableFile) -> list[Stream] | None:
    """None if the file must be read message by message: because of its small blocks, or to find what is wrong."""
    try:
        streams = read_streams(file)
        headers = [read_header(file.frame(stream.offset)) for stream in streams]
    except TracezipError:
        return None
    n_blocks = sum(stream.totals.n_blocks for stream in streams)
    n_spans = sum(stream.totals.n_spans for stream in streams)
    has_dictionary = any(header.dictionary is not None for header in headers)
    return streams if n_blocks and n_spans >= n_blocks * _SMALL_BLOCK_SPANS and not has_dictionary else None


def _read_unit(file: SeekableFile, unit: Unit) -> tuple[list[bytes], int]:
    """The frames of a unit, whose checksums are right, and the size of their parts."""
    frames, n_spans, n_bytes, at = [], 0, 0, unit.offset
    while at < unit.end:
        frame, whole = file.whole_frame(at)
        if frame.kind != BLOCK:
            raise FormatError(f"there is no block at byte {at}, where the index has one", offset=at)
        header = read_block(frame.body).header
        frames.append(whole)
        n_spans, n_bytes, at = n_spans + header.n_spans, n_bytes + header.n_bytes, at + frame.n_bytes
    if (at, len(frames), n_spans) != (unit.end, unit.n_blocks, unit.n_spans):
        raise FormatError(f"the blocks from byte {unit.offset} on are not those of the index", offset=unit.offset)
    return frames, n_bytes


class _Summer:
    """Sums up units that nothing is known of, which takes decoding them."""

    def __init__(self) -> None:
        self._encoder = _backend.Encoder(preset(), limits.DEFAULT_DICTIONARY_THRESHOLD, limits.MIN_LEVEL)
        self._decoder = _backend.Decoder(preset())
        self._unzstd = UnzstdStage()

    def summed_up(self, unit: Unit, frames: Sequence[bytes]) -> Unit:
        """The unit with its summary, if it can have one. Raises FormatError if it cannot be decoded."""
        blocks = UnitBlocks()
        for frame in frames:
            block = read_block(frame_of(frame).body)
            blocks.add(unit.offset, len(frame), block.header.n_spans, self._summary(block))
        return dataclasses.replace(blocks.unit(), offset=unit.offset)

    def _summary(self, block: Block) -> BlockSummary | None:
        if not block.header.chain:
            self._decoder.reset()
        parts, continues = self._decoder.decode(self._unzstd.sections(block), block.header.n_bytes)
        if block.header.continued or any(continues):
            return None  # parts of messages, which are not messages themselves
        for part in parts:
            self._encoder.add(part)
        summary = self._encoder.summary()
        self._encoder.reset()
        return summary
