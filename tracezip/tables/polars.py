"""Polars: a lazy frame over an archive, which reads what the query needs. Needs polars and pyarrow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

import tracezip
from tracezip.expression import Expression
from tracezip.tables import arrow, filters

_ORDERS = {"Eq": "=", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_NS = {"Nanoseconds": 1, "Microseconds": 10**3, "Milliseconds": 10**6}


def scan_tracezip(file: str | os.PathLike[str]) -> Any:
    """A LazyFrame of the spans of an archive. Filters, columns and row limits of the query reach the archive."""
    path = os.fspath(file)

    def read(columns: list[str] | None, predicate: Any, n_rows: int | None, batch_size: int | None) -> Iterator[Any]:
        where = None if predicate is None else _expression(_tree(predicate))
        named = [] if predicate is None else predicate.meta.root_names()
        wanted = None if columns is None else list(dict.fromkeys([*columns, *named]))
        with tracezip.open(path) as reader:
            for batch in reader.to_arrow_reader(where, wanted):
                frame = pl.DataFrame(batch)
                if predicate is not None:
                    frame = frame.filter(predicate)
                frame = frame if columns is None else frame.select(columns)
                yield frame if n_rows is None else frame.head(n_rows)
                if n_rows is not None:
                    n_rows -= min(len(frame), n_rows)
                    if not n_rows:
                        return

    return register_io_source(read, schema=pl.DataFrame(arrow.schema().empty_table()).schema, is_pure=True)


def _tree(predicate: Any) -> Any:
    """The nodes of an expression of Polars, as far as it gives them away."""
    try:
        return json.loads(predicate.meta.serialize(format="json"))
    except (pl.exceptions.ComputeError, ValueError):
        return {}


def _expression(node: Any) -> Expression | None:
    """What a node asks for at least; None: anything."""
    kind, body = next(iter(node.items())) if isinstance(node, dict) and len(node) == 1 else ("", {})
    if kind == "BinaryExpr":
        return _binary(body["op"], body["left"], body["right"])
    if kind == "Function" and body["function"] == {"StringExpr": "StartsWith"}:
        column, prefix = (_leaf(item) for item in body["input"])
        return filters.comparison(column, "^=", prefix) if isinstance(column, str) else None
    return None


def _binary(op: Any, left: Any, right: Any) -> Expression | None:
    if op == "And":
        return filters.both(_expression(left), _expression(right))
    if op == "Or":
        return filters.either(_expression(left), _expression(right))
    if op not in _ORDERS:
        return None
    order = _ORDERS[op]
    if "Column" not in left:
        left, right, order = right, left, filters.TURNED[order]
    return filters.comparison(left["Column"], order, _leaf(right)) if "Column" in left else None


def _leaf(node: Any) -> Any:
    """A column's name, or the value of a literal; None of anything else."""
    if "Column" in node:
        return node["Column"]
    literal = node.get("Literal", {})
    kind, value = next(iter((literal.get("Scalar") or literal.get("Dyn") or {"": None}).items()))
    if kind == "Datetime":
        return value[0] * _NS[value[1]]
    return value if isinstance(value, str | int) else None
