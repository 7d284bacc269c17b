"""An archive that can be read in any order: its units, and the chunks of those that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tracezip import _backend
from tracezip.begin import decoder_to_begin_like, preset
from tracezip.block import Block, UnzstdStage, read_block
from tracezip.container import BLOCK, END, HEAD_BYTES, HEADER, OPTIONAL, Frame, read_head, read_header
from tracezip.errors import FormatError, InputError, LimitError, TracezipError, TruncatedError
from tracezip.index import Unit, read_units
from tracezip.index.file import SeekableFile
from tracezip.recover import Damage, resync
from tracezip.scan.chunks import Chunk, Joiner, RowChunk, all_in_rows
from tracezip.scan.rows import EVERYTHING, Rows, Wanted

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

_CONTINUED = 2
ALL = 1 << 62
"""Of the spans of a unit: all that it has."""

_idle: list[_backend.BlockDecoder] = []
"""A decoder that nobody uses, or none: its tables have memory already, which is a tenth of the time a block takes."""


def _taken_decoder() -> _backend.BlockDecoder:
    try:
        decoder = _idle.pop()
    except IndexError:
        return _backend.Decoder(preset())
    return decoder if type(decoder) is _backend.Decoder else _backend.Decoder(preset())


class Archive:
    """What a query reads. `file` must be able to seek; it is left where it was.

    With a list of `damages` what is damaged is passed over and noted there; without, it is an error.
    """

    def __init__(self, file: Any, damages: list[Damage] | None = None, dictionary: Dictionary | None = None) -> None:
        if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
            raise InputError(
                "queries need a file that can seek: give a path, or read the stream into a file first", code="argument"
            )
        self._file = file
        position = file.tell()
        self._pieces = SeekableFile(file)
        file.seek(position)
        self._damages = damages
        self._dictionary = dictionary
        self._decoder = _taken_decoder()
        self._wanted = EVERYTHING
        self._like: _backend.BlockDecoder | None = None
        self._unzstd = UnzstdStage()

    @cached_property
    def units(self) -> Sequence[Unit]:
        """In the order of the file."""
        position = self._file.tell()
        try:
            return read_units(self._pieces)
        finally:
            self._file.seek(position)

    def close(self) -> None:
        """The archive is not used any more; the file stays open."""
        if not _idle:
            _idle.append(self._decoder)

    def again(self) -> Archive:
        """The same archive, for a second query while the first one goes on."""
        other = Archive(self._file, self._damages, self._dictionary)
        other.units, other._pieces = self.units, self._pieces
        return other

    def chunks(self, answer: Callable[[Unit], int | Chunk], wanted_of_blocks: Wanted = EVERYTHING) -> Iterator[Chunk]:
        """The chunks of the units of which spans are wanted: so many of the first ones, `ALL`, or 0 for none; or a
        chunk that need not be read.

        They come in the order of the file. A chunk is good until the next one is asked for. A message that goes on in
        other units is always whole. More than is wanted of blocks can be had, but then they are decoded again.
        """
        self._wanted = wanted_of_blocks
        wanted, likes = [answer(unit) for unit in self.units], self._likes
        joiner = None if self._is_known else Joiner()
        if joiner is not None:
            wanted = self._whole_messages(wanted)
        last = -1
        for i, n in enumerate(wanted):
            if not isinstance(n, int):
                yield n
            elif n:
                if joiner is not None and last != i - 1:
                    joiner.lose()
                last = i
                self._like = likes[i]
                yield from self._unit(self.units[i], n, joiner)

    @cached_property
    def _likes(self) -> list[_backend.BlockDecoder | None]:
        """For each unit, what its restart groups begin like: its stream's header stands in a gap between units.

        What stands in the gaps and should not, and an archive that does not end, is damage.
        """
        likes: list[_backend.BlockDecoder | None] = []
        like, at, kind = None, 0, None
        for stop in (*(unit.offset for unit in self.units), self._pieces.n_bytes):
            for frame in self._frames(at, stop) if at < stop else ():
                kind = kind if frame.kind & OPTIONAL else frame.kind
                if frame.kind == HEADER:
                    like = decoder_to_begin_like(read_header(frame).dictionary, self._dictionary)
            likes.append(like)
            at = self.units[len(likes) - 1].end if len(likes) <= len(self.units) else stop
        if kind != END:
            reason = f"the archive has no end record before byte {at}: it is cut short, or still being written"
            self._note(Damage(at, 0, reason), TruncatedError)
        return likes

    def _frames(self, start: int, stop: int) -> Iterator[Frame]:
        """The whole frames in a stretch of the file where no block should be."""
        at = start
        while at < stop:
            frame = None
            try:
                frame = self._frame(at)
                if frame.kind == BLOCK:
                    raise FormatError(f"the block at byte {at} follows none: a part of the data is missing", offset=at)
            except (FormatError, LimitError) as error:
                at = self._passed_over(at, frame, error)
            else:
                yield frame
                at += frame.n_bytes

    def _frame(self, at: int) -> Frame:
        position = self._file.tell()
        try:
            return self._pieces.frame(at)
        finally:
            self._file.seek(position)

    @cached_property
    def _is_known(self) -> bool:
        """Whether the index knows all units: then all their spans are in rows, and no message needs to be joined."""
        return all(unit.summary is not None for unit in self.units)

    def _whole_messages(self, wanted: list[int | Chunk]) -> list[int | Chunk]:
        """If a message goes on from one unit to the next, they are wanted together."""
        for order in (range(1, len(wanted)), range(len(wanted) - 1, 0, -1)):
            for i in order:
                if (wanted[i] or wanted[i - 1]) and wanted[i - 1 : i + 1] != [ALL, ALL] and self._is_continued(i):
                    wanted[i - 1 : i + 1] = [ALL, ALL]
        return wanted

    def _is_continued(self, i: int) -> bool:
        """Whether a unit begins within a message."""
        head = self._read_at(self.units[i].offset, HEAD_BYTES + 1)
        try:
            kind, n_head, _ = read_head(head[:HEAD_BYTES], self.units[i].offset)
        except FormatError:
            return False  # it is damaged, and will be found to be
        return kind == BLOCK and n_head < len(head) and bool(head[n_head] & _CONTINUED)

    def _read_at(self, offset: int, n_bytes: int) -> bytes:
        position = self._file.tell()
        try:
            self._file.seek(offset)
            return bytes(self._file.read(n_bytes))
        finally:
            self._file.seek(position)

    def _unit(self, unit: Unit, n_wanted: int, joiner: Joiner | None) -> Iterator[Chunk]:
        """The chunks of one unit, or of what can be read of it; without a joiner, rows as they are."""
        at, chain = unit.offset, None
        while n_wanted > 0 and at < unit.end:
            frame = None
            try:
                frame = self._frame(at)
                if frame.kind == BLOCK:
                    block = _block_of(frame)
                    is_alone = joiner is None and unit.n_blocks == 1 and self._damages is None
                    of_block = self._wanted if is_alone else EVERYTHING
                    rows = self._read(frame, block, chain, n_wanted, of_block, joins=joiner is not None)
                    chain = block.header.chain + 1
                    n_wanted -= rows.n_spans
                    if joiner is None:
                        yield RowChunk(rows, 0, rows.n_spans)
                    else:
                        yield from joiner.chunks(self._decoder, rows, continued=block.header.continued)
            except (FormatError, LimitError) as error:
                at = self._passed_over(at, frame, error)
                chain = None
                if joiner is not None:
                    joiner.lose()
            else:
                at += frame.n_bytes

    def _read(
        self, frame: Frame, block: Block, chain: int | None, most_spans: int, wanted: Wanted, *, joins: bool
    ) -> Rows:
        """The rows of a block, up to so many spans."""
        header = block.header
        try:
            if header.chain and header.chain != chain:
                raise FormatError("the block does not follow the one before it: a part of the data is missing")
            if not header.chain:
                self._decoder.reset(self._like)
            rows = self._read_rows(frame, block, ALL if header.chain else most_spans, wanted, joins=joins)
            if rows.n_spans != header.n_spans and rows.n_spans < most_spans:
                raise FormatError(f"the block has {rows.n_spans} spans and not the {header.n_spans} that it says")
        except TracezipError as error:
            raise _placed(error, frame) from None
        return rows

    def _read_rows(self, frame: Frame, block: Block, most_spans: int, wanted: Wanted, *, joins: bool) -> Rows:
        """All rows, if messages of the block have to be joined: they are not to be had of a part of it."""
        sections, n_bytes = self._unzstd.sections(block), block.header.n_bytes

        def need(what: int) -> None:
            """What was skipped is needed after all; of the blocks to come it will be too."""
            if self._decoder.skipped & what:
                self._wanted = self._wanted._replace(skips=self._wanted.skips & ~what)
                left = self._decoder.skipped & ~what
                self._decoder.reset(self._like)
                try:
                    self._decoder.read(sections, n_bytes, most_spans, left)
                except TracezipError as error:
                    raise _placed(error, frame) from None

        self._decoder.read(sections, n_bytes, most_spans, *wanted)
        rows = Rows(self._decoder, need)
        if not joins and not all_in_rows(self._decoder, need):
            raise FormatError("the block has what its index does not know of: the data is damaged, or made to deceive")
        if not joins or rows.n_spans < most_spans or not (any(self._decoder.outline()[1]) or block.header.continued):
            return rows
        self._decoder.reset(self._like)
        self._decoder.read(sections, n_bytes)
        return Rows(self._decoder)

    def _passed_over(self, at: int, frame: Frame | None, error: FormatError | LimitError) -> int:
        """Where to go on behind what is damaged. Raises the error if nothing may be passed over."""
        if self._damages is None:
            raise error
        position = self._file.tell()
        try:
            source = self._pieces.source(at + (1 if frame is None else frame.n_bytes))
            resync(source)
        finally:
            self._file.seek(position)
        self._note(Damage(at, source.offset - at, str(error)), FormatError)
        return source.offset

    def _note(self, damage: Damage, error: type[FormatError]) -> None:
        if self._damages is None:
            raise error(damage.reason, offset=damage.offset)
        if damage not in self._damages:
            self._damages.append(damage)


def _block_of(frame: Frame) -> Block:
    try:
        return read_block(frame.body)
    except TracezipError as error:
        raise _placed(error, frame) from None


def _placed(error: TracezipError, frame: Frame) -> TracezipError:
    """The error, which names the block that it is about."""
    if error.offset is None:
        error.offset = frame.offset
        error.args = (f"the block at byte {frame.offset}: {error}",)
    return error
