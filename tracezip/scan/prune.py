"""Which units cannot hold a span that is asked for, by what the index says of them.

An expression is looked at for groups of spans of which something is known: those of a unit that have the same service,
the same name, and have failed or not. For each comparison it is said whether it can hold for one of them, and whether
it can fail to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tracezip.convert.spans import STATUS_ERROR
from tracezip.expression import RESOURCE, And, Comparison, Expression, Field, Not, Or
from tracezip.index import Pair, Summary

_SERVICE_NAME = Field(RESOURCE, "service.name")
_ID_DIGITS = 32
_LEAST, _MOST = -(1 << 64), 1 << 64

Possible = tuple[bool, bool]
"""Whether it can hold, and whether it can fail to."""
_UNKNOWN = True, True


class _Group(NamedTuple):
    unit: Summary
    service: str | None
    """None: not known."""
    name: str | None
    is_failed: bool | None
    max_duration: int


class Pruner:
    """An expression, for any number of units."""

    def __init__(self, where: Expression) -> None:
        self._where = where
        self._known: dict[tuple[int, str], Possible] = {}

    def may_match(self, unit: Summary) -> bool:
        """False only if no span of the unit is asked for."""
        if not self._possible(self._where, _Group(unit, None, None, None, unit.max_duration))[0]:
            return False
        return any(self._possible(self._where, group)[0] for pair in unit.pairs for group in _groups(unit, pair))

    def _possible(self, e: Expression, group: _Group) -> Possible:
        if isinstance(e, Comparison):
            return self._comparison(e, group)
        if isinstance(e, Not):
            can_hold, can_fail = self._possible(e.term, group)
            return can_fail, can_hold
        if not isinstance(e, And | Or):
            return _UNKNOWN
        can_hold, can_fail = isinstance(e, And), isinstance(e, Or)
        for term in e.terms:
            holds, fails = self._possible(term, group)
            if isinstance(e, And):
                can_hold, can_fail = can_hold and holds, can_fail or fails
            else:
                can_hold, can_fail = can_hold or holds, can_fail and fails
            if can_hold != can_fail and can_hold != isinstance(e, And):
                break  # nothing can change it
        return can_hold, can_fail

    def _comparison(self, c: Comparison, group: _Group) -> Possible:
        if c.field.scope:
            return self._text(c, group.service or None) if c.field == _SERVICE_NAME else _UNKNOWN
        of_field = _OF_FIELD.get(c.field.key)
        if of_field is not None:
            return of_field(c, group)
        if c.field.key == "service":
            return self._text(c, group.service)
        return self._text(c, group.name) if c.field.key == "name" else _UNKNOWN

    def _text(self, c: Comparison, text: str | None) -> Possible:
        if text is None:
            return _UNKNOWN
        key = id(c), text
        if key not in self._known:
            holds = c.test(text)
            self._known[key] = holds, not holds
        return self._known[key]


def _groups(unit: Summary, pair: Pair) -> Iterator[_Group]:
    if pair.n_errors:
        yield _Group(unit, pair.service, pair.name, True, pair.max_error_duration)
    if pair.n_spans > pair.n_errors:
        yield _Group(unit, pair.service, pair.name, False, pair.max_duration)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _between(c: Comparison, least: int, most: int) -> Possible:
    """Of a whole number. What a comparison says changes only at the values that it names."""
    named = c.value if isinstance(c.value, tuple) else (c.value,)
    near = [int(value) + i for value in named if isinstance(value, int) for i in (-1, 0, 1)]
    holds = {c.test(number) for number in (least, most, *near) if least <= number <= most}
    return True in holds, False in holds


def _status(c: Comparison, group: _Group) -> Possible:
    if group.is_failed:
        return _between(c, STATUS_ERROR, STATUS_ERROR)
    below, above = _between(c, _LEAST, STATUS_ERROR - 1), _between(c, STATUS_ERROR + 1, _MOST)
    if group.is_failed is None and group.unit.n_errors:
        return _UNKNOWN
    return below[0] or above[0], below[1] or above[1]


def _duration(c: Comparison, group: _Group) -> Possible:
    """One of 0 stands for all that end before they start."""
    least = group.unit.min_duration or _LEAST
    return _between(c, least, max(group.max_duration, least))


def _start(c: Comparison, group: _Group) -> Possible:
    """If a duration is 0, some span may end before it starts, which may be behind all ends."""
    most = group.unit.max_end if group.unit.min_duration else _MOST
    return _between(c, group.unit.min_start, max(most, group.unit.min_start))


def _end(c: Comparison, group: _Group) -> Possible:
    least = group.unit.min_start if group.unit.min_duration else 0
    return _between(c, least, max(group.unit.max_end, least))


def _trace_id(c: Comparison, group: _Group) -> Possible:
    whole = c.op in ("=", "in") or (c.op == "^=" and len(str(c.value)) == _ID_DIGITS)
    if not whole or c.value is None:
        return _UNKNOWN
    ids = c.value if isinstance(c.value, tuple) else (c.value,)
    return any(_may_have(group.unit, str(trace_id)) for trace_id in ids), True


def _may_have(unit: Summary, trace_id: str) -> bool:
    try:
        return unit.last_sixteenth(bytes.fromhex(trace_id)) is not None
    except ValueError:
        return False  # no id is written so


_OF_FIELD: dict[str, Callable[[Comparison, _Group], Possible]] = {
    "status": _status,
    "duration": _duration,
    "start": _start,
    "end": _end,
    "trace_id": _trace_id,
}
