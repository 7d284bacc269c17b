"""Archives that are written without an end: a new file when one is large or old enough, or its name has changed."""

from __future__ import annotations

import io
import os
import re
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from tracezip.errors import InputError
from tracezip.limits import DEFAULT_DICTIONARY_THRESHOLD, DEFAULT_LEVEL
from tracezip.live.forking import tell_of_forks
from tracezip.live.limits import MAX_OPEN_ARCHIVES
from tracezip.writer import Writer

Fsync = Literal["always", "close", "never"]
PLACEHOLDERS = ("service", "date", "hour", "pid")
NO_SERVICE = "unknown_service"
"""The name that OpenTelemetry gives to a service without one."""
NAME_CHARACTERS = string.ascii_letters + string.digits + "._-"
"""Of the value of a placeholder; each other one becomes _."""
_MAX_NAME_CHARS = 100  # of a value in a file name; file systems allow 255 bytes for all of it
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class FileWriter(Protocol):
    """What writes messages into one file; a Writer, if nothing else is told."""

    @property
    def n_bytes(self) -> int:
        """Written so far."""

    def write(self, trace: Any) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class RotatingArchives:
    """Writes messages to the files of a pattern, such as `/data/{service}/{date}-{hour}.tzip`.

    {service} is the service that is told with the message, {date} and {hour} the UTC time of the writing, {pid} the
    process. A file ends at `max_bytes`, or when it is `max_seconds` old; none is overwritten: when a name is taken, -1,
    -2, … stands before its extension. Can be used by several threads; a forked child writes to files of its own.
    `fsync`: "always" with every flush, "close" when a file ends, or "never". `facts` are the metadata of each file.
    With one thread blocks build on each other, so that it costs little to flush after each message.
    `new_writer` makes what writes to a file that was opened, instead of a Writer with these options.

    After an error in writing the file is closed, whole up to its last block, and the next message goes to a new one.
    """

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        fsync: Fsync = "close",
        level: int = DEFAULT_LEVEL,
        dictionary_threshold: int = DEFAULT_DICTIONARY_THRESHOLD,
        threads: int = 1,
        facts: Mapping[str, Any] | None = None,
        new_writer: Callable[[BinaryIO], FileWriter] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pattern = _checked_pattern(os.fspath(pattern))
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._fsync = checked_fsync(fsync)
        self._new_writer: Callable[[BinaryIO], FileWriter] = new_writer or partial(
            Writer,
            mode="x",
            level=level,
            dictionary_threshold=dictionary_threshold,
            threads=threads,
            metadata=facts,
            chained=threads == 1,
        )
        if new_writer is None:
            self._new_writer(io.BytesIO()).close()  # a wrong option is told here, not with the first message
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Archive] = OrderedDict()  # by name; what was used last is the last
        tell_of_forks(self)

    def write(self, message: bytes, service: str | None = None, *, flush: bool = False) -> None:
        """Adds an OTLP message to the file of its service. It is safe after the next `flush`, not before.

        With `flush` it is safe at once, whatever other threads do: a failure of theirs in between would end the file,
        and what was not flushed with it. Raises InputError if it is none; OSError of the file, in which what was not
        flushed is lost then.
        """
        with self._lock:
            self._rotate_due()
            name = self._name(service)
            archive = self._open.get(name) or self._begin(name)
            self._open.move_to_end(name)
            self._guarded(archive, lambda: archive.write(message))
            if flush:
                self._guarded(archive, archive.flush)
            self._end_if_full(archive)

    def flush(self) -> None:
        """All that was written can be read from now on, whatever happens to the process."""
        with self._lock:
            for archive in list(self._open.values()):
                self._guarded(archive, archive.flush)
                self._end_if_full(archive)
            self._rotate_due()

    def rotate_due(self) -> None:
        """Ends the files that are old enough; for a timer, since otherwise only `write` and `flush` look."""
        with self._lock:
            self._rotate_due()

    def close(self) -> None:
        """Ends all files; a later write would begin new ones. Raises the first error, after all are closed."""
        with self._lock:
            self._end_all(list(self._open.values()))

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for archive in self._open.values():
            archive.let_go()
        self._open.clear()

    def _name(self, service: str | None) -> str:
        now = datetime.fromtimestamp(self._clock(), UTC)
        values = {
            "service": safe_name(service or NO_SERVICE),
            "date": f"{now:%Y-%m-%d}",
            "hour": f"{now:%H}",
            "pid": str(os.getpid()),
        }
        return _PLACEHOLDER.sub(lambda found: values[found[1]], self._pattern)

    def _begin(self, name: str) -> _Archive:
        if len(self._open) >= MAX_OPEN_ARCHIVES:
            self._end(next(iter(self._open.values())))
        archive = self._open[name] = _Archive(name, self._new_writer, self._fsync, self._clock())
        return archive

    def _rotate_due(self) -> None:
        """Ends what is too old, and what has the name of an hour that is over."""
        now = self._clock()
        due = [one for one in self._open.values() if self._is_due(one, now)]
        self._end_all(due)

    def _is_due(self, archive: _Archive, now: float) -> bool:
        if self._max_seconds is not None and now - archive.begun >= self._max_seconds:
            return True
        has_hour, has_date = "{hour}" in self._pattern, "{date}" in self._pattern
        period = 3600 if has_hour else 86400
        return (has_hour or has_date) and now // period != archive.begun // period

    def _end_all(self, archives: list[_Archive]) -> None:
        errors: list[BaseException] = []
        for archive in archives:
            try:
                self._end(archive)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _end_if_full(self, archive: _Archive) -> None:
        if self._max_bytes is not None and archive.n_bytes >= self._max_bytes:
            self._end(archive)

    def _end(self, archive: _Archive) -> None:
        del self._open[archive.name]
        archive.close()

    def _guarded(self, archive: _Archive, action: Callable[[], None]) -> None:
        """After InputError the archive goes on; after anything else it is over."""
        try:
            action()
        except InputError:
            raise
        except BaseException:
            del self._open[archive.name]
            archive.let_go()
            raise


class _Archive:
    """One file. It is opened here, and not by the writer, so that it can be synced."""

    def __init__(self, name: str, new_writer: Callable[[BinaryIO], FileWriter], fsync: Fsync, begun: float) -> None:
        self.name, self.begun = name, begun
        self._fsync = fsync
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = _new_file(path)
        try:
            self._writer = new_writer(self._file)
            if fsync == "always":
                sync_folder(self._path.parent)
        except BaseException:
            self._file.close()
            self._path.unlink()
            raise
        self._pid = os.getpid()
        self._is_dirty = False

    @property
    def n_bytes(self) -> int:
        return self._writer.n_bytes

    def write(self, message: bytes) -> None:
        self._writer.write(message)
        self._is_dirty = True

    def flush(self) -> None:
        if self._is_dirty:
            self._writer.flush()
            if self._fsync == "always":
                os.fsync(self._file.fileno())
            self._is_dirty = False

    def close(self) -> None:
        try:
            self._writer.close()
            if self._fsync != "never":
                os.fsync(self._file.fileno())
                sync_folder(self._path.parent)
        finally:
            self._file.close()

    def let_go(self) -> None:
        """Closes the file as it is. In a forked child this leaves the parent's alone."""
        if self._pid == os.getpid():
            with suppress(Exception):
                self._writer.close()  # of a dead writer: ends its threads
        self._file.close()


def _new_file(path: Path) -> tuple[Path, Any]:
    """A file that was not there before, under this name or the next one that is free."""
    stem, suffix, number = path.stem, path.suffix, 0
    while True:
        try:
            return path, open(path, "xb", buffering=0)
        except FileExistsError:
            number += 1
            path = path.with_name(f"{stem}-{number}{suffix}")


def sync_folder(folder: Path) -> None:
    """Makes the names of new files in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def safe_name(value: str) -> str:
    """One component of a path, whatever the value: only letters, digits, and . _ - that do not stand first."""
    name = "".join(char if char in NAME_CHARACTERS else "_" for char in value[:_MAX_NAME_CHARS])
    rest = name.lstrip(".-")
    return "_" * (len(name) - len(rest)) + rest or "_"


def checked_fsync(fsync: str) -> Fsync:
    for choice in ("always", "close", "never"):
        if fsync == choice:
            return choice
    raise InputError(f"fsync is {fsync!r}, it must be always, close or never", code="argument")


def _checked_pattern(pattern: str) -> str:
    for name in _PLACEHOLDER.findall(pattern):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise InputError(f"{pattern}: there is no {{{name}}}, only {known}", code="argument")
    return pattern
