"""Which of the traces and spans in the files are given out, as OTLP messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tracezip.cli import _streams as streams
from tracezip.cli._progress import Progress
from tracezip.cli._session import RefusalError, Session, explained, shown
from tracezip.errors import InputError, TracezipError

if TYPE_CHECKING:
    from tracezip.convert.spans import Span
    from tracezip.expression import Expression
    from tracezip.reader import Reader

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for. whole: traces with a matching span, else spans that match. head: traces at most, if any."""

    where: Expression
    whole: bool
    head: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether every message is wanted as it is."""
        from tracezip.expression import EVERYTHING

        return self.where == EVERYTHING and self.head is None and not self.whole

    def messages(self, session: Session, names: Sequence[str]) -> Iterator[bytes]:
        """OTLP messages of what was asked for, in order."""
        if self.whole or self.head is not None:
            yield from (message for message, _ in self.traces(session, names))
        else:
            work = _checked if self.is_everything else self._matching
            yield from filter(None, for_each_message(session, names, work))

    def traces(self, session: Session, names: Sequence[str]) -> Iterator[tuple[bytes, list[Span]]]:
        """Each trace of which there is anything to give, over all files: that as a message, and as spans."""
        from tracezip.show.gather import gather

        if self.head == 0:
            return
        n_given = 0
        parts = for_each_message(session, names, self._by_trace)
        for trace in gather(parts, given_early=_Warning(session)):
            chosen = self._chosen(session, names, trace)
            if chosen is None:
                continue
            yield chosen
            n_given += 1
            if n_given == self.head:
                return

    def _matching(self, message: bytes) -> bytes:
        from tracezip.convert.select import select

        return select(message, self.where.matches)

    def _by_trace(self, message: bytes) -> dict[bytes, bytes]:
        """Its traces, but for those of which an id alone says that they are not wanted."""
        from tracezip.convert.select import by_trace
        from tracezip.convert.spans import read_spans

        traces = by_trace(message)
        if {str(field) for field in self.where.fields} != {"trace_id"}:
            return traces
        return {name: part for name, part in traces.items() if self.where.matches(next(read_spans(part)))}

    def _chosen(self, session: Session, names: Sequence[str], trace: bytes) -> tuple[bytes, list[Span]] | None:
        from tracezip.convert.spans import read_spans

        try:
            spans = list(read_spans(trace))
        except InputError as problem:
            session.error(
                " or ".join(names), RefusalError(f"a trace is left out, it is not OTLP: {explained(problem)}")
            )
            return None
        matching = [span for span in spans if self.where.matches(span)]
        if self.whole or len(matching) == len(spans):
            return (trace, spans) if matching else None
        return (self._matching(trace), matching) if matching else None


class _Warning:
    """Says once that traces may be in parts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._was_said = False

    def __call__(self) -> None:
        if not self._was_said:
            self._session.warn("more traces than memory is given to: of some, spans that come late are shown apart")
        self._was_said = True


# --- reading ----------------------------------------------------------------------------------------------------------


def for_each_message(session: Session, names: Iterable[str], work: Callable[[bytes], _T]) -> Iterator[_T]:
    """What `work` makes of the messages of all files; those with which it fails are named, and so are bad files."""
    for name in names:
        for number, message in numbered_messages(session, name):
            try:
                made = work(message)
            except InputError as problem:
                session.error(name, not_a_trace(number, problem))
            else:
                yield made


def _checked(message: bytes) -> bytes:
    """The message if all of it is OTLP; raises InputError if not."""
    from tracezip.convert.spans import read_spans

    for _ in read_spans(message):
        pass
    return message


def numbered_messages(session: Session, name: str) -> Iterator[tuple[int, bytes]]:
    """The messages of a file, from 1, as far as it can be read; why not further is named on standard error."""
    try:
        with reading(session, name) as (reader, progress):
            yield from enumerate(progress.over(reader), 1)
    except (RefusalError, TracezipError, OSError) as problem:
        session.error(name, problem)


@contextmanager
def reading(session: Session, name: str) -> Iterator[tuple[Reader, Progress]]:
    """An archive to read, with a progress bar unless that would be in the way of the output."""
    import tracezip

    wanted = session.shows_progress and not sys.stdout.isatty()
    with (
        streams.open_input(name) as source,
        tracezip.open(source) as reader,
        Progress(source, os.path.basename(shown(name)), wanted=wanted) as progress,
    ):
        yield reader, progress


def not_a_trace(number: int, problem: InputError) -> RefusalError:
    """What is said of a message that is no OTLP: any bytes can be compressed, not only traces."""
    return RefusalError(
        f"message {number} is left out, it is no OTLP trace: {explained(problem)}; "
        "`tracezip decompress` gives its bytes back as they are"
    )
