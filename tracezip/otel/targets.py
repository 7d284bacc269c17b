"""Where batches go: to a file, to an endpoint, or nowhere when it is not known where."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tracezip.errors import InputError
from tracezip.limits import DEFAULT_LEVEL
from tracezip.live.archives import FileWriter, RotatingArchives
from tracezip.live.complaints import Complaints
from tracezip.live.stats import Stats
from tracezip.otel.config import Options
from tracezip.sink import Sink
from tracezip.writer import Writer

_LENGTH = struct.Struct(">I")


class Target(Protocol):
    """Any thread may call it; a forked child goes on with files and connections of its own."""

    by_service: bool
    """Messages hold spans of one service each."""

    def put(self, message: bytes, n_spans: int, service: str | None, timeout: float) -> bool:
        """True once the message is safe; else its spans are lost, and are counted as dropped."""

    def flush(self, timeout: float) -> bool: ...

    def shutdown(self, timeout: float) -> bool: ...

    def set_level(self, level: int) -> None:
        """From the next stream, or file, on."""


def start_level(options: Options) -> int:
    return DEFAULT_LEVEL if options.level == "auto" else options.level


class Nowhere:
    """Of an exporter whose variables name no usable destination."""

    by_service = False

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def put(self, message: bytes, n_spans: int, service: str | None, timeout: float) -> bool:
        self._stats.add(messages_in=1, spans_in=n_spans)
        self._stats.drop("configuration", n_spans)
        return False

    def flush(self, timeout: float) -> bool:
        return True

    def shutdown(self, timeout: float) -> bool:
        return True

    def set_level(self, level: int) -> None:
        pass


class FileTarget:
    """Rotating files. Each message is flushed: what `put` called safe is in the file, whatever becomes of the process.

    A disk that hangs makes it wait: no timeout can help there.
    """

    def __init__(self, options: Options, stats: Stats, complaints: Complaints) -> None:
        assert options.path is not None
        self._stats, self._complaints = stats, complaints
        self._options = options
        self._level = start_level(options)
        self.by_service = "{service}" in options.path
        self._archives = RotatingArchives(
            check_path(options.path),
            max_bytes=options.max_file_bytes or None,
            max_seconds=options.max_file_seconds or None,
            fsync=options.fsync,
            new_writer=self._new_writer,
        )

    def put(self, message: bytes, n_spans: int, service: str | None, timeout: float) -> bool:
        self._stats.add(messages_in=1, spans_in=n_spans)
        started = time.perf_counter()
        try:
            self._archives.write(message, service, flush=True)
        except Exception as error:
            self._stats.drop("file", n_spans)
            self._complaints.complain("file", f"{n_spans} spans are lost, they cannot be written to a file: {error}")
            return False
        if self._options.compression_enabled:
            self._stats.observe("compress", time.perf_counter() - started)
            self._stats.add(bytes_in=len(message))
        self._stats.add(messages_sent=1, spans_sent=n_spans)
        return True

    def flush(self, timeout: float) -> bool:
        return self._tried(self._archives.flush)

    def shutdown(self, timeout: float) -> bool:
        return self._tried(self._archives.close)

    def set_level(self, level: int) -> None:
        self._level = level

    def _tried(self, action: Any) -> bool:
        try:
            action()
        except Exception as error:
            self._complaints.complain("file", f"a file of spans cannot be written: {error}")
            return False
        return True

    def _new_writer(self, file: BinaryIO) -> FileWriter:
        if not self._options.compression_enabled:
            return LengthPrefixed(file)
        writer = Writer(
            file,
            "x",
            level=self._level,
            dictionary_threshold=self._options.dictionary_threshold,
            chained=self._options.delta_encoding,
            memory_limit=self._options.stream_memory,
            metadata=None,
        )
        return _Counted(writer, self._stats)


class LengthPrefixed:
    """Messages as they are, each behind its length in 4 bytes: the form of the Collector's files in protobuf."""

    def __init__(self, file: BinaryIO) -> None:
        self._sink = Sink(file, "x")

    @property
    def n_bytes(self) -> int:
        return self._sink.n_bytes

    def write(self, trace: bytes) -> None:
        self._sink.write(_LENGTH.pack(len(trace)) + trace)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._sink.close()


class _Counted:
    """A writer whose bytes are counted."""

    def __init__(self, writer: FileWriter, stats: Stats) -> None:
        self._writer, self._stats = writer, stats
        self._n_counted = 0

    @property
    def n_bytes(self) -> int:
        return self._writer.n_bytes

    def write(self, trace: Any) -> None:
        self._writer.write(trace)

    def flush(self) -> None:
        self._writer.flush()
        self._count()

    def close(self) -> None:
        self._writer.close()
        self._count()

    def _count(self) -> None:
        self._stats.add(bytes_out=self.n_bytes - self._n_counted)
        self._n_counted = self.n_bytes


def check_path(pattern: str) -> str:
    """The pattern of file names. Raises InputError if no file can be made there, as far as that can be known now."""
    path = Path(pattern)
    try:
        if path.is_dir() or pattern.endswith(os.sep):
            text = f"{pattern} is a folder: give the name of a file in it, such as traces.tzip"
            raise InputError(text, code="argument")
        folder = next(folder for folder in path.parents if "{" not in str(folder) and folder.exists())
    except OSError as error:  # a name is too long, or a folder may not be looked into
        raise InputError(f"cannot write {pattern}: {error.strerror}", code="argument") from None
    if not folder.is_dir():
        raise InputError(f"cannot write {pattern}: {folder} is not a folder", code="argument")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {pattern}: this user may not make files in {folder}", code="argument")
    return pattern
