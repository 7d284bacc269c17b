"""The `tracezip-cat` command: traces on standard output, to read them or to pass them on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tracezip.cli import _outputs as outputs
from tracezip.cli import _streams as streams
from tracezip.cli._filters import expression_of, filter_options
from tracezip.cli._options import dictionary_option, loaded_dictionary
from tracezip.cli._selection import Selection, not_a_trace, numbered_messages, reading
from tracezip.cli._session import Session, explained, human_bytes, run, shown, version_option
from tracezip.errors import InputError, TracezipError

if TYPE_CHECKING:
    from tracezip.show import Trace

PROGRAM = "tracezip-cat"
_JSONL = "otlp-jsonl"

_EPILOG = """
\b
EXPR compares fields of a span with values, joined by && || ! and ( ):
  name service kind status statusMessage duration start end trace_id span_id parent_id
  span.KEY resource.KEY .KEY (either)
  = != < <= > >= =~ !~ (regular expression) ^= (prefix) in (A, B)   = nil, != nil
  'service = "cart" && (status = error || duration > 200ms)'

In a tree, "◆ 38%" is a span's own share of the critical path: what the trace waited for there and nowhere below. In a
waterfall those stretches are dark. Five or more siblings of one service, name, kind and outcome are one row, and the
slowest of them stands below it.

Exit status: 0 all is well (also if nothing matches), 1 some FILE is bad (it is named on standard error, what stands
before the damage is printed, the others are done), 2 usage.
"""

_Command = Callable[..., None]


def _output_options(command: _Command) -> _Command:
    options = (
        click.option("--to", "form", type=click.Choice(outputs.FORMS), help="Write this instead."),
        click.option("-l", "--list", "action", flag_value="list", help="A line for each trace."),
        click.option("--count", "action", flag_value="count", help="The number of spans in each FILE."),
        click.option("-t", "--test", "action", flag_value="test", help="Decode all, write nothing."),
        click.option("--stats", "action", flag_value="stats", help="What each attribute key and each part costs."),
        click.option("--json", "as_json", is_flag=True, help='JSON, with "version": 1, of -l, -t, --count, --stats.'),
        click.option("--head", type=click.IntRange(0), metavar="N", help="Only the first N traces."),
        click.option(
            "--whole/--matching",
            default=None,
            help="Whole traces with a matching span (the default for -l and what shows traces: tree, waterfall, "
            "jaeger, zipkin, perfetto), or only the spans that match (for all else).",
        ),
        click.option("--fold/--no-fold", default=True, help="Repeated siblings as one row, the default; or each."),
        click.option("-v", "--verbose", is_flag=True, help="In a tree, attributes, events and links too."),
        click.option("--color", type=click.Choice(outputs.COLOURS), default="auto", help="The default heeds NO_COLOR."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(PROGRAM, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@_output_options
@filter_options
@dictionary_option
@version_option(PROGRAM)
def cli(files: tuple[str, ...], **options: Any) -> None:
    """Print the traces in each FILE: on a terminal as trees, elsewhere as OTLP JSON Lines, a line for each message.

    Without FILE, or when FILE is -, standard input is read. Options that say which spans all have to hold for one and
    the same span. What shows traces gives whole traces with such a span; all else gives just the spans, as grep does,
    and JSON Lines then have some hundred spans a line. A single FILE is searched through its index, and only what may
    match is read; several are read from beginning to end, and a trace may have its spans in any of them.
    """
    if not files and sys.stdin.isatty():
        raise click.UsageError("No FILE given, and standard input is a terminal.")
    session = Session(PROGRAM, dictionary=loaded_dictionary(options.pop("dictionary")))
    _Request.of(session, files or (streams.STANDARD,), options).answer()
    session.finish()


@dataclass(frozen=True, slots=True)
class _Request:
    """What one run of the command is to give out."""

    session: Session
    names: tuple[str, ...]
    selection: Selection
    action: str
    """list, count, test, stats, or a form."""
    as_json: bool
    fold: bool
    verbose: bool
    color: str

    @classmethod
    def of(cls, session: Session, names: tuple[str, ...], options: dict[str, Any]) -> _Request:
        where = expression_of(options)
        action, form = options.pop("action"), options.pop("form")
        if action and form:
            raise click.UsageError(f"--to says how traces are written, and --{action} writes none.")
        looks = form or action or ("tree" if sys.stdout.isatty() and not options["as_json"] else _JSONL)
        whole, head = options.pop("whole"), options.pop("head")
        by_default = looks in outputs.WHOLE or looks == "list"
        return cls(session, names, Selection(where, by_default if whole is None else whole, head), looks, **options)

    def answer(self) -> None:
        """Does it; what fails is named by the session."""
        if self.action in outputs.BINARY and sys.stdout.isatty():
            raise click.UsageError("Not writing binary data to a terminal: redirect it.")
        if self.action == _JSONL and self.selection.is_everything:
            outputs.to_standard_output(self.session, self._every_message)
        elif self.action == "count":
            self._each_file(self._count)
        elif self.action == "test":
            self._each_file(self._test)
        else:
            outputs.to_standard_output(self.session, self._writer())

    def _each_file(self, lines_of: Callable[[str], list[str]]) -> None:
        def write(out: BinaryIO) -> None:
            for name in self.names:
                outputs.write_lines(lines_of(name), out)

        outputs.to_standard_output(self.session, write)

    def _writer(self) -> Callable[[BinaryIO], None]:
        if self.action == "stats":
            return self._stats
        if self.action in outputs.OTLP_CONTAINERS:
            messages = self.selection.messages(self.session, self.names)
            return lambda out: outputs.write_otlp(messages, out, self.action)
        if self.action in outputs.FORMATS:
            return lambda out: outputs.write_format(self.session, self.names, self.selection, out, self.action)
        return self._texts

    # --- what is given out ----------------------------------------------------------------------------------------

    def _every_message(self, out: BinaryIO) -> None:
        """A line for each message; of one that is no trace it is said so."""
        from tracezip.convert.otlp_json import json_pieces

        seen: dict[bytes, str] = {}
        for name in self.names:
            for number, message in numbered_messages(self.session, name):
                try:
                    line = [piece.encode() for piece in json_pieces(message, seen)]
                except InputError as problem:
                    self.session.error(name, not_a_trace(number, problem))
                else:
                    _print_line(line, out)

    def _texts(self, out: BinaryIO) -> None:
        from tracezip.show import listing, tree, waterfall

        style = outputs.text_style(self.color)
        lines: dict[str, Callable[[Trace], Iterable[str]]] = {
            "tree": partial(tree, style=style, fold=self.fold, details=self.verbose),
            "waterfall": partial(waterfall, style=style, fold=self.fold),
            "list": lambda trace: [listing.listing(trace, style)],
        }
        if self.action == "list" and self.as_json:
            lines["list"] = lambda trace: [outputs.json_line(listing.facts(trace))]
        elif self.action == "list" and sys.stdout.isatty():
            outputs.write_lines([listing.heading(style)], out)
        traces = self.selection.traces(self.session, self.names)
        outputs.write_texts((trace.spans for trace in traces), lines[self.action], out)

    def _stats(self, out: BinaryIO) -> None:
        from tracezip.cli import _stats

        costs = _stats.costs_of(self.session, self.names, self.selection)
        parts = _stats.archive_parts(self.session, self.names) if self.selection.is_everything else {}
        style = outputs.text_style(self.color)
        outputs.write_lines(
            [_stats.as_json(costs, parts)] if self.as_json else _stats.as_table(costs, parts, style), out
        )

    def _count(self, name: str) -> list[str]:
        n_spans = self.selection.count(self.session, name)
        if self.as_json:
            return [outputs.json_line({"version": 1, "file": name, "spans": n_spans})]
        return [f"{shown(name)}:{n_spans}" if len(self.names) > 1 else str(n_spans)]

    def _test(self, name: str) -> list[str]:
        n_messages, n_bytes, problem = 0, 0, None
        try:
            with reading(self.session, name) as (reader, progress):
                for message in progress.over(reader):
                    n_messages, n_bytes = n_messages + 1, n_bytes + len(message)
        except (TracezipError, OSError) as error:
            problem = explained(error)
            self.session.error(name, error)
        if not self.as_json:
            if problem is None:
                self.session.note(f"{shown(name)}: good, {n_messages:,} messages, {human_bytes(n_bytes)} of OTLP")
            return []
        good = {"version": 1, "file": name, "good": problem is None, "problem": problem}
        return [outputs.json_line({**good, "messages": n_messages, "otlp_bytes": n_bytes})]


def _print_line(pieces: list[bytes], out: BinaryIO) -> None:
    for piece in pieces:
        out.write(piece)
    out.write(b"\n")
    out.flush()  # a line is seen when it is decoded, also while standard input is still being written


def main() -> None:
    """The entry point `tracezip-cat`."""
    run(cli, PROGRAM)


if __name__ == "__main__":
    main()
