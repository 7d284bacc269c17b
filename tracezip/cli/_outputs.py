"""The forms in which `tracezip-cat` gives traces out."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from tracezip.cli import _streams as streams
from tracezip.cli._selection import Selection
from tracezip.cli._session import Session

if TYPE_CHECKING:
    from tracezip.convert.spans import Span
    from tracezip.show import Style, Trace

OTLP_CONTAINERS = {"otlp-jsonl": "jsonl", "otlp-json": "json", "otlp-proto": "otlp"}
TEXTS = ("tree", "waterfall")
FORMATS = ("jaeger", "zipkin", "perfetto", "parquet", "csv")
FORMS = (*TEXTS, *OTLP_CONTAINERS, *FORMATS)
WHOLE = frozenset({*TEXTS, "jaeger", "zipkin", "perfetto"})
"""The forms that are for looking at a trace, so that all of it is given if a part of it matches."""
BINARY = frozenset({"otlp-proto", "parquet"})
COLOURS = ("auto", "always", "never")


def text_style(color: str) -> Style:
    """How to write text on standard output: as wide as the terminal, with the colours and characters it has."""
    from tracezip.show import Style
    from tracezip.show.text import can_draw

    wants_colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    coloured = color == "always" or (color == "auto" and wants_colour and sys.stdout.isatty())
    return Style(shutil.get_terminal_size((0, 0)).columns, coloured, can_draw(sys.stdout.encoding))


def write_texts(traces: Iterable[list[Span]], lines_of: Callable[[Trace], Iterable[str]], out: BinaryIO) -> None:
    """The lines of each trace; those of traces with several lines are set apart by an empty one."""
    from tracezip.show import Trace

    was_long = False
    for spans in traces:
        lines = lines_of(Trace(spans))
        write_lines([""] if was_long else [], out)
        was_long = write_lines(lines, out) > 1


def write_lines(lines: Iterable[str], out: BinaryIO) -> int:
    """Text on standard output, whatever its encoding; returns how many lines."""
    encoding, n_lines = sys.stdout.encoding or "utf-8", 0
    for line in lines:
        out.write(line.encode(encoding, "backslashreplace") + b"\n")
        n_lines += 1
    out.flush()
    return n_lines


def write_otlp(messages: Iterable[bytes], out: BinaryIO, form: str) -> None:
    """OTLP messages in one of `OTLP_CONTAINERS`."""
    from tracezip.files import write_messages

    write_messages(_flushed(messages, out), out, OTLP_CONTAINERS[form])


def write_format(session: Session, names: Sequence[str], selection: Selection, out: BinaryIO, form: str) -> None:
    """What was asked for, in one of `FORMATS`."""
    from tracezip.convert.formats import FORMATS as TABLE

    pieces = selection.traces if TABLE[form].needs_whole_traces else selection.chosen
    TABLE[form].write((chosen.spans for chosen in pieces(session, names)), out)


def _flushed(messages: Iterable[bytes], out: BinaryIO) -> Iterator[bytes]:
    """What is written of a message is seen before the next one is waited for."""
    for message in messages:
        yield message
        out.flush()


def to_standard_output(session: Session, write: Callable[[BinaryIO], None]) -> None:
    """Writes; errors of writing are named as such, and nobody reading any more is none."""

    def work(_: str) -> None:
        with streams.named_sink(sys.stdout.buffer, streams.STANDARD_OUTPUT) as out:
            write(out)

    session.each((streams.STANDARD_OUTPUT,), work)


def json_line(record: object) -> str:
    """For programs: one line in ASCII, in which no character of the data does anything."""
    return json.dumps(record, allow_nan=False)
