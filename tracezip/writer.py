"""Writing archives: messages into a file, in blocks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

import zstandard

from tracezip import __version__
from tracezip.convert import to_otlp
from tracezip.errors import InputError, TracezipError
from tracezip.guard import Guard
from tracezip.sink import Sink
from tracezip.stream.encoder import StreamEncoder

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary


class Writer:
    """Writes one stream; what `tracezip.open` returns for writing. Use it in a with-statement, or close it.

    Memory holds one block (limits.py, BLOCK_SPANS and BLOCK_BYTES; LARGE_ from level 7 on), and with `threads` up to
    threads + 1 of them. Each block is a restart group of its own; with `chained` blocks build on those before them, as
    far as a group goes, so that small ones, flushed one by one, cost less.
    After an error in writing the file is closed, ends at a whole block where that is possible, and the writer is dead.
    """

    def __init__(
        self,
        file: Any,
        mode: str,
        *,
        level: int,
        dictionary_threshold: int,
        metadata: Mapping[str, Any] | None,
        threads: int = 1,
        dictionary: Dictionary | None = None,
        for_searches: bool = False,
        chained: bool = False,
        memory_limit: int | str | None = None,
    ) -> None:
        self._sink: Sink | None = None
        self._guard = Guard("writer")
        self._stream = StreamEncoder(
            level,
            dictionary_threshold,
            stream_facts(metadata),
            indexed=True,
            for_searches=for_searches,
            chained=chained,
            threads=threads,
            dictionary=dictionary,
            memory_limit=memory_limit,
        )
        self._sink = Sink(file, mode)
        self._header = self._stream.header  # written with the first frame: an unused writer leaves an archive as it is

    def write(self, trace: Any) -> None:
        """Adds one OTLP message: a trace in any form that `compress` takes.

        Raises InputError, after which the writer goes on as if nothing was given, if it is none. An error of the file
        is raised as it is.
        """
        message = to_otlp(trace)
        with self._guard:
            self._write(self._stream.add(message))

    def flush(self) -> None:
        """Writes all that is pending as a block: everything up to here can be read from now on, whatever happens."""
        with self._guard:
            self._write([self._stream.flush()], header=True)
            self._file.flush()

    def close(self) -> None:
        """Writes what is pending and the end record. A file that was opened by name is closed; again is no error.

        A writer that is dead, or belongs to the process this one was forked from, writes nothing.
        """
        self._finish(complete=True)

    @property
    def stats(self) -> dict[str, int]:
        """messages, spans, raw_bytes (OTLP) given so far; blocks and compressed_bytes written so far."""
        totals = self._stream.totals
        return {
            "messages": totals.n_messages,
            "spans": totals.n_spans,
            "raw_bytes": totals.n_bytes,
            "blocks": totals.n_blocks,
            "compressed_bytes": self._file.n_bytes,
        }

    @property
    def n_bytes(self) -> int:
        """Written so far."""
        return self._file.n_bytes

    @property
    def _file(self) -> Sink:
        assert self._sink is not None
        return self._sink

    def _write(self, frames: Iterable[bytes], *, header: bool = False) -> None:
        try:
            for frame in frames:
                if frame or header:
                    self._file.write(self._header + frame)
                    self._header = b""
        except BaseException:
            self._let_go()
            raise

    def _finish(self, *, complete: bool) -> None:
        if self._guard.is_foreign:
            self._file.close()
            return
        if self._guard.is_over:
            self._let_go()
            return
        with self._guard:
            try:
                self._write_end(complete)
                self._file.flush()
            finally:
                self._guard.end()
                self._stream.close()
                self._file.close()

    def _let_go(self) -> None:
        """After a failure: nothing is written any more, and no thread goes on."""
        self._stream.close()
        with suppress(OSError):
            self._file.close()

    def _write_end(self, complete: bool) -> None:
        if not complete:
            self._write([self._stream.flush()])
        elif self._file.begins_empty or self._stream.totals.n_messages or not self._header:
            self._write([self._stream.end()])

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """After an exception what was given is written, but no end record: it vouches that this is all."""
        if kind is None:
            self.close()
            return
        with suppress(OSError, TracezipError):
            self._finish(complete=False)

    def __del__(self) -> None:
        if getattr(self, "_sink", None) is None or self._guard.is_foreign or self._guard.is_over:
            return
        with suppress(Exception):
            self._finish(complete=False)
        message = f"{self!r} was never closed: the archive has no end record"
        warnings.warn(message, ResourceWarning, stacklevel=2, source=self)


def stream_facts(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the header says: which versions wrote it, and what the caller wants to be known."""
    facts: dict[str, Any] = {"writer": {"tracezip": __version__, "libzstd": ".".join(map(str, zstandard.ZSTD_VERSION))}}
    if metadata is None:
        return facts
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata must be a dict, not a {type(metadata).__name__}", code="argument")
    return {**facts, "metadata": dict(metadata)} if metadata else facts
