"""What the commands of `tracezip` have in common: options, the names of files, the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tracezip.cli import _streams as streams
from tracezip.cli._session import Session, explained, name_of
from tracezip.limits import DEFAULT_LEVEL, MAX_LEVEL, MAX_THREADS

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

PROGRAM = "tracezip"
_THREADS_HELP = "Compress N blocks at a time, 0: as many as there are processors. The file is the same."

Command = Callable[..., None]


def talk_options(command: Command) -> Command:
    verbose = click.option("-v", "--verbose", is_flag=True, help="Print the summary of each file anywhere.")
    quiet = click.option("-q", "--quiet", is_flag=True, help="No summary and no progress, only errors.")
    return quiet(verbose(command))


def level_options(command: Command) -> Command:
    """-1 to -9, of which the last counts. Without a default: versions of click differ on those of flag values."""
    helps = {
        1: "Fastest.",
        DEFAULT_LEVEL: "The default.",
        MAX_LEVEL: "Smallest. (-2 and -4 to -8 are what lies between.)",
    }
    for level in range(MAX_LEVEL, 0, -1):
        text = helps.get(level)
        command = click.option(f"-{level}", "level", type=int, flag_value=level, help=text, hidden=not text)(command)
    return command


def threads_option(command: Command) -> Command:
    threads = click.IntRange(0, MAX_THREADS)
    return click.option("-T", "--threads", metavar="N", type=threads, default=1, help=_THREADS_HELP)(command)


def dictionary_option(command: Command) -> Command:
    text = "The dictionary of the archives, as `tracezip train` makes it."
    return click.option("-D", "--dictionary", metavar="DICT", type=click.Path(), help=text)(command)


def loaded_dictionary(name: str | None) -> Dictionary | None:
    """The dictionary of a file. Raises UsageError if it is none."""
    if name is None:
        return None
    import tracezip

    try:
        with open(name, "rb") as file:
            return tracezip.Dictionary(file.read())
    except (OSError, tracezip.TracezipError) as problem:
        raise click.UsageError(f"{name_of(name)}: {explained(problem)}") from None


def n_processors() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MAX_THREADS)


def names_of(files: tuple[str, ...]) -> tuple[str, ...]:
    if not files and sys.stdin.isatty():
        raise click.UsageError("No FILE given, and standard input is a terminal.")
    return files or (streams.STANDARD,)


def new_session(
    quiet: bool = False, verbose: bool = False, *, prints: bool = True, dictionary: str | None = None
) -> Session:
    verbosity = -1 if quiet else int(verbose)
    return Session(PROGRAM, verbosity, prints=prints, dictionary=loaded_dictionary(dictionary))
