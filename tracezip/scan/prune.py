"""Which units cannot hold a span that is asked for, by what the index says of them.

An expression is looked at for groups of spans of which something is known: those of a unit that have the same service,
the same name, and have failed or not. For each comparison it is said whether it can hold for one of them, and whether
it can fail to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tracezip.convert.spans import STATUS_ERROR
from tracezip.expression import RESOURCE, And, Comparison, Expression, Field, Not, Or
from tracezip.index import Pair, Summary
from tracezip.index.failures import Kind

SERVICE_NAME = Field(RESOURCE, "service.name")
_OF_KINDS = frozenset({SERVICE_NAME, Field("", "service"), Field("", "name")})
_ID_DIGITS = 32
_LEAST, _MOST = -(1 << 64), 1 << 64

Possible = tuple[bool, bool]
"""Whether it can hold, and whether it can fail to."""
_UNKNOWN = True, True


class _Group(NamedTuple):
    unit: Summary | None
    """None: any, of which nothing is known."""
    service: str | None
    """None: not known."""
    name: str | None
    is_failed: bool | None
    max_duration: int


class Pruner:
    """An expression, for any number of units."""

    def __init__(self, where: Expression) -> None:
        self._where = where
        self._known: dict[tuple[object, ...], Possible] = {}
        self._kinds: tuple[Sequence[Kind], Sequence[int]] = ((), ())
        """Those of the units looked at last, and for each whether a span of it may be asked for."""

    def may_match(self, unit: Summary) -> bool:
        """False only if no span of the unit is asked for."""
        return any(self.who_may_match(unit))

    def who_may_match(self, unit: Summary) -> tuple[bool, bool]:
        """Whether a failed span of the unit may be asked for, and whether another one may."""
        pairs = self._pairs(unit)
        if not pairs or not self._possible(self._where, _Group(unit, None, None, None, unit.max_duration))[0]:
            return False, False
        return any(map(partial(self._failed_may_match, unit), pairs)), any(
            map(partial(self._others_may_match, unit), pairs)
        )

    def verdict(self, c: Comparison, unit: Summary) -> bool | None:
        """What a comparison says of all failed spans of a unit, if that is the same."""
        can_hold, can_fail = self._comparison(c, _Group(unit, None, None, True, unit.max_duration))
        return None if can_hold == can_fail else can_hold

    def _pairs(self, unit: Summary) -> list[Pair]:
        """Those whose service and name may be asked for."""
        pairs = unit.unit_pairs
        if pairs is None or not _OF_KINDS & self._where.fields:
            return unit.pairs
        if self._kinds[0] is not pairs.kinds:
            self._kinds = pairs.kinds, self._wanted_kinds(pairs.kinds)
        return pairs.among(self._kinds[1])

    def _wanted_kinds(self, kinds: Sequence[Kind]) -> list[bool]:
        """Services first: most are not asked for, with none of their names."""

        def may_hold(service: str | None, name: str | None) -> bool:
            return self._possible(self._where, _Group(None, service, name, None, _MOST))[0]

        services = {service: may_hold(service, None) for service in {service for service, _ in kinds}}
        return [services[service] and may_hold(service, name) for service, name in kinds]

    def _failed_may_match(self, unit: Summary, pair: Pair) -> bool:
        group = _Group(unit, pair.service, pair.name, True, pair.max_error_duration)
        return pair.n_errors > 0 and self._possible(self._where, group)[0]

    def _others_may_match(self, unit: Summary, pair: Pair) -> bool:
        group = _Group(unit, pair.service, pair.name, False, pair.max_duration)
        return pair.n_spans > pair.n_errors and self._possible(self._where, group)[0]

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
            return self._text(c, group.service or None) if c.field == SERVICE_NAME else _UNKNOWN
        of_field = _OF_FIELD.get(c.field.key)
        if of_field is not None:
            return _UNKNOWN if group.unit is None else of_field(self, c, group, group.unit)
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

    # --- numbers

    def _between(self, c: Comparison, least: int, most: int) -> Possible:
        """Of a whole number. What a comparison says changes only at the values that it names."""
        key = id(c), least, most
        if key not in self._known:
            named = c.value if isinstance(c.value, tuple) else (c.value,)
            near = [int(value) + i for value in named if isinstance(value, int) for i in (-1, 0, 1)]
            holds = {c.test(number) for number in (least, most, *near) if least <= number <= most}
            self._known[key] = True in holds, False in holds
        return self._known[key]

    def status(self, c: Comparison, group: _Group, unit: Summary) -> Possible:
        if group.is_failed:
            return self._between(c, STATUS_ERROR, STATUS_ERROR)
        if group.is_failed is None and unit.n_errors:
            return _UNKNOWN
        below, above = self._between(c, _LEAST, STATUS_ERROR - 1), self._between(c, STATUS_ERROR + 1, _MOST)
        return below[0] or above[0], below[1] or above[1]

    def duration(self, c: Comparison, group: _Group, unit: Summary) -> Possible:
        """One of 0 stands for all that end before they start."""
        least = unit.min_duration or _LEAST
        return self._between(c, least, max(group.max_duration, least))

    def start(self, c: Comparison, _: _Group, unit: Summary) -> Possible:
        """If a duration is 0, some span may end before it starts, which may be behind all ends."""
        most = unit.max_end if unit.min_duration else _MOST
        return self._between(c, unit.min_start, max(most, unit.min_start))

    def end(self, c: Comparison, _: _Group, unit: Summary) -> Possible:
        least = unit.min_start if unit.min_duration else 0
        return self._between(c, least, max(unit.max_end, least))

    def trace_id(self, c: Comparison, _: _Group, unit: Summary) -> Possible:
        whole = c.op in ("=", "in") or (c.op == "^=" and len(str(c.value)) == _ID_DIGITS)
        if not whole or c.value is None:
            return _UNKNOWN
        ids = c.value if isinstance(c.value, tuple) else (c.value,)
        return any(_may_have(unit, str(trace_id)) for trace_id in ids), True


def _may_have(unit: Summary, trace_id: str) -> bool:
    try:
        return unit.last_sixteenth(bytes.fromhex(trace_id)) is not None
    except ValueError:
        return False  # no id is written so


_OF_FIELD: dict[str, Callable[[Pruner, Comparison, _Group, Summary], Possible]] = {
    "status": Pruner.status,
    "duration": Pruner.duration,
    "start": Pruner.start,
    "end": Pruner.end,
    "trace_id": Pruner.trace_id,
}
