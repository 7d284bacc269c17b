"""FORMAT.md, "Times"."""

from __future__ import annotations

from tracezip.errors import damaged_section
from tracezip.reference.contexts import MASK64, PAIR, F, code_number
from tracezip.reference.state import Mention, State, Trace, cheapest, learn_costs
from tracezip.reference.tables import Clock, Op, Path, Record

Bases = dict[int, int]
"""The times that a time may be told from, those that are there."""
MAX_GRAIN = 9
"""A grain is a power of ten, ns."""


def _code_grains(s: State, clock: Clock, n: int) -> None:
    """The granularity of a path's clocks, told when the path is first met in a block."""
    if clock.met_in_block == s.block:
        return
    clock.met_in_block = s.block
    for i in range(n):
        guess = clock.grains[i] if clock.is_known else s.last_grains[i]
        grain = s.nibble(s.coders["times"], clock.next_grains[i], F.GRAIN, i, guess << 1 | clock.is_known)
        if grain > MAX_GRAIN:
            raise damaged_section("times")
        clock.grains[i] = s.last_grains[i] = grain
    clock.is_known = True


def _code_start(s: State, path: Path, family: int, bases: Bases, start: int) -> int:
    grain = int(10 ** path.clock.grains[0])
    bases = {i: base // grain for i, base in bases.items()}
    return _code_ticks(s, path, family, path.clock.start_costs, bases, start // grain) * grain & MASK64


def _code_ticks(s: State, path: Path, family: int, costs: list[int], bases: Bases, ticks: int) -> int:
    """A time as its difference to the cheapest base."""
    at = cheapest(costs, list(bases))
    context = s.contexts.get(PAIR, family, path.number, at)
    ticks = bases[at] + code_number(s.coders["times"], context, ticks - bases[at] & MASK64) & MASK64
    learn_costs(costs, bases, ticks)
    return ticks


def _signed(value: int) -> int:
    """A number modulo 2^64 as a signed one."""
    return value - (1 << 64) if value >> 63 else value


def _code_length(s: State, path: Path, bases: Bases, length: int) -> int:
    """A length of time modulo 2^64, signed: grains are rounded down."""
    grain = int(10 ** path.clock.grains[1])
    bases = {i: _signed(base) // grain & MASK64 for i, base in bases.items()}
    ticks = _signed(length) // grain & MASK64
    return _code_ticks(s, path, F.LENGTH, path.clock.length_costs, bases, ticks) * grain & MASK64


def code_span_times(
    s: State, record: Record, path: Path, trace: Trace, own: Mention | None, up: Mention | None, again: bool
) -> None:
    """Start and end of a span, as far as it has them.

    `own` and `up` are its own mention and its parent's; `again`: it has been sent before.
    """
    _code_grains(s, path.clock, 2)
    if path.schema.has[Op.START]:
        starts = _span_start_bases(path, trace, own, up, again)
        record.start = path.clock.last_start = _code_start(s, path, F.START, starts, record.start)
    if path.schema.has[Op.END]:
        lengths = _span_length_bases(path, record.start, own, again)
        path.clock.last_length = _code_length(s, path, lengths, record.end - record.start & MASK64)
        record.end = record.start + path.clock.last_length & MASK64
    _learn_span(s, record, path, trace, own, up)


def _span_start_bases(path: Path, trace: Trace, own: Mention | None, up: Mention | None, again: bool) -> Bases:
    bases = {0: path.clock.last_start}
    if trace.last_path:
        bases[1] = trace.last_start
    if up and up.seen:
        bases[2] = up.start
    if up and up.has_children:
        bases[3], bases[4] = up.child_end, up.child_start
    if own and own.has_children:
        bases[5] = own.first_start
    if own and again:
        bases[6] = own.start
    return bases


def _span_length_bases(path: Path, start: int, own: Mention | None, again: bool) -> Bases:
    bases = {0: 0, 1: path.clock.last_length}
    if own and own.has_children:
        bases[2] = own.last_end - start & MASK64
    if own and again:
        bases[3] = own.length
    return bases


def _learn_span(s: State, record: Record, path: Path, trace: Trace, own: Mention | None, up: Mention | None) -> None:
    trace.last_start, trace.last_path = record.start, path
    if own:
        own.start, own.length = record.start, record.end - record.start & MASK64
    if up:
        _learn_child(up, record)
    s.last_trace, s.last_path_number = trace, path.number


def _learn_child(up: Mention, record: Record) -> None:
    if not up.has_children:
        up.first_start = record.start
    up.has_children = True
    up.child_start, up.child_end = record.start, record.end
    if not up.last_end or _signed(record.end - up.last_end & MASK64) > 0:
        up.last_end = record.end


def code_event_time(s: State, record: Record, path: Path, span: Record, last: int | None, last_time: int) -> int:
    """The time of an event, if it has one; returns the last time of an event, or of the span's start."""
    if not path.schema.has[Op.START]:
        return last_time
    _code_grains(s, path.clock, 1)
    bases = {1: span.start, 2: span.end} if last is None else {0: last_time, 1: span.start, 2: span.end}
    record.start = _code_start(s, path, F.EVENT_TIME, bases, record.start)
    return record.start
