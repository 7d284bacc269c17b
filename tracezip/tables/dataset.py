"""An archive as an Arrow dataset, for DuckDB and all that scan datasets. Needs pyarrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pyarrow.dataset as ds

import tracezip
from tracezip.errors import InputError
from tracezip.expression import Expression
from tracezip.tables import arrow, filters
from tracezip.where import time_ns


class SpanDataset(ds.Dataset):  # type: ignore[misc]
    """The spans of an archive. Columns and filters of a query reach the archive.

    spans = tracezip.tables.dataset.SpanDataset("traces.tzip")
    duckdb.sql("SELECT span_name, count(*) FROM spans WHERE status_code = 2 GROUP BY ALL")
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._path = os.fspath(file)
        self._schema = arrow.schema()

    @property
    def schema(self) -> Any:
        return self._schema

    def scanner(self, columns: list[str] | None = None, filter: Any = None, **options: Any) -> Any:
        """A pyarrow.dataset.Scanner, which is the dataset's way to be read."""
        text = "" if filter is None else str(filter)
        wanted = None if columns is None else list(dict.fromkeys([*columns, *filters.columns_in(text)]))
        batches = self._batches(expression_of(text), wanted)
        return ds.Scanner.from_batches(batches, schema=arrow.schema(wanted), columns=columns, filter=filter, **options)

    def _batches(self, where: Expression | None, columns: list[str] | None) -> Iterator[Any]:
        with tracezip.open(self._path) as reader:
            yield from reader.to_arrow_reader(where, columns)


# --- filters, which pyarrow shows as text only ------------------------------------------------------------------------

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\w.:+-]+|[<>=!]=?|.)', re.DOTALL)
_ORDERS = {"==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OPEN, _CLOSE = "([{", ")]}"


def expression_of(text: str) -> Expression | None:
    """What a filter of pyarrow, as it is shown, asks for at least; None: anything."""
    return _expression(_TOKEN.findall(text.strip()))


def _expression(tokens: list[str]) -> Expression | None:
    if tokens[:1] != ["("] or _end_of(tokens, 0) != len(tokens) - 1:
        return None
    tokens = tokens[1:-1]
    for word, joined in (("and", filters.both), ("or", filters.either)):
        at = _outside(tokens, word)
        if at:
            return joined(_expression(tokens[:at]), _expression(tokens[at + 1 :]))
    if len(tokens) < 3 or tokens[1] not in _ORDERS:
        return None
    return filters.comparison(tokens[0], _ORDERS[tokens[1]], _value(tokens[0], tokens[2:]))


def _outside(tokens: list[str], word: str) -> int:
    """Where a word stands that is in no parentheses; 0 if there is none."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token in _OPEN) - (token in _CLOSE)
        if token == word and not depth:
            return at
    return 0


def _end_of(tokens: list[str], at: int) -> int:
    """Where the parenthesis is closed that is opened at a token."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i] in _OPEN) - (tokens[i] in _CLOSE)
        if not depth:
            return i
    return len(tokens)


def _value(column: str, tokens: list[str]) -> str | int | None:
    """A literal: text, a whole number, or a time."""
    text = "T".join(tokens)
    if text.startswith('"') and len(tokens) == 1:
        return None if "\\" in text else text[1:-1]
    try:
        return time_ns(text) if column == "timestamp" or re.fullmatch(r"-?\d+", text) else None
    except InputError:
        return None
