"""FORMAT.md, "Times"."""

from __future__ import annotations

from tracezip.errors import damaged_section
from tracezip.reference.contexts import MASK64, SIGNED_BITS, F, code_signed, code_tree
from tracezip.reference.state import Mention, State, Trace, cheapest, learn_costs
from tracezip.reference.tables import Clock, Op, Path, Record

MAX_GRAIN = 9
"""A grain is a power of ten, ns."""


def _code_grains(s: State, clock: Clock, n: int) -> None:
    """The granularity of a path's clocks, told when the path is first met in a block."""
    if clock.met_in_block == s.block:
        return
    clock.met_in_block = s.block
    for i in range(n):
        guess = clock.grains[i] if clock.is_known else s.last_grains[i]
        bits = s.contexts.get(16, F.GRAIN, i, guess << 1 | clock.is_known)
        grain = code_tree(s.coders["times"], bits, 4, clock.next_grains[i])
        if grain > MAX_GRAIN:
            raise damaged_section("times")
        clock.grains[i] = s.last_grains[i] = grain
    clock.is_known = True


def _code_start(s: State, path: Path, family: int, bases: list[int], available: list[int], start: int) -> int:
    clock = path.clock
    grain = int(10 ** clock.grains[0])
    bases = [base // grain for base in bases]
    at = cheapest(clock.start_costs, available)
    bits = s.contexts.get(SIGNED_BITS, family, path.number, at)
    ticks = bases[at] + code_signed(s.coders["times"], bits, start // grain - bases[at] & MASK64) & MASK64
    learn_costs(clock.start_costs, bases, available, ticks)
    return ticks * grain & MASK64


def _signed(value: int) -> int:
    """A number modulo 2^64 as a signed one."""
    return value - (1 << 64) if value >> 63 else value


def _code_length(s: State, path: Path, bases: list[int], length: int) -> int:
    """A length of time modulo 2^64; all bases are available."""
    clock, available = path.clock, range(len(bases))
    grain = int(10 ** clock.grains[1])
    bases = [_signed(base) // grain & MASK64 for base in bases]
    at = cheapest(clock.length_costs, available)
    bits = s.contexts.get(SIGNED_BITS, F.LENGTH, path.number, at)
    difference = _signed(length) // grain - bases[at] & MASK64
    ticks = bases[at] + code_signed(s.coders["times"], bits, difference) & MASK64
    learn_costs(clock.length_costs, bases, available, ticks)
    return ticks * grain & MASK64


def code_span_times(
    s: State, record: Record, path: Path, trace: Trace, own: Mention | None, up: Mention | None
) -> None:
    """Start and end of a span, as far as it has them; `own` and `up` are its own mention and its parent's."""
    _code_grains(s, path.clock, 2)
    if path.schema.has[Op.START]:
        _code_span_start(s, record, path, trace, own, up)
    if path.schema.has[Op.END]:
        _code_span_end(s, record, path, own)
    _learn_span(s, record, path, trace, own, up)


def _code_span_start(
    s: State, record: Record, path: Path, trace: Trace, own: Mention | None, up: Mention | None
) -> None:
    bases, available = [path.clock.last_start, trace.last_start, 0, 0, 0, 0], [0, 1]
    if up and up.seen:
        bases[2] = up.start
        available += [2]
    if up and up.has_children:
        bases[3:5] = up.child_end, up.child_start
        available += [3, 4]
    if own and own.has_children:
        bases[5] = own.first_start
        available += [5]
    record.start = path.clock.last_start = _code_start(s, path, F.START, bases, available, record.start)


def _code_span_end(s: State, record: Record, path: Path, own: Mention | None) -> None:
    bases = [0, path.clock.last_length]
    if own and own.has_children:
        bases.append(own.child_end - record.start & MASK64)
    path.clock.last_length = _code_length(s, path, bases, record.end - record.start & MASK64)
    record.end = record.start + path.clock.last_length & MASK64


def _learn_span(s: State, record: Record, path: Path, trace: Trace, own: Mention | None, up: Mention | None) -> None:
    trace.last_start, trace.last_path = record.start, path
    if own:
        own.start = record.start
    if up:
        if not up.has_children:
            up.first_start = record.start
        up.has_children = True
        up.child_start, up.child_end = record.start, record.end
    s.last_trace, s.last_path_number = trace, path.number


def code_event_time(s: State, record: Record, path: Path, span: Record, last: int | None, last_time: int) -> int:
    """The time of an event, if it has one; returns the last time of an event, or of the span's start."""
    if not path.schema.has[Op.START]:
        return last_time
    _code_grains(s, path.clock, 1)
    bases, available = [last_time, span.start, span.end], [1, 2] if last is None else [0, 1, 2]
    record.start = _code_start(s, path, F.EVENT_TIME, bases, available, record.start)
    return record.start
