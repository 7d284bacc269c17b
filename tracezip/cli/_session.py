"""What both commands share: a file at a time, errors named on standard error, the exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from tracezip.errors import TracezipError

if TYPE_CHECKING:
    from tracezip.dictionary import Dictionary

EXIT_BAD_INPUT = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class RefusalError(Exception):
    """A file is left alone, for the reason given; the files after it are still done."""


class Session:
    """One run of a command over its files.

    verbosity: -1 quiet (errors only), 0 summaries and progress on a terminal, 1 summaries always. prints: what it makes
    may go to standard output. dictionary: the one that its archives need, if they need any.
    """

    def __init__(
        self, program: str, verbosity: int = 0, *, prints: bool = True, dictionary: Dictionary | None = None
    ) -> None:
        self.program = program
        self.prints = prints
        self.dictionary = dictionary
        self.failed = False
        self.verbosity = verbosity
        on_terminal = sys.stderr.isatty()
        self.summarises = verbosity > 0 or (verbosity == 0 and on_terminal)
        self.shows_progress = verbosity >= 0 and on_terminal

    def each(self, names: Iterable[str], work: Callable[[str], None]) -> None:
        """Does every file: one that fails is named on standard error and the others are still done.

        Stops without a word when nobody reads standard output any more.
        """
        for name in names:
            try:
                work(name)
            except BrokenPipeError:
                return
            except (RefusalError, TracezipError, OSError) as problem:
                self.error(name, problem)

    def error(self, name: str, problem: Exception) -> None:
        self.failed = True
        filename = problem.filename if isinstance(problem, OSError) and problem.filename is not None else name
        label = styled(f"{self.program}:", sys.stderr.isatty(), fg="red", bold=True)
        click.echo(f"{label} {shown(filename)}: {explained(problem)}", err=True)

    def warn(self, name: str, text: str) -> None:
        """Something that is worth a line, and no error."""
        if self.verbosity >= 0:
            click.echo(f"{self.program}: {shown(name)}: {text}", err=True)

    def note(self, line: str) -> None:
        """A summary line, if this run gives any."""
        if self.summarises:
            click.echo(line, err=True)

    def finish(self) -> None:
        """Ends the command: status 1 if any file failed."""
        if self.failed:
            click.get_current_context().exit(EXIT_BAD_INPUT)


def explained(problem: Exception) -> str:
    """The message of an error in one line, with the place if it does not say so itself."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    message = " ".join(str(problem).split()) or type(problem).__name__
    offset = getattr(problem, "offset", None)
    return message if offset is None or str(offset) in message else f"{message} (at byte {offset})"


def shown(name: str | bytes | int) -> str:
    """A file name as people read it."""
    if name == "-":
        return "standard input"
    return name_of(str(name) if isinstance(name, int) else name)


def name_of(name: str | bytes) -> str:
    """A file name without anything a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in click.format_filename(name))


def human_bytes(n_bytes: int) -> str:
    """12345 -> '12.1 KiB'; the units are powers of 1024, as zstd's."""
    size, unit = float(n_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{n_bytes} B"


def styled(text: str, on_terminal: bool, *, fg: str | None = None, bold: bool = False) -> str:
    """Colour only on a terminal that wants it (https://no-color.org)."""
    if not on_terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=fg, bold=bold)


def version_option(program: str) -> Callable[[_Decorated], _Decorated]:
    """`--version`, which also answers for a source tree that was never installed."""

    def answer(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(f"{program} {_version()}")
            context.exit()

    return click.option(
        "--version", is_flag=True, expose_value=False, is_eager=True, callback=answer, help="Show the version and exit."
    )


def _version() -> str:
    from importlib import metadata  # not at the top: it takes longer than all the rest of --help

    try:
        return metadata.version("tracezip")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def run(command: click.Command, program: str) -> NoReturn:
    """Runs a command as a process: signals, closed pipes and errors become exit statuses."""
    _leave_by_exception_on_signals()
    try:
        status = command.main(prog_name=program, standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        status = problem.exit_code
    except ImportError as problem:  # the backend that TRACEZIP_BACKEND names, or a build that is broken
        click.echo(f"{program}: {problem}", err=True)
        status = EXIT_UNUSABLE
    except (click.Abort, KeyboardInterrupt):
        status = EXIT_INTERRUPTED
    _flush_standard_output()
    sys.exit(status if isinstance(status, int) else 0)


def _leave_by_exception_on_signals() -> None:
    """Turns SIGTERM and SIGHUP into SystemExit, so that temporary files are removed on the way out."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)


def _flush_standard_output() -> None:
    """The interpreter flushes standard output once more at its end, and complains there if nobody reads it."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
