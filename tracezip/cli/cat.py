"""The `tracezip-cat` command: traces as OTLP JSON Lines on standard output."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import click

from tracezip.cli import _streams as streams
from tracezip.cli._progress import Progress
from tracezip.cli._session import RefusalError, Session, explained, run, shown, version_option
from tracezip.errors import InputError

PROGRAM = "tracezip-cat"


@click.command(PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, metavar="[FILE]...")
@version_option(PROGRAM)
def cli(files: tuple[str, ...]) -> None:
    """Print the traces in each FILE as OTLP JSON Lines: a line for each OTLP message, ids in hex.

    Without FILE, or when FILE is -, standard input is read. A bad FILE is named on standard error, what stands before
    the damage is printed, and the others are still done; the exit status is then 1.
    """
    if not files and sys.stdin.isatty():
        raise click.UsageError("No FILE given, and standard input is a terminal.")
    session = Session(PROGRAM)
    stdout = sys.stdout.buffer

    def work(name: str) -> None:
        with streams.named_sink(stdout, streams.STANDARD_OUTPUT) as out:
            _print_file(session, name, out)

    session.each(files or (streams.STANDARD,), work)
    session.finish()


def _print_file(session: Session, name: str, out: BinaryIO) -> None:
    import tracezip
    from tracezip.convert.otlp_json import json_pieces

    wanted = session.shows_progress and not sys.stdout.isatty()
    seen: dict[bytes, str] = {}
    with (
        streams.open_input(name) as source,
        tracezip.open(source) as reader,
        Progress(source, os.path.basename(shown(name)), wanted=wanted) as progress,
    ):
        for number, message in enumerate(progress.over(reader), 1):
            try:
                line = [piece.encode() for piece in json_pieces(message, seen)]
            except InputError as problem:  # any bytes can be compressed, not only traces
                session.error(name, _not_a_trace(number, problem))
            else:
                _print_line(line, out)


def _not_a_trace(number: int, problem: InputError) -> RefusalError:
    return RefusalError(
        f"message {number} is left out, it is no OTLP trace: {explained(problem)}; "
        "`tracezip decompress` gives its bytes back as they are"
    )


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
