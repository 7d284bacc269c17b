"""Which of the traces and spans in the files are given out, as OTLP messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import compress, islice
from typing import TYPE_CHECKING, TypeVar

from tracezip.cli import _streams as streams
from tracezip.cli._progress import Progress
from tracezip.cli._session import RefusalError, Session, explained, shown
from tracezip.errors import InputError, TracezipError

if TYPE_CHECKING:
    from tracezip.convert.spans import EncodedSpan, Span
    from tracezip.expression import Expression
    from tracezip.reader import Reader

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Spans that are given out together: of one message, or of one trace."""

    spans: list[Span]
    encoded: list[EncodedSpan]

    @property
    def message(self) -> bytes:
        """As one OTLP message."""
        from tracezip.convert.select import join_spans

        return join_spans(self.encoded)


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
        if self.is_everything:
            yield from for_each_message(session, names, _checked)
        else:
            yield from (chosen.message for chosen in self.chosen(session, names))

    def count(self, session: Session, name: str) -> int:
        """The spans that were asked for in one file."""
        from tracezip.convert.spans import encoded_spans

        if self.is_everything:  # spans are counted, and not read
            return sum(for_each_message(session, [name], lambda message: sum(1 for _ in encoded_spans(message))))
        return sum(len(chosen.spans) for chosen in self.chosen(session, [name]))

    def chosen(self, session: Session, names: Sequence[str]) -> Iterator[Chosen]:
        """What was asked for, message by message; trace by trace if whole traces count."""
        if self.whole or self.head is not None:
            yield from self.traces(session, names)
        elif self._can_search(names):
            found = _searched(session, names[0], lambda reader: reader.messages(self.where))
            yield from self._read(session, names, found)
        else:
            yield from _some(for_each_message(session, names, self._of_message))

    def traces(self, session: Session, names: Sequence[str]) -> Iterator[Chosen]:
        """Each trace of which there is anything to give, over all files."""
        return islice(self._read(session, names, self._encoded_traces(session, names)), self.head)

    def _can_search(self, names: Sequence[str]) -> bool:
        """Whether the file can be asked, through its index, instead of being read from its beginning to its end."""
        from tracezip.expression import EVERYTHING

        is_search = self.where != EVERYTHING or self.head is not None
        return is_search and len(names) == 1 and names[0] != streams.STANDARD and os.path.isfile(names[0])

    def _encoded_traces(self, session: Session, names: Sequence[str]) -> Iterator[list[EncodedSpan]]:
        """Of a file that can be searched the traces that match, else all, put together over all files."""
        from tracezip.convert.whole_traces import encoded_traces

        if self._can_search(names):
            return _searched(session, names[0], lambda reader: reader.traces(self.where))
        messages = for_each_message(session, names, self._encoded)
        return (trace for _, trace in encoded_traces(span for message in messages for span in message))

    def _read(self, session: Session, names: Sequence[str], pieces: Iterable[list[EncodedSpan]]) -> Iterator[Chosen]:
        for piece in pieces:
            try:
                chosen = self._of_spans(piece)
            except InputError as problem:
                what = f"{len(piece)} spans are left out, they are no OTLP: {explained(problem)}"
                session.error(" or ".join(names), RefusalError(what))
            else:
                if chosen is not None:
                    yield chosen

    def _encoded(self, message: bytes) -> list[EncodedSpan]:
        """Its spans, but for those of which the trace id alone says that they are not wanted."""
        from tracezip.convert.fields import read_field
        from tracezip.convert.spans import Resource, Scope, encoded_spans, read_span

        spans = list(encoded_spans(message))
        if {str(field) for field in self.where.fields} != {"trace_id"}:
            return spans
        blank = read_span(b"", Resource(), Scope())
        ids = [read_field("Span", "trace_id", span) or b"" for span, _ in spans]
        wanted = {trace_id for trace_id in set(ids) if self.where.matches(replace(blank, trace_id=trace_id))}
        return [span for span, trace_id in zip(spans, ids, strict=True) if trace_id in wanted]

    def _of_message(self, message: bytes) -> Chosen | None:
        return self._of_spans(self._encoded(message))

    def _of_spans(self, encoded: list[EncodedSpan]) -> Chosen | None:
        from tracezip.convert.spans import read_span

        spans = [read_span(span, *context.read()) for span, context in encoded]
        matches = [self.where.matches(span) for span in spans]
        if not any(matches):
            return None
        if self.whole:
            return Chosen(spans, encoded)
        return Chosen(list(compress(spans, matches)), list(compress(encoded, matches)))


def _searched(session: Session, name: str, search: Callable[[Reader], Iterator[bytes]]) -> Iterator[list[EncodedSpan]]:
    """The messages that a search in a file gives, as their spans; damage that was met is named."""
    import tracezip
    from tracezip.convert.spans import encoded_spans

    try:
        with tracezip.open(name, skip_damage=True, dictionary=session.dictionary) as reader:
            yield from (list(encoded_spans(message)) for message in search(reader))
            for reason in dict.fromkeys(damage.reason for damage in reader.damages):
                session.error(name, RefusalError(reason))
    except (TracezipError, OSError) as problem:
        session.error(name, problem)


def _some(chosen: Iterable[Chosen | None]) -> Iterator[Chosen]:
    return (one for one in chosen if one is not None)


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

    wanted = session.shows_progress and not (session.prints and sys.stdout.isatty())
    with (
        streams.open_input(name) as source,
        tracezip.open(source, dictionary=session.dictionary) as reader,
        Progress(source, os.path.basename(shown(name)), wanted=wanted) as progress,
    ):
        yield reader, progress


def not_a_trace(number: int, problem: InputError) -> RefusalError:
    """What is said of a message that is no OTLP: any bytes can be compressed, not only traces."""
    return RefusalError(
        f"message {number} is left out, it is no OTLP trace: {explained(problem)}; "
        "`tracezip decompress` gives its bytes back as they are"
    )
