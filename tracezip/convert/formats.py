"""The formats that traces can be written in besides OTLP, by name. All writers have one shape; see `Writer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

from tracezip.convert.csv_rows import write_csv
from tracezip.convert.jaeger import write_jaeger
from tracezip.convert.parquet import write_parquet
from tracezip.convert.perfetto import write_perfetto
from tracezip.convert.spans import Span, read_spans
from tracezip.convert.whole_traces import whole_traces
from tracezip.convert.zipkin import write_zipkin
from tracezip.errors import InputError

Writer = Callable[[Iterable[Sequence[Span]], BinaryIO], None]
"""Takes traces, each a sequence of spans, and writes them to a binary stream as one document, with one in memory."""

PIECE_SPANS = 512


class Format(NamedTuple):
    """`needs_whole_traces`: the writer must be given each trace once and whole; otherwise its spans in any pieces."""

    write: Writer
    needs_whole_traces: bool


FORMATS = {
    "jaeger": Format(write_jaeger, needs_whole_traces=True),
    "zipkin": Format(write_zipkin, needs_whole_traces=False),
    "perfetto": Format(write_perfetto, needs_whole_traces=True),
    "csv": Format(write_csv, needs_whole_traces=False),
    "parquet": Format(write_parquet, needs_whole_traces=False),
}


def write_format(name: str, messages: Iterable[bytes], stream: BinaryIO) -> None:
    """Writes OTLP protobuf messages in the format `name`, one of `FORMATS`.

    Raises InputError for a message that is not OTLP, or if the format cannot hold what it says; what was written
    before that is incomplete.
    """
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}; choose one of {', '.join(FORMATS)}")
    traces = whole_traces(messages) if FORMATS[name].needs_whole_traces else _pieces(messages)
    FORMATS[name].write(traces, stream)


def _pieces(messages: Iterable[bytes]) -> Iterator[list[Span]]:
    """The spans in order, some at a time: as objects, a whole message could take much memory."""
    for index, message in enumerate(messages):
        spans = read_spans(message)
        try:
            while piece := list(islice(spans, PIECE_SPANS)):
                yield piece
        except InputError as error:
            raise InputError(f"message {index}: {error}", offset=error.offset) from None
