"""`tracezip send`: archives into a backend, over OTLP/HTTP."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tracezip.cli import _streams as streams
from tracezip.cli._client import client_of, client_options
from tracezip.cli._filters import expression_of, filter_options
from tracezip.cli._options import Command, dictionary_option, names_of, new_session, talk_options
from tracezip.cli._selection import Selection, for_each_message
from tracezip.cli._session import RefusalError, Session, explained, human_bytes, shown
from tracezip.cli._units import period, size
from tracezip.errors import InputError, TracezipError

if TYPE_CHECKING:
    from tracezip.live.pacing import Pace
    from tracezip.live.replay import Replay, Report

_SPEED_HELP = (
    "1x: with the time that lay between the messages; 10x: ten times as fast; max, the default: as fast as the backend "
    "takes them."
)
_PARALLEL = click.IntRange(1, 64)
_PARALLEL_HELP = (
    "Have N requests under way at a time, to a backend that is far away: messages are sent in their order, but may "
    "arrive in another. 1 by default."
)
_MAX_PAUSE_HELP = (
    "With --speed, wait no longer for a message, 1h by default: what lies farther away in time is sent at once, and "
    "the first of it is named."
)
_NOW_HELP = (
    "Shift all times alike, so that the last span ends when the replay does: now. Unless it is at 1x, FILEs are read "
    "twice for that, and must not be pipes. Times in attributes stay."
)
_WHOLE_HELP = "Whole traces with a matching span, or only the spans that match (the default)."


def _speed(_context: click.Context, _option: click.Parameter, text: str) -> float | None:
    """10x -> 10.0, max -> None."""
    if text == "max":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x", text)
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{text!r} is neither a speed, as 1x and 10x are, nor max.")
    return float(match[1])


def _sending_options(command: Command) -> Command:
    options = (
        click.option("--to", "url", metavar="URL", required=True, help="The backend, as http://collector:4318."),
        click.option("--speed", metavar="SPEED", default="max", callback=_speed, help=_SPEED_HELP),
        click.option("--parallel", metavar="N", type=_PARALLEL, default=1, help=_PARALLEL_HELP),
        click.option("--max-pause", metavar="TIME", type=period, help=_MAX_PAUSE_HELP),
        click.option("--now", is_flag=True, help=_NOW_HELP),
        click.option("--no-gzip", is_flag=True, help="Send OTLP as it is, which takes less time and more network."),
        click.option(
            "--max-bytes", metavar="SIZE", type=size, help="Of a request's OTLP; the default is just below 20M."
        ),
        click.option(
            "--retry-for", metavar="TIME", type=period, help="How long a message is sent again; 1m by default."
        ),
        click.option("--head", type=click.IntRange(0), metavar="N", help="Only the first N traces."),
        click.option("--whole/--matching", default=False, help=_WHOLE_HELP),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@_sending_options
@client_options
@filter_options
@dictionary_option
@talk_options
def send(
    files: tuple[str, ...],
    head: int | None,
    whole: bool,
    speed: float | None,
    max_pause: int | None,
    now: bool,
    **options: Any,
) -> None:
    """Send each FILE to a backend that takes OTLP/HTTP: a Collector, Jaeger, Tempo and most others.

    Messages go one after the other in the order of the FILEs, as they are: no id, no attribute and, without --now, no
    time is changed. /v1/traces is put behind the URL unless it ends so. A message that is too large for the backend is
    cut between its spans. What the backend cannot take now is sent again; if the connection breaks before it has
    answered, it may have a message twice. With --speed a message is sent as long after the first one as between the
    ends of their last spans.

    Options that say which spans are those of tracezip-cat, whose --help says more.

    Exit status: 0 all spans were taken, 1 some were not or some FILE is bad (which is said on standard error, with how
    much was sent), 2 usage.
    """
    talk = {name: options.pop(name) for name in ("quiet", "verbose", "dictionary")}
    session = new_session(**talk, prints=False)
    names = names_of(files)
    selection = Selection(expression_of(options), whole, head)
    replay = _replay(session, names, _pace(session, names, speed, max_pause), options)
    messages = _messages(session, names, selection)
    if now:
        _check_now(names, speed)
        messages = _moved(messages, session, names, selection, speed)
    began = time.monotonic()
    try:
        with replay:
            for message in messages:
                replay.send(message)
    except (TracezipError, OSError) as problem:  # of sending: those of reading are named where they happen
        what = f"{explained(problem)}; the rest was not sent"
        session.error(_shown_names(names), RefusalError(what))
    _summarise(session, names, replay.report, time.monotonic() - began)
    session.finish()


# --- what is sent -----------------------------------------------------------------------------------------------------


def _messages(session: Session, names: tuple[str, ...], selection: Selection) -> Iterator[bytes]:
    if selection.is_everything:
        return for_each_message(session, names, _checked)
    return selection.messages(session, names)


def _moved(
    messages: Iterator[bytes], session: Session, names: tuple[str, ...], selection: Selection, speed: float | None
) -> Iterator[bytes]:
    """The messages with their times shifted to now. At 1x the first one tells by how much, else it takes the last."""
    from tracezip.live.pacing import shift_to_now
    from tracezip.live.shifting import shifted

    shift_ns = 0
    if speed != 1:
        silent = _Silent(session.program, prints=False, dictionary=session.dictionary)
        shift_ns = shift_to_now(_messages(silent, names, selection), speed or math.inf)
    for message in messages:
        if speed == 1:
            shift_ns = shift_ns or shift_to_now([message], speed)
        yield shifted(message, shift_ns)


class _Silent(Session):
    """For files that are read twice: what is wrong with them is said the second time."""

    shows_progress = False

    def error(self, name: str, problem: Exception) -> None:
        pass


def _check_now(names: tuple[str, ...], speed: float | None) -> None:
    for name in names:
        if speed != 1 and (name == streams.STANDARD or (os.path.exists(name) and not os.path.isfile(name))):
            raise click.UsageError(f"--now reads FILEs twice, which {shown(name)} does not allow: add --speed 1x.")


def _checked(message: bytes) -> bytes:
    """The message if it is OTLP, which the columns know ten times sooner than objects; raises InputError if not."""
    from tracezip.columns import parse_columns

    parse_columns(message)
    return message


# --- how it is sent ---------------------------------------------------------------------------------------------------


def _pace(session: Session, names: tuple[str, ...], speed: float | None, max_pause: int | None) -> Pace | None:
    from tracezip.live.limits import PAUSE_SECONDS
    from tracezip.live.pacing import LastSpan, Pace

    if speed is None:
        if max_pause is not None:
            raise click.UsageError("--max-pause does nothing without --speed.")
        return None
    warnings: list[LastSpan] = []

    def warn(span: LastSpan) -> None:
        if not warnings:
            what = "is far away in time from what was sent before; its message, and others like it, are not waited for"
            session.warn(_shown_names(names), f"{span}, {what}")
        warnings.append(span)

    return Pace(speed, max_pause=max_pause or PAUSE_SECONDS, on_far=warn)


def _replay(session: Session, names: tuple[str, ...], pace: Pace | None, options: dict[str, Any]) -> Replay:
    from tracezip.live import limits
    from tracezip.live.otlp_http import OtlpSender, traces_url
    from tracezip.live.replay import Replay

    max_bytes = options["max_bytes"] or limits.MAX_OTLP_BYTES
    try:
        sender = OtlpSender(
            traces_url(options["url"]),
            client_of(options),
            compression="none" if options["no_gzip"] else "gzip",
            max_bytes=max_bytes,
            deadline=limits.REPLAY_REQUEST_SECONDS,
        )
    except (InputError, OSError) as problem:
        raise click.UsageError(explained(problem)) from None
    return Replay(
        sender,
        pace=pace,
        max_bytes=max_bytes,
        parallel=options["parallel"],
        patience=options["retry_for"] or limits.REPLAY_PATIENCE_SECONDS,
        on_rejected=lambda why: session.error(_shown_names(names), RefusalError(f"spans were rejected: {why}")),
    )


def _shown_names(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _summarise(session: Session, names: tuple[str, ...], report: Report, seconds: float) -> None:
    """Said always if anything failed, for then it is not known otherwise how much was sent."""
    text = (
        f"{report.n_spans:,} spans sent in {report.n_messages:,} messages, {human_bytes(report.n_bytes)}, "
        f"{seconds:.1f} s; {report.n_rejected:,} spans rejected"
    )
    if session.failed:
        session.warn(_shown_names(names), text)
    else:
        session.note(f"{', '.join(map(shown, names))}: {text}")
