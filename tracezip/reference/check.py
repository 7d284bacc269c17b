"""What a reader checks of the classes, schemas and shapes that it is told.

FORMAT.md, "Classes, atoms, schemas, shapes, paths" and, for the order of fields, "Definitions".
"""

from __future__ import annotations

from collections.abc import Iterable

from tracezip.errors import damaged_section
from tracezip.reference.tables import ATTRIBUTE_TAGS, EVENTS_TAG, LINKS_TAG, Class, Kind, Op

_WIRE_TYPES = frozenset((0, 1, 2, 5))
_COLUMNS = {
    Op.TRACE_ID: {(Kind.SPAN, 0x0A), (Kind.LINK, 0x0A)},
    Op.SPAN_ID: {(Kind.SPAN, 0x12), (Kind.LINK, 0x12)},
    Op.PARENT_ID: {(Kind.SPAN, 0x22)},
    Op.START: {(Kind.SPAN, 0x39), (Kind.EVENT, 0x09)},
    Op.END: {(Kind.SPAN, 0x41)},
    Op.CHILDREN: {
        (Kind.RESOURCE_SPANS, 0x12),
        (Kind.SCOPE_SPANS, 0x12),
        (Kind.SPAN, EVENTS_TAG),
        (Kind.SPAN, LINKS_TAG),
    },
    Op.OPEN: {(Kind.RESOURCE_SPANS, 0x0A), (Kind.SCOPE_SPANS, 0x0A)},
    Op.CLOSE: {(Kind.RESOURCE_SPANS, 0x0A), (Kind.SCOPE_SPANS, 0x0A)},
    Op.RAW: {(Kind.SPAN, 0), (Kind.EVENT, 0), (Kind.LINK, 0)},
}


def check_class(place: int, op: int, tag: int, any_tag: int) -> None:
    """Raises FormatError if there is no such class."""
    if op == Op.FIELD:
        possible = 8 <= tag < 1 << 32 and tag & 7 in _WIRE_TYPES
    elif op == Op.ATTRIBUTE:
        typed = 8 <= any_tag < 0x80 and any_tag & 7 in _WIRE_TYPES
        possible = tag == ATTRIBUTE_TAGS.get(Kind(place)) and (any_tag < 2 or typed)
    else:
        possible = (place, tag) in _COLUMNS[Op(op)]
    if not possible:
        raise damaged_section("tree")


def check_fields(kind: int, classes: Iterable[Class]) -> None:
    """Raises FormatError if the fields of a record cannot stand in this order."""
    inner = Kind.RESOURCE if kind == Kind.RESOURCE_SPANS else Kind.SCOPE
    seen: set[tuple[int, bool]] = set()
    is_open, n, n_raw = False, 0, 0
    for cls in classes:
        once = (cls.op, cls.op == Op.CHILDREN and cls.tag == LINKS_TAG)
        if not _fits(cls, kind, inner, is_open) or once in seen:
            raise damaged_section("tree")
        if cls.op <= Op.CHILDREN:
            seen.add(once)
        if cls.op in (Op.OPEN, Op.CLOSE):
            is_open = cls.op == Op.OPEN
        n += 1
        n_raw += cls.op == Op.RAW
    if is_open or (n_raw and n > 1):
        raise damaged_section("tree")


def _fits(cls: Class, kind: int, inner: int, is_open: bool) -> bool:
    if cls.op == Op.CLOSE:
        return is_open
    return cls.place == inner and cls.op >= Op.FIELD if is_open else cls.place == kind
