"""FORMAT.md, "Traces" and "Ids and mentions"; and links, which name both."""

from __future__ import annotations

from tracezip.errors import damaged_section
from tracezip.reference.coder import Coder
from tracezip.reference.contexts import SMALL_BITS, WIDE_BITS, F, code_small, code_wide
from tracezip.reference.format_limits import MAX_REACH
from tracezip.reference.state import Mention, State, Trace
from tracezip.reference.tables import Op, Record

_AWAITED, _SEEN = 0, 1


def _code_id(s: State, span_id: int) -> int:
    return int.from_bytes(s.plains["ids"].take(8, span_id.to_bytes(8, "big")), "big")


# --- traces -----------------------------------------------------------------------------------------------------------


def code_trace(s: State, trace_id: tuple[int, int]) -> Trace:
    """The trace of a span: that of the span before, the one that followed it last time, a new one, or another."""
    coder, last = s.coders["structure"], s.last_trace
    given = s.trace_by_id.get(trace_id) if s.writing else None
    if s.bit(coder, given is last, F.TRACE_SAME, s.last_path_number):
        return last
    if last.next is not None and s.bit(coder, given is last.next, F.TRACE_NEXT):
        trace = last.next
    elif s.bit(coder, given is None, F.TRACE_NEW, int(last.next is not None)):
        trace = s.add_trace(_code_trace_id(s, coder, trace_id))
        s.trace_by_id[trace.trace_id] = trace
    else:
        trace = _code_old_trace(s, coder, given, F.TRACE_BACK, 0)
    last.next = trace
    return trace


def _code_trace_id(s: State, coder: Coder, trace_id: tuple[int, int]) -> tuple[int, int]:
    upper, lower = trace_id
    upper = 0 if s.bit(coder, not upper, F.TRACE_HALF) else _code_id(s, upper)
    return upper, _code_id(s, lower)


def _code_old_trace(s: State, coder: Coder, trace: Trace | None, family: int, a: int) -> Trace:
    back = len(s.traces) - 1 - trace.number if trace else 0
    back = code_wide(coder, s.contexts.get(WIDE_BITS, family, a), back)
    if back >= len(s.traces):
        raise damaged_section("structure")
    return s.traces[-1 - back]


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


def _code_ranked(s: State, trace: Trace, seen: int, family: int, path: int, rank: int | None) -> Mention:
    """The mention at a rank of a list."""
    rank = code_small(s.coders["structure"], s.contexts.get(SMALL_BITS, family, path), rank or 0)
    mention = trace.fronts[seen]
    for _ in range(min(rank, MAX_REACH)):
        mention = mention.after if mention else None
    if mention is None or rank > MAX_REACH:
        raise damaged_section("structure")
    return mention


def _code_fresh_id(s: State, trace: Trace, path: int, span_id: int) -> int:
    """An id that was not mentioned before. Some roots take the lower half of their trace id."""
    lower = trace.trace_id[1]
    if s.bit(s.coders["structure"], span_id == lower, F.ID_OF_TRACE, path):
        return lower
    return _code_id(s, span_id)


def code_own_id(s: State, trace: Trace, path: int, span_id: int) -> Mention:
    """A span's own id: awaited, because a child named it, or fresh."""
    mention = _find(s, trace, span_id)
    rank = None if mention is None or mention.seen else _rank(mention)
    if trace.fronts[_AWAITED] and s.bit(s.coders["structure"], rank is not None, F.OWN_AWAITED, path):
        mention = _code_ranked(s, trace, _AWAITED, F.OWN_RANK, path, rank)
        _unlink(mention)
        mention.seen = True
        _to_front(mention)
        return mention
    return _add(s, trace, _code_fresh_id(s, trace, path, span_id), True)


def code_parent_id(s: State, trace: Trace, path: int, span_id: int) -> Mention:
    """A parent's id: that of a span awaited or seen in the trace, or fresh."""
    coder, mention = s.coders["structure"], _find(s, trace, span_id)
    rank = _rank(mention)
    if not s.bit(coder, rank is not None, F.PARENT_KNOWN, path):
        return _add(s, trace, _code_fresh_id(s, trace, path, span_id), False)
    seen = s.bit(coder, mention is not None and mention.seen, F.PARENT_SEEN, path)
    family = F.PARENT_RANK_SEEN if seen else F.PARENT_RANK
    mention = _code_ranked(s, trace, int(seen), family, path, rank)
    _unlink(mention)
    _to_front(mention)
    return mention


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
        return None, _code_trace_id(s, coder, trace_id)
    trace = _code_old_trace(s, coder, trace, F.LINK_BACK, path)
    return trace, trace.trace_id


def _code_link_span(s: State, trace: Trace | None, span_id: int, path: int) -> int:
    if trace is None:
        return _code_id(s, span_id)
    coder, mention = s.coders["structure"], _find(s, trace, span_id)
    rank = _rank(mention)
    if not s.bit(coder, rank is not None, F.LINK_KNOWN, path):
        return _code_id(s, span_id)
    seen = s.bit(coder, mention is not None and mention.seen, F.LINK_SEEN, path)
    return _code_ranked(s, trace, int(seen), F.LINK_RANK, path, rank).span_id
