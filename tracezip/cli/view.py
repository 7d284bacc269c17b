"""`tracezip view`: an archive as a page for the browser."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracezip.cli import _streams as streams
from tracezip.cli._filters import expression_of, filter_options
from tracezip.cli._options import dictionary_option, new_session
from tracezip.cli._selection import Chosen, Selection
from tracezip.cli._session import RefusalError, Session, human_bytes, name_of, shown

if TYPE_CHECKING:
    from tracezip.convert.spans import Span

_DEFAULT_SPANS = 100_000
_EXTENSION = ".html"


@click.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="OUT", help="Write to OUT instead of FILE.html; - is standard output.")
@click.option("-f", "--force", is_flag=True, help="Overwrite OUT.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option("--head", type=click.IntRange(0), metavar="N", help="Only the first N traces.")
@click.option(
    "--max-spans",
    type=click.IntRange(1),
    metavar="N",
    default=_DEFAULT_SPANS,
    show_default=True,
    help="No further trace if there are as many spans; the page says so.",
)
@filter_options
@dictionary_option
def view(file: str, output: str | None, force: bool, opens: bool, max_spans: int, **options: Any) -> None:
    """Show FILE in the browser: one HTML page that needs no network and no other file.

    It has a list of the traces, a search, and for each trace a waterfall; a service map, a latency histogram and a
    table of operations for all of them. Options that say which spans choose whole traces with such a span; they are
    those of tracezip-cat, whose --help says more.
    """
    session = new_session(dictionary=options.pop("dictionary"))
    selection = Selection(expression_of(options), whole=True, head=options.pop("head"))
    destination = output or _page_name(file)

    def work(name: str) -> None:
        text, summary = _page(session, name, selection, max_spans)
        if not text:
            return  # the file is bad, and that has been said
        with streams.open_input(name) as source, streams.open_output(destination, source, force=force) as out:
            out.write(text)
        session.note(f"{shown(name)}: {summary}, {human_bytes(len(text))}, {name_of(destination)}")
        if opens and destination != streams.STANDARD:
            click.launch(Path(destination).resolve().as_uri())

    session.each([file], work)
    session.finish()


def _page(session: Session, name: str, selection: Selection, max_spans: int) -> tuple[bytes, str]:
    """The page, and what is in it. Raises RefusalError if that is nothing; of a bad file without any, it is b""."""
    from tracezip.show.page import page

    budget = _Budget(max_spans)
    text = page(budget.traces(selection.traces(session, [name])), os.path.basename(shown(name)), budget.note).encode()
    if not budget.n_traces and session.failed:
        return b"", ""
    if not budget.n_traces:
        raise RefusalError("there is no trace to show")
    return text, f"{budget.n_traces:,} traces, {budget.n_spans:,} spans {budget.note()}".rstrip()


class _Budget:
    """Whole traces until there are `max_spans` spans."""

    def __init__(self, max_spans: int) -> None:
        self._max_spans = max_spans
        self.n_traces = self.n_spans = self._n_left = 0

    def traces(self, chosen: Iterable[Chosen]) -> Iterator[list[Span]]:
        for trace in chosen:
            if self.n_spans >= self._max_spans:
                self._n_left += 1
                continue
            self.n_traces, self.n_spans = self.n_traces + 1, self.n_spans + len(trace.spans)
            yield trace.spans

    def note(self) -> str:
        """What is to be said of the traces that are not in the page, once they have been read."""
        if not self._n_left:
            return ""
        return f"({self._n_left:,} more traces are left out: --max-spans shows more, filters choose)"


def _page_name(file: str) -> str:
    """a.tzip -> a.html."""
    if file == streams.STANDARD:
        return streams.STANDARD
    stem, extension = os.path.splitext(file)
    return (stem if extension == streams.EXTENSION else file) + _EXTENSION
