"""The work of `tracezip split`: which message goes into which archive."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import OrderedDict
from datetime import UTC, datetime
from types import TracebackType

import tracezip
from tracezip.cli._session import RefusalError, name_of
from tracezip.cli._streams import EXTENSION
from tracezip.columns import parse_columns

_MAX_OPEN = 8
"""Archives that are written at a time: each holds a block in memory."""
_FIRST_GUESS = 0.2
"""Of how large an archive is, by its OTLP bytes, before there is one to learn from."""
_CARE = 0.95
"""An archive is ended when it is expected to have so much of its largest size."""


class Outputs:
    """Archives that get their names when all of them are complete; before that they stand in a folder beside."""

    def __init__(self, source: str, prefix: str, level: int, threads: int, force: bool) -> None:
        self._source = source
        self._prefix = prefix
        self._level = level
        self._threads = threads
        self._force = force
        self._folder = tempfile.mkdtemp(prefix=".tracezip-", dir=os.path.dirname(prefix) or ".")
        self._open: OrderedDict[str, tracezip.Writer] = OrderedDict()
        self._names: dict[str, None] = {}
        self.metadata: dict[str, object] = {}
        """Of all of them."""
        self.paths: list[str] = []
        """Where they are in the end."""

    def writer(self, name: str) -> tracezip.Writer:
        """That of the archive whose name ends so. One that has not been used for long begins a stream anew."""
        if name not in self._open:
            if len(self._open) == _MAX_OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[name] = tracezip.open(
                self.path(name),
                "ab" if name in self._names else "wb",
                level=self._level,
                threads=self._threads,
                metadata=self.metadata,
            )
            self._names[name] = None
        self._open.move_to_end(name)
        return self._open[name]

    def close(self, name: str) -> int:
        """Ends an archive; returns its size in bytes."""
        self._open.pop(name).close()
        return os.path.getsize(self.path(name))

    def remove(self, name: str) -> None:
        os.unlink(self.path(name))
        del self._names[name]

    def rename(self, names: dict[str, str]) -> None:
        """Gives all archives, which must be closed, other names, in this order."""
        for old, new in names.items():
            os.rename(self.path(old), self.path(f"{new}.new"))
        for new in names.values():
            os.rename(self.path(f"{new}.new"), self.path(new))
        self._names = dict.fromkeys(names.values())

    def path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            for writer in self._open.values():
                writer.close()
            if kind is None:
                self._give_names()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _give_names(self) -> None:
        targets = {name: f"{self._prefix}-{name}{EXTENSION}" for name in self._names}
        there = [target for target in targets.values() if os.path.lexists(target)]
        if any(os.path.exists(self._source) and os.path.samefile(target, self._source) for target in there):
            raise RefusalError("one of the archives would get the name of FILE itself: choose another prefix with -o")
        if there and not self._force:
            raise RefusalError(f"{name_of(there[0])} exists already; -f overwrites it")
        for name, target in targets.items():
            os.replace(self.path(name), target)
            self.paths.append(target)


def by_spans(reader: tracezip.Reader, outputs: Outputs, max_spans: int) -> None:
    from tracezip import _backend

    number = n_spans = 0
    for message in reader:
        n_more = _backend.count_spans(message, 0)
        if not number or n_spans + n_more > max_spans:
            if number:
                outputs.close(f"{number:04}")
            number, n_spans = number + 1, 0
        outputs.writer(f"{number:04}").write(message)
        n_spans += n_more


def by_time(reader: tracezip.Reader, outputs: Outputs, seconds: int) -> None:
    for message in reader:
        outputs.writer(_period(message, seconds)).write(message)


def _period(message: bytes, seconds: int) -> str:
    """The beginning of the period in which the earliest span of a message starts, in ISO 8601's short form."""
    try:
        starts = parse_columns(message).start_time_unix_nano
    except tracezip.InputError:
        return "unknown"
    starts = starts[starts > 0]
    if not len(starts):
        return "unknown"
    begin = int(starts.min()) // 10**9 // seconds * seconds
    return datetime.fromtimestamp(begin, UTC).strftime("%Y%m%dT%H%M%SZ")


def by_bytes(reader: tracezip.Reader, outputs: Outputs, max_bytes: int) -> None:
    """Archives end where their size is expected to be near the largest; one that is over it is halved."""
    names: list[str] = []
    ratio, n_raw = _FIRST_GUESS, 0
    for message in reader:
        if not names or (n_raw + len(message)) * ratio > max_bytes * _CARE:
            if names:
                ratio = outputs.close(names[-1]) / n_raw if n_raw else ratio
            names.append(f"part{len(names)}")
            n_raw = 0
        outputs.writer(names[-1]).write(message)
        n_raw += len(message)
    if names:
        outputs.close(names[-1])
    final = [small for name in names for small in _halved(outputs, name, max_bytes)]
    outputs.rename({name: f"{number:04}" for number, name in enumerate(final, 1)})


def _halved(outputs: Outputs, name: str, max_bytes: int) -> list[str]:
    """The archive, or those that it was cut into until none is too large or only one message is left in each."""
    if os.path.getsize(outputs.path(name)) <= max_bytes:
        return [name]
    n_messages = tracezip.info(outputs.path(name))["messages"]
    if n_messages < 2:
        return [name]
    halves = [f"{name}a", f"{name}b"]
    with tracezip.open(outputs.path(name)) as reader:
        for i, message in enumerate(reader):
            outputs.writer(halves[2 * i >= n_messages]).write(message)
    for half in halves:
        outputs.close(half)
    outputs.remove(name)
    return [small for half in halves for small in _halved(outputs, half, max_bytes)]
