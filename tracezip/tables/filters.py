"""Filters of columns, as query engines have them, -> expressions that hold at least where the filters do.

Engines filter what they get again; so what cannot be said as an expression may be left out.
"""

from __future__ import annotations

import re
from typing import Any

from tracezip.errors import InputError
from tracezip.expression import And, Comparison, Expression, Field, Or
from tracezip.scan.columns import COLUMNS

TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The orders of two things, and of the same the other way round."""
_WRAPS_AT = 1 << 63
"""Numbers from here on are negative in columns."""
_ID = re.compile(r"(?=.*[1-9a-f])[0-9a-f]+")


def both(one: Expression | None, other: Expression | None) -> Expression | None:
    """Of two filters of which both hold, None being any."""
    if one is None or other is None:
        return one or other
    return And((one, other))


def either(one: Expression | None, other: Expression | None) -> Expression | None:
    return None if one is None or other is None else Or((one, other))


def comparison(column: str, op: str, value: Any) -> Expression | None:
    """A comparison of a column with a value; None where no expression can say as much."""
    field = COLUMNS[column].field if column in COLUMNS else None
    if field is None or not _is_comparable(field, op, value):
        return None
    try:
        compared = Comparison(field, op, value)
    except InputError:
        return None
    if field.key not in ("start", "end", "duration"):
        return compared
    return Or((compared, Comparison(field, ">=", _WRAPS_AT), Comparison(field, "<", -_WRAPS_AT)))


def _is_comparable(field: Field, op: str, value: Any) -> bool:
    """Whether a field and its column mean the same. In a column an id that is none is a text without characters."""
    if field.kind == "id":
        return op in ("=", "^=") and isinstance(value, str) and _ID.fullmatch(value) is not None
    return isinstance(value, str) if field.kind == "text" else type(value) is int


def columns_in(text: str) -> list[str]:
    """The columns that are named in the text of a filter, and perhaps others."""
    words = set(re.findall(r"\w+", text))
    return [name for name in COLUMNS if name in words]
