"""Spans as CSV (RFC 4180, UTF-8, with a header), a line for each span, in the columns of `tracezip.convert.table`.

What CSV cannot hold: types. Containers of attributes are JSON in their column, in which bytes are in base64 and an
empty field is an empty text. It is for spreadsheets and `COPY`, not for a way back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from tracezip.convert.spans import Span
from tracezip.convert.table import COLUMNS
from tracezip.convert.wire import utf8


def write_csv(traces: Iterable[Sequence[Span]], stream: BinaryIO) -> None:
    """Writes all spans, in their order. Memory holds one trace's lines."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for spans in traces:
        writer.writerows([read(span) for read in COLUMNS.values()] for span in spans)
        stream.write(utf8(lines.getvalue()))
        lines.seek(0)
        lines.truncate()
    stream.write(utf8(lines.getvalue()))
