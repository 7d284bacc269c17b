"""Where the bytes come from and where they go: files, standard input and output, temporary files."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from tracezip.cli._session import RefusalError

EXTENSION = ".tzip"
STANDARD = "-"  # as a FILE: standard input; as an output: standard output
STANDARD_OUTPUT = "standard output"

_PEELED = (".gz", ".zst")
_BUFFER_BYTES = 1 << 16


def compressed_name(name: str) -> str:
    """a.otlp -> a.otlp.tzip; a.otlp.gz and a.otlp.zst too, since it is their content that is compressed."""
    stem, extension = os.path.splitext(name)
    return (stem if extension in _PEELED else name) + EXTENSION


def decompressed_name(name: str) -> str:
    """a.otlp.tzip -> a.otlp; any other name is refused, as zstd does, for there is nothing to derive it from."""
    stem, extension = os.path.splitext(name)
    if extension != EXTENSION:
        raise RefusalError(f"the name does not end in {EXTENSION}: say where the output goes with -o")
    return stem


def decompressed_prefix(name: str) -> str:
    """a.otlp.tzip -> a.otlp; another name as it is."""
    return name.removesuffix(EXTENSION)


class NamedSink:
    """A binary stream whose errors name it, so that a full disk is not blamed on the file being read."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def write(self, data: bytes) -> int:
        with errors_named(self.name):
            return self._stream.write(data)

    def flush(self) -> None:
        with errors_named(self.name):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Gives the errors of writing, which come without a name, that of the output."""
    try:
        yield
    except OSError as error:
        error.filename = name
        raise


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """A file, or standard input for `-`."""
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    with open(name, "rb") as file:
        yield file


def size_of(source: BinaryIO) -> int | None:
    """The bytes of a regular file; None where that cannot be known."""
    status = _status(source)
    return status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None


@contextmanager
def open_output(name: str, source: BinaryIO, *, force: bool) -> Iterator[BinaryIO]:
    """Standard output, a device or pipe, or a file that gets its name only when it is complete.

    A new file has the permissions of the file it was made from, less the umask.
    Raises RefusalError when the file is there already (and not `force`), and always when it is the input itself.
    """
    if name == STANDARD:
        with named_sink(sys.stdout.buffer, STANDARD_OUTPUT) as sink:
            yield sink
        return
    path = os.path.realpath(name)  # through a link, and not instead of it
    if _is_special(path):
        with _closed(open(path, "wb")) as device, named_sink(device, name) as sink:
            yield sink
        return
    _check_free(path, name, source, force=force)
    with _appearing(path, name, _mode_for(source)) as sink:
        yield sink


@contextmanager
def named_sink(stream: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The stream under a name for its errors, flushed at a good end."""
    sink = NamedSink(stream, name)
    yield cast(BinaryIO, sink)
    sink.flush()


@contextmanager
def _appearing(path: str, name: str, mode: int) -> Iterator[BinaryIO]:
    """A temporary file beside `path`: renamed to it once it is on the disk, removed if there is no good end."""
    temporary = os.path.join(os.path.dirname(path), f".tracezip-{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with errors_named(name):
            descriptor = os.open(temporary, flags, mode)
        with _closed(open(descriptor, "wb", _BUFFER_BYTES)) as file, named_sink(file, name) as sink:
            yield sink
            sink.flush()
            with errors_named(name):
                os.fsync(descriptor)
        with errors_named(name):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@contextmanager
def _closed(file: BinaryIO) -> Iterator[BinaryIO]:
    """Closes the file; after an error without the second one that closing (and flushing) a full disk would add."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


def _check_free(path: str, name: str, source: BinaryIO, *, force: bool) -> None:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return
    status = _status(source)
    if status is not None and os.path.samestat(there, status):
        raise RefusalError("input and output are the same file")
    if not force:
        raise FileExistsError(errno.EEXIST, "exists already; -f overwrites it", name)


def _is_special(path: str) -> bool:
    """Devices, pipes and directories: written to (or refused by the system) as they are, never replaced."""
    return os.path.exists(path) and not os.path.isfile(path)


def _mode_for(source: BinaryIO) -> int:
    status = _status(source)
    if status is None or not stat.S_ISREG(status.st_mode):
        return 0o666
    return stat.S_IMODE(status.st_mode) & 0o666


def _status(source: BinaryIO) -> os.stat_result | None:
    try:
        return os.fstat(source.fileno())
    except (OSError, AttributeError):  # a stream in memory
        return None
