"""FORMAT.md, "Rows": the records of a block, from the outside to the inside."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from tracezip.errors import damaged_section, section_beyond_limits
from tracezip.reference.contexts import PAIR, F, code_choice, code_number
from tracezip.reference.format_limits import MAX_MESSAGES, MAX_ROWS, MAX_SPANS
from tracezip.reference.ids import OWN_SEEN, code_link_ids, code_own_id, code_own_value, code_parent_id, code_trace
from tracezip.reference.state import State, Trace
from tracezip.reference.tables import Kind, Message, Op, Path, Record, Shape
from tracezip.reference.times import code_event_time, code_span_times
from tracezip.reference.values import code_values

_ANY_PATH = 4

_FIRST_SPAN = 1 << 27
"""Marks the path of a scope where a span asks for its own after it."""


class EnoughError(Exception):
    """The way out of the rows for a reader that needs no more of them; no failure."""


def code_rows(s: State, messages: list[Message]) -> None:
    """Writes these messages, or reads some into the list."""
    n = code_number(s.coders["envelope"], s.contexts.get(PAIR, F.MESSAGE, 4), len(messages))
    if n > MAX_MESSAGES:
        raise section_beyond_limits("envelope")
    if not s.traces:
        s.last_trace = s.add_trace((0, 0))
    last = 0
    for i in range(n):
        if not s.writing:
            messages.append(Message())
        last = _code_message(s, messages[i], last)


def _code_message(s: State, m: Message, last: int) -> int:
    """`last`, here and below: 1 + the path of the record of the same kind before, or 0; the new one is returned."""
    coder = s.coders["envelope"]
    m.continues = s.bit(coder, m.continues, F.MESSAGE, 0)
    n_prefix = code_number(coder, s.contexts.get(PAIR, F.MESSAGE, 1), len(m.prefix))
    m.skip = code_number(coder, s.contexts.get(PAIR, F.MESSAGE, 2), m.skip)
    m.prefix = s.plains["prefixes"].take(n_prefix, m.prefix)
    n = code_number(coder, s.contexts.get(PAIR, F.MESSAGE, 3), len(m.resources))
    if n > MAX_ROWS:
        raise damaged_section("envelope")
    for record in _code_records(s, Kind.RESOURCE_SPANS, m.resources, n):
        last = _code_resource(s, record, last)
    return last


def _code_records(s: State, kind: int, records: list[Record], n: int) -> Iterator[Record]:
    """The records of a list, which a reader fills."""
    for i in range(n):
        if not s.writing:
            records.append(Record(kind))
            s.rows[kind].append(records[i])
        yield records[i]


def _check_rows(s: State) -> None:
    if not s.writing and (sum(map(len, s.rows)) > MAX_ROWS or len(s.rows[Kind.SPAN]) > MAX_SPANS):
        raise section_beyond_limits("rows")


def _section(kind: int) -> str:
    return "envelope" if kind < Kind.SPAN else "paths"


def _code_path(s: State, record: Record, a: Hashable, b: Hashable) -> Path:
    """The path and the shape of a record: after `a` and `b`, after `a`, or any."""
    kind, given = record.kind, record.path
    two, one = s.recent(F.RECENT2 + kind, a, b), s.recent(F.RECENT1 + kind, a)
    near = [two.first, two.second, one.first, one.second]
    run = two.run if two.first else 16 + (one.run if one.first else 16)
    told = near.index(given) if given in near else _ANY_PATH
    told = s.nibble(s.coders[_section(kind)], told if given else 0, F.PATH + kind, run)
    path = _code_any_path(s, kind, given) if told == _ANY_PATH else near[told] if told < _ANY_PATH else None
    if path is None:
        raise damaged_section("paths")
    two.learn(path)
    one.learn(path)
    record.path, record.shape = path, _code_shape(s, path, record.shape)
    return path


def _code_any_path(s: State, kind: int, path: Path | None) -> Path:
    paths = s.paths[kind]
    if not paths:
        raise damaged_section("paths")
    context = s.contexts.get(PAIR, F.ANY_PATH + kind)
    number = path.number_in_kind if path else 0
    return paths[code_choice(s.coders[_section(kind)], context, len(paths), number, "paths")]


def _code_shape(s: State, path: Path, shape: Shape | None) -> Shape:
    """The order of the fields, where a schema has come in more than one."""
    schema = path.schema
    if not schema.shapes:
        raise damaged_section("paths")
    if len(schema.shapes) == 1:
        return schema.shapes[0]
    context = s.contexts.get(PAIR, F.ORDER, schema.number)
    number = (shape.number if shape else None) or 0
    return schema.shapes[code_choice(s.coders[_section(schema.kind)], context, len(schema.shapes), number, "paths")]


def _code_children(s: State, record: Record, which: int, family: int, kind: int) -> Iterator[Record]:
    """A run of children, at least one, if the record has such."""
    assert record.path is not None
    if not record.path.schema.has_children[which]:
        return
    coder, children = s.coders[_section(record.kind)], record.children[which]
    n = code_number(coder, s.contexts.get(PAIR, family, record.path.number), max(len(children) - 1, 0)) + 1
    if n > MAX_ROWS:
        raise damaged_section("envelope")
    yield from _code_records(s, kind, children, n)


def _code_resource(s: State, record: Record, last: int) -> int:
    path, last_scope = _code_path(s, record, last, 0), 0
    s.resource_path = path.number
    code_values(s, record, path, None)
    for scope in _code_children(s, record, 0, F.SCOPES, Kind.SCOPE_SPANS):
        last_scope = _code_scope(s, scope, path, last_scope)
    _check_rows(s)
    return path.number + 1


def _code_scope(s: State, record: Record, resource: Path, last: int) -> int:
    path = _code_path(s, record, resource.number, last)
    code_values(s, record, path, None)
    before = _FIRST_SPAN + path.number
    for span in _code_children(s, record, 0, F.SPANS, Kind.SPAN):
        _code_span(s, span, before)
        before = s.last_path_number
    _check_rows(s)
    return path.number + 1


def _code_span(s: State, record: Record, before: int) -> None:
    has_trace_id = s.writing and record.schema.has[Op.TRACE_ID]
    origins = record.origins
    trace = code_trace(s, record.trace_id if has_trace_id else s.last_trace.trace_id, origins.trace)
    path = _code_path(s, record, before, trace.last_path.number + 1 if trace.last_path else 0)
    has, own, parent, told = path.schema.has, None, None, 0
    if has[Op.TRACE_ID]:
        record.trace_id = trace.trace_id
    if has[Op.SPAN_ID]:
        own, told = code_own_id(s, trace, path.number, record.span_id, origins.own)
    if has[Op.PARENT_ID]:
        parent = code_parent_id(s, trace, path.number, record.parent_id, own, origins.parent)
    if own:
        code_own_value(s, told, path.number, own, parent, origins.own)
        record.span_id = own.span_id
    if parent:
        record.parent_id = parent.span_id
    if own and parent:
        parent.child = own.origin
    code_span_times(s, record, path, trace, own, parent, told == OWN_SEEN)
    code_values(s, record, path, trace)
    last, last_time = None, record.start
    for event in _code_children(s, record, 0, F.EVENTS, Kind.EVENT):
        last, last_time = _code_event(s, event, record, trace, last, last_time)
    for link in _code_children(s, record, 1, F.LINKS, Kind.LINK):
        _code_link(s, link, path, trace)
    _check_rows(s)
    if not s.writing and len(s.rows[Kind.SPAN]) >= s.most_spans:
        raise EnoughError


def _code_event(
    s: State, record: Record, span: Record, trace: Trace, last: int | None, last_time: int
) -> tuple[int, int]:
    """`last` is the path of the event before, `last_time` the last time told of an event."""
    assert span.path is not None
    path = _code_path(s, record, span.path.number, 0 if last is None else last + 1)
    last_time = code_event_time(s, record, path, span, last, last_time)
    code_values(s, record, path, trace)
    return path.number, last_time


def _code_link(s: State, record: Record, span_path: Path, trace: Trace) -> None:
    path = _code_path(s, record, span_path.number, 0)
    code_link_ids(s, record, path.number)
    code_values(s, record, path, trace)
