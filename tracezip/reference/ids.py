"""FORMAT.md, "Traces" and "Ids and mentions"; and links, which name both."""

from __future__ import annotations

from collections.abc import Sequence

from tracezip.errors import damaged_section
from tracezip.reference.coder import Coder
from tracezip.reference.contexts import PAIR, SMALL, F, code_number, code_small
from tracezip.reference.drawn import Origin
from tracezip.reference.format_limits import MAX_REACH
from tracezip.reference.generated import ROLE_OWN, ROLE_PARENT, ROLE_TRACE, code_origin, drawn_ids, origin_holds
from tracezip.reference.state import Mention, State, Trace
from tracezip.reference.tables import Op, Record

_AWAITED, _SEEN = 0, 1

_SAME_TRACE, _NEXT_TRACE, _NEW_TRACE, _OLD_TRACE, _OLDER_TRACE = 0, 1, 2, 3, 15
"""How a trace is told."""
_RAW, _OF_TRACE, _GENERATED, _KNOWN, OWN_SEEN, _FAR = 0, 1, 2, 3, 14, 15
"""How a span's own id and its parent's are told."""
_HALF, _GENERATED_TRACE = 1, 2
"""How a trace's id is told: the upper half is 0, a generator drew it, or both."""
_OWN_NEAR, _PARENT_NEAR = 11, 6
"""How many ranks have a number of their own."""


def _code_id(s: State, span_id: int) -> int:
    return int.from_bytes(s.plains["ids"].take(8, span_id.to_bytes(8, "big")), "big")


# --- traces -----------------------------------------------------------------------------------------------------------


def code_trace(s: State, trace_id: tuple[int, int], origin: Origin | None) -> Trace:
    """The trace of a span: that of the span before, the one that followed it last time, a new one, or another."""
    coder, last = s.coders["structure"], s.last_trace
    given = last if last.trace_id == trace_id else s.trace_by_id.get(trace_id)
    told = s.nibble(coder, _trace_symbol(s, given) if s.writing else 0, F.TRACE, s.last_path_number)
    if told == _SAME_TRACE:
        return last
    trace: Trace | None
    if told == _NEXT_TRACE:
        trace = last.next
    elif told == _NEW_TRACE:
        trace_id, origin = _code_trace_id(s, coder, trace_id, origin)
        trace = s.add_trace(trace_id)
        trace.origin = origin
        s.trace_by_id[trace.trace_id] = trace
    else:
        trace = _code_old_trace(s, coder, told, given)
    if trace is None:
        raise damaged_section("structure")
    last.next = trace
    return trace


def _trace_symbol(s: State, trace: Trace | None) -> int:
    if trace is s.last_trace:
        return _SAME_TRACE
    if trace is None:
        return _NEW_TRACE
    if trace is s.last_trace.next:
        return _NEXT_TRACE
    return min(_OLD_TRACE + _traces_since(s, trace), _OLDER_TRACE)


def _traces_since(s: State, trace: Trace | None) -> int:
    return len(s.traces) - 1 - trace.number if trace else 0


def _trace_before(s: State, back: int) -> Trace:
    if back >= len(s.traces):
        raise damaged_section("structure")
    return s.traces[-1 - back]


def _code_old_trace(s: State, coder: Coder, told: int, trace: Trace | None) -> Trace:
    """A trace that was told before, by how many came since."""
    back = told - _OLD_TRACE
    if told == _OLDER_TRACE:
        back += code_number(coder, s.contexts.get(PAIR, F.TRACE_BACK), _traces_since(s, trace) - back)
    return _trace_before(s, back)


def _code_trace_id(
    s: State, coder: Coder, trace_id: tuple[int, int], origin: Origin | None
) -> tuple[tuple[int, int], Origin | None]:
    upper, lower = trace_id
    told = _GENERATED_TRACE if origin_holds(s, origin, trace_id if upper else (lower,)) else 0
    told = s.nibble(coder, told + (not upper), F.TRACE_ID, s.resource_path)
    if told > _GENERATED_TRACE + _HALF:
        raise damaged_section("structure")
    n_ids = 1 if told & _HALF else 2
    if told & _GENERATED_TRACE:
        origin = code_origin(s, ROLE_TRACE, s.resource_path, (None, None, None), n_ids, origin)
        halves = drawn_ids(origin, n_ids)
        return (halves[0] if n_ids == 2 else 0, halves[-1]), origin
    return (_code_id(s, upper) if n_ids == 2 else 0, _code_id(s, lower)), None


# --- mentions ---------------------------------------------------------------------------------------------------------


def _unlink(m: Mention) -> None:
    if m.before:
        m.before.after = m.after
    else:
        m.trace.fronts[m.seen] = m.after
    if m.after:
        m.after.before = m.before


def _to_front(m: Mention) -> None:
    front = m.trace.fronts[m.seen]
    m.before, m.after = None, front
    if front:
        front.before = m
    m.trace.fronts[m.seen] = m


def _add(s: State, trace: Trace, span_id: int, seen: bool) -> Mention:
    mention = Mention(trace, span_id, seen)
    s.n_mentions += 1
    s.mention_by_id[span_id] = mention
    _to_front(mention)
    return mention


def _find(s: State, trace: Trace, span_id: int) -> Mention | None:
    """Writer: the latest mention of an id, if it is in this trace."""
    mention = s.mention_by_id.get(span_id) if s.writing else None
    return mention if mention and mention.trace is trace else None


def _rank(mention: Mention | None) -> int | None:
    """Writer: how far down its list a mention is, None if that is too far."""
    if mention is None:
        return None
    rank = 0
    while mention.before:
        mention, rank = mention.before, rank + 1
        if rank > MAX_REACH:
            return None
    return rank


def _at_rank(trace: Trace, seen: int, rank: int) -> Mention:
    mention = trace.fronts[seen]
    for _ in range(min(rank, MAX_REACH)):
        mention = mention.after if mention else None
    if mention is None or rank > MAX_REACH:
        raise damaged_section("structure")
    return mention


def _code_rank(s: State, family: int, path: int, seen: int, rank: int) -> int:
    return code_small(s.coders["structure"], s.contexts.get(SMALL, family, path, seen), rank)


def _code_value(
    s: State, told: int, role: int, path: int, mention: Mention, near: Sequence[Origin | None], origin: Origin | None
) -> None:
    """The value of an id that was not mentioned before."""
    if told == _OF_TRACE:
        mention.span_id, mention.origin = mention.trace.trace_id[1], mention.trace.origin
    elif told == _RAW:
        mention.span_id = _code_id(s, mention.span_id)
    else:
        mention.origin = code_origin(s, role, path, near, 1, origin)
        (mention.span_id,) = drawn_ids(mention.origin, 1)


def _fresh_symbol(s: State, trace: Trace, span_id: int, origin: Origin | None) -> int:
    if span_id == trace.trace_id[1]:
        return _OF_TRACE
    return _GENERATED if origin_holds(s, origin, (span_id,)) else _RAW


def code_own_id(s: State, trace: Trace, path: int, span_id: int, origin: Origin | None) -> tuple[Mention, int]:
    """A span's own id: fresh, or awaited because a child named it, or seen because the span was sent before.

    The value of a fresh one is told later, when the parent is known. Returns the mention and how it is told.
    """
    mention = _find(s, trace, span_id)
    rank = _rank(mention)
    told = _own_symbol(s, trace, span_id, mention, rank, origin) if s.writing else 0
    told = s.nibble(s.coders["structure"], told, F.OWN, path)
    if told < _KNOWN:
        return _add(s, trace, span_id, True), told
    rank = rank or 0
    if told == OWN_SEEN:
        rank = _code_rank(s, F.OWN_RANK, path, _SEEN, rank)
    elif told == _FAR:
        rank = _OWN_NEAR + _code_rank(s, F.OWN_RANK, path, _AWAITED, rank - _OWN_NEAR)
    else:
        rank = told - _KNOWN
    mention = _at_rank(trace, int(told == OWN_SEEN), rank)
    _unlink(mention)
    mention.seen = True
    _to_front(mention)
    return mention, told


def _own_symbol(
    s: State, trace: Trace, span_id: int, mention: Mention | None, rank: int | None, origin: Origin | None
) -> int:
    if mention is None or rank is None:
        return _fresh_symbol(s, trace, span_id, origin)
    if mention.seen:
        return OWN_SEEN
    return _KNOWN + rank if rank < _OWN_NEAR else _FAR


def code_own_value(s: State, told: int, path: int, own: Mention, parent: Mention | None, origin: Origin | None) -> None:
    """The value of a span's own id, if it is fresh."""
    if told < _KNOWN:
        near = (parent.child if parent else None, parent.origin if parent else None, own.trace.origin)
        _code_value(s, told, ROLE_OWN, path, own, near, origin)


def code_parent_id(
    s: State, trace: Trace, path: int, span_id: int, own: Mention | None, origin: Origin | None
) -> Mention:
    """A parent's id: that of a span awaited or seen in the trace, which may be the span itself, or fresh."""
    coder, mention = s.coders["structure"], _find(s, trace, span_id)
    rank = _rank(mention)
    told = _parent_symbol(s, trace, span_id, mention, rank, origin) if s.writing else 0
    told = s.nibble(coder, told, F.PARENT, path)
    if told < _KNOWN:
        fresh = _add(s, trace, span_id, False)
        near = (own.origin if own else None, own.child if own else None, trace.origin)
        _code_value(s, told, ROLE_PARENT, path, fresh, near, origin)
        return fresh
    if told == _FAR:
        seen = int(s.bit(coder, mention is not None and mention.seen, F.PARENT_SEEN, path))
        rank = _PARENT_NEAR + _code_rank(s, F.PARENT_RANK, path, seen, (rank or 0) - _PARENT_NEAR)
    else:
        seen, rank = divmod(told - _KNOWN, _PARENT_NEAR)
    mention = _at_rank(trace, seen, rank)
    _unlink(mention)
    _to_front(mention)
    return mention


def _parent_symbol(
    s: State, trace: Trace, span_id: int, mention: Mention | None, rank: int | None, origin: Origin | None
) -> int:
    if mention is None or rank is None:
        return _fresh_symbol(s, trace, span_id, origin)
    return _KNOWN + mention.seen * _PARENT_NEAR + rank if rank < _PARENT_NEAR else _FAR


# --- links ------------------------------------------------------------------------------------------------------------


def code_link_ids(s: State, record: Record, path: int) -> None:
    """The ids of a link, which may name any trace and any of its spans."""
    trace = None
    if record.schema.has[Op.TRACE_ID]:
        trace, record.trace_id = _code_link_trace(s, record.trace_id, path)
    if record.schema.has[Op.SPAN_ID]:
        record.span_id = _code_link_span(s, trace, record.span_id, path)


def _code_link_trace(s: State, trace_id: tuple[int, int], path: int) -> tuple[Trace | None, tuple[int, int]]:
    coder = s.coders["structure"]
    trace = s.trace_by_id.get(trace_id) if s.writing else None
    if not s.bit(coder, trace is not None, F.LINK_TRACE, path):
        return None, _code_trace_id(s, coder, trace_id, None)[0]
    trace = _trace_before(s, code_number(coder, s.contexts.get(PAIR, F.LINK_BACK, path), _traces_since(s, trace)))
    return trace, trace.trace_id


def _code_link_span(s: State, trace: Trace | None, span_id: int, path: int) -> int:
    if trace is None:
        return _code_id(s, span_id)
    coder, mention = s.coders["structure"], _find(s, trace, span_id)
    rank = _rank(mention)
    if not s.bit(coder, rank is not None, F.LINK_KNOWN, path):
        return _code_id(s, span_id)
    seen = s.bit(coder, mention is not None and mention.seen, F.LINK_SEEN, path)
    return _at_rank(trace, int(seen), _code_rank(s, F.LINK_RANK, path, 0, rank or 0)).span_id
