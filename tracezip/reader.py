"""Reading archives: the messages of a file, one after the other."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tracezip.container import Frame, peek_frame
from tracezip.errors import FormatError, LimitError
from tracezip.guard import Guard
from tracezip.queryable import Queryable
from tracezip.recover import Damage, resync
from tracezip.source import Source, is_path
from tracezip.stream.decoder import OUTPUT_LIMIT, StreamDecoder

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary


class Reader(Queryable, Iterator[bytes]):
    """The OTLP messages of an archive, in order; what `tracezip.open` returns for reading.

    At damage, or where the archive is cut short, every message that is whole before it has been given before the error
    is raised. With `skip_damage` reading goes on behind it instead, and `damages` says what is missing. Memory holds
    one block and one message. A file that was opened by name is closed by `close` or the with-statement; without
    queries, also at the end of the messages.
    """

    def __init__(
        self,
        file: Any,
        *,
        max_output_size: int | None = None,
        skip_damage: bool = False,
        dictionary: Dictionary | None = None,
    ) -> None:
        self._guard = Guard("reader")
        self._decoder = StreamDecoder(max_output_size, dictionary=dictionary)
        self._file: io.BufferedReader | None = None
        self.damages: list[Damage] = []
        """What was passed over, with `skip_damage`."""
        self._skips_damage = skip_damage
        self._messages: deque[bytes] = deque()
        self._at_end = False
        self._given, self._dictionary = file, dictionary
        if is_path(file):
            file = self._file = open(os.fspath(file), "rb")  # noqa: SIM115  (closed with the reader)
        try:
            self._source = Source(file)
            self._advance()  # the header, so that a file that is none is refused here
        except BaseException:
            self._close_file()
            raise

    @property
    def metadata(self) -> dict[str, Any]:
        """What the writer of the first stream was given as metadata."""
        return self._decoder.fact("metadata")

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        if self._at_end and not self._messages and not self._guard.is_over:
            raise StopIteration
        with self._guard:
            message = self._next_message()
        if message is None:
            raise StopIteration
        return message

    def close(self) -> None:
        """Ends the reading; again is no error. A file object of the caller stays open."""
        self._guard.end()
        self._close_file()
        self._close_archive()

    def _turn(self) -> AbstractContextManager[None]:
        return self._guard.turn()

    def _queried(self) -> tuple[Any, list[Damage] | None, Dictionary | None]:
        return self._given, self.damages if self._skips_damage else None, self._dictionary

    def _next_message(self) -> bytes | None:
        try:
            while not self._messages:
                if self._at_end:
                    return None
                self._advance()
        except BaseException:
            self._close_file()
            raise
        return self._messages.popleft()

    def _advance(self) -> None:
        """Reads one frame, or passes over what stands where one should be."""
        offset, frame = self._source.offset, None
        try:
            frame = peek_frame(self._source)
            if frame is None:
                self._finish()
                return
            self._messages.extend(self._decoder.feed(frame))
        except (FormatError, LimitError) as error:
            if not self._skips_damage or error.code == OUTPUT_LIMIT:
                raise
            self._pass_over(offset, frame, error)
        else:
            self._source.skip(frame.n_bytes)

    def _finish(self) -> None:
        self._at_end = True
        self._decoder.finish(self._source.offset)
        self._close_file()

    def _pass_over(self, offset: int, frame: Frame | None, error: FormatError | LimitError) -> None:
        self._decoder.recover()
        if frame is None:
            self._source.skip(1)
        elif not self._decoder.frame_may_be_good:
            self._source.skip(frame.n_bytes)
        resync(self._source)
        n_bytes = self._source.offset - offset
        if n_bytes or not self.damages or self.damages[-1].end != offset:  # else it is the end of the last one
            self.damages.append(Damage(offset, n_bytes, str(error)))
        if self._at_end:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
