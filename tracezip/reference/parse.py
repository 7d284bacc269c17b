"""Wire bytes to records. FORMAT.md, "Records to bytes", the other way round; only a writer needs it.

What is not canonical becomes a raw record, or, around spans, a message that is all prefix.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from tracezip.reference.format_limits import MAX_FIELDS, MAX_GROUP_FIELDS, MAX_LEAF_FIELDS, MAX_PART_ROWS, MAX_RUN
from tracezip.reference.tables import (
    ANY_ABSENT,
    ANY_EMPTY,
    ATTRIBUTE_TAGS,
    EVENTS_TAG,
    LINKS_TAG,
    Atom,
    Class,
    Kind,
    Message,
    Op,
    Record,
    Schema,
    Shape,
    String,
)

_FIXED_SIZES = {1: 8, 5: 4}
_GROUP_TAG, _NESTED_TAG = 0x12, 0x0A
_INNER = {Kind.RESOURCE_SPANS: Kind.RESOURCE, Kind.SCOPE_SPANS: Kind.SCOPE}
_COLUMN_OPS = {
    (Kind.SPAN, 0x0A, 16): Op.TRACE_ID,
    (Kind.SPAN, 0x12, 8): Op.SPAN_ID,
    (Kind.SPAN, 0x22, 8): Op.PARENT_ID,
    (Kind.SPAN, 0x39, 0): Op.START,
    (Kind.SPAN, 0x41, 0): Op.END,
    (Kind.EVENT, 0x09, 0): Op.START,
    (Kind.LINK, 0x0A, 16): Op.TRACE_ID,
    (Kind.LINK, 0x12, 8): Op.SPAN_ID,
}
"""By place, tag and length."""


class NotCanonicalError(Exception):
    """What stands here does not fit the columns."""


# --- the wire ---------------------------------------------------------------------------------------------------------


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at a position, in its shortest form, and the position after it."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (byte == 0 and shift) or value >> 64:
                break
            return value, at
        shift += 7
    raise NotCanonicalError


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The length at a position, of bytes that are all there, and the position after it."""
    n, at = read_varint(data, at, end)
    if n > end - at:
        raise NotCanonicalError
    return n, at


def read_value(data: bytes, at: int, end: int, wire_type: int) -> tuple[int | bytes, int]:
    """The value of a field, and the position after it."""
    if wire_type == 0:
        return read_varint(data, at, end)
    if wire_type == 2:
        n, at = _length(data, at, end)
        return data[at : at + n], at + n
    size = _FIXED_SIZES.get(wire_type, 0)
    if not size or end - at < size:
        raise NotCanonicalError
    return int.from_bytes(data[at : at + size], "little"), at + size


# --- records ----------------------------------------------------------------------------------------------------------


@dataclass
class _Fields:
    """The fields of one record read so far."""

    record: Record
    atoms: list[Atom] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    """Ops that have columns."""

    def push(self, atom: Atom) -> None:
        if len(self.atoms) == MAX_FIELDS:
            raise NotCanonicalError
        self.atoms.append(atom)


class Parser:
    """Reads messages into records, and remembers every string, class, atom, schema and shape of a restart group."""

    def __init__(self, strings: list[String]) -> None:
        self._strings = {text.data: text for text in strings}
        self._classes: dict[Hashable, Class] = {}
        self._atoms: dict[Hashable, Atom] = {}
        self._schemas: dict[Hashable, Schema] = {}
        self._shapes: dict[Hashable, Shape] = {}
        self._n_rows = 0
        """Records of the message so far; those of a raw span do not count."""

    def parse(self, data: bytes, prefix: bytes, skip: int, continues: bool) -> Message:
        self._n_rows = 0
        try:
            resources, at = [], 0
            while at < len(data):
                if data[at] != _NESTED_TAG:
                    raise NotCanonicalError
                n, at = _length(data, at + 1, len(data))
                resources.append(self._group(Kind.RESOURCE_SPANS, data, at, at + n))
                at += n
        except NotCanonicalError:
            return Message(prefix + data[skip:], 0, continues)
        return Message(prefix, skip, continues, resources)

    def _group(self, kind: Kind, data: bytes, at: int, end: int) -> Record:
        """Resource spans or scope spans: nested messages, fields, and one run of children."""
        fields = _Fields(Record(kind))
        self._n_rows += 1
        while at < end:
            if len(fields.atoms) > MAX_GROUP_FIELDS:
                raise NotCanonicalError
            if data[at] == _NESTED_TAG:
                at = self._nested(fields, kind, data, at, end)
            elif data[at] == _GROUP_TAG:
                at = self._children(fields, kind, data, at, end)
            else:
                at = self._field(fields, kind, data, at, end)
        return self._finished(fields)

    def _nested(self, fields: _Fields, kind: Kind, data: bytes, at: int, end: int) -> int:
        """Resource or scope: a message within the record, between OPEN and CLOSE."""
        n, at = _length(data, at + 1, end)
        fields.push(self._mark(kind, Op.OPEN, _NESTED_TAG))
        end = at + n
        while at < end and len(fields.atoms) <= MAX_GROUP_FIELDS:
            at = self._field(fields, _INNER[kind], data, at, end)
        if at != end:
            raise NotCanonicalError
        fields.push(self._mark(kind, Op.CLOSE, _NESTED_TAG))
        return end

    def _children(self, fields: _Fields, kind: Kind, data: bytes, at: int, end: int) -> int:
        children = fields.record.children[0]
        if children:
            raise NotCanonicalError
        while at < end and data[at] == _GROUP_TAG:
            n, at = _length(data, at + 1, end)
            if self._n_rows > MAX_PART_ROWS:
                raise NotCanonicalError
            is_span = kind == Kind.SCOPE_SPANS
            child = self._span(data, at, at + n) if is_span else self._group(Kind.SCOPE_SPANS, data, at, at + n)
            children.append(child)
            at += n
        fields.push(self._mark(kind, Op.CHILDREN, _GROUP_TAG))
        return at

    def _span(self, data: bytes, at: int, end: int) -> Record:
        fields, start = _Fields(Record(Kind.SPAN)), at
        self._n_rows += 1
        try:
            while at < end:
                if data[at] in (EVENTS_TAG, LINKS_TAG):
                    at = self._leaves(fields, data, at, end)
                else:
                    at = self._field(fields, Kind.SPAN, data, at, end)
        except NotCanonicalError:
            return self._raw(Kind.SPAN, data[start:end])
        self._n_rows += sum(map(len, fields.record.children))
        return self._finished(fields)

    def _leaves(self, fields: _Fields, data: bytes, at: int, end: int) -> int:
        """A run of events or of links."""
        tag = data[at]
        kind = Kind.LINK if tag == LINKS_TAG else Kind.EVENT
        children = fields.record.children[kind == Kind.LINK]
        if children:
            raise NotCanonicalError
        while at < end and data[at] == tag:
            n, at = _length(data, at + 1, end)
            if len(children) == MAX_RUN:
                raise NotCanonicalError
            children.append(self._leaf(kind, data, at, at + n))
            at += n
        fields.push(self._mark(Kind.SPAN, Op.CHILDREN, tag))
        return at

    def _leaf(self, kind: Kind, data: bytes, at: int, end: int) -> Record:
        fields, start = _Fields(Record(kind)), at
        try:
            while at < end:
                if len(fields.atoms) == MAX_LEAF_FIELDS:
                    raise NotCanonicalError
                at = self._field(fields, kind, data, at, end)
        except NotCanonicalError:
            return self._raw(kind, data[start:end])
        return self._finished(fields)

    def _finished(self, fields: _Fields) -> Record:
        """The record of all its fields, which gets its shape and its values, sorted as its schema is."""
        record = fields.record
        record.shape = self._shape(record.kind, tuple(atom.cls for atom in fields.atoms))
        sorted_atoms = dict(zip(record.shape.order, fields.atoms, strict=True))
        record.atoms = [sorted_atoms[i] for i, cls in enumerate(record.schema.classes) if cls.value]
        return record

    def _raw(self, kind: Kind, data: bytes) -> Record:
        """A record that is not canonical, in one piece."""
        text = self._string(data)
        atom = self._atoms.get((Op.RAW, kind, text))
        if atom is None:
            atom = self._atoms[Op.RAW, kind, text] = Atom(self._class(kind, Op.RAW, 0), text, data)
        record = Record(kind)
        record.shape = self._shape(kind, (atom.cls,))
        record.atoms = [atom]
        return record

    # --- fields -------------------------------------------------------------------------------------------------------

    def _field(self, fields: _Fields, place: Kind, data: bytes, at: int, end: int) -> int:
        """Reads one field that is neither children nor a message within the record."""
        atom = self._atom(place, data, at, end, fields.seen)
        after = at + len(atom.encoded)
        if atom.cls.op < Op.CHILDREN:
            fields.seen.add(atom.cls.op)
            after = _take_column(fields.record, atom.cls.op, data, after)
        fields.push(atom)
        return after

    def _atom(self, place: Kind, data: bytes, start: int, end: int, seen: set[int]) -> Atom:
        """Finds or makes the atom of a field."""
        tag, at = read_varint(data, start, end)
        if not 8 <= tag < 1 << 32:
            raise NotCanonicalError
        value, at = read_value(data, at, end, tag & 7)
        length = len(value) if isinstance(value, bytes) else 0
        op = _COLUMN_OPS.get((place, tag, length))
        if op is not None and op not in seen:
            encoded = data[start : at - (16 if op == Op.TRACE_ID else 8)]
            cls = self._class(place, op, tag)
            return self._atoms.setdefault((place, True, encoded), Atom(cls, 0, encoded))
        encoded = data[start:at]
        atom = self._atoms.get((place, False, encoded))
        if atom is None:
            atom = self._atoms[place, False, encoded] = self._new_atom(place, tag, value, encoded)
        return atom

    def _new_atom(self, place: Kind, tag: int, value: int | bytes, encoded: bytes) -> Atom:
        if tag == ATTRIBUTE_TAGS.get(place) and isinstance(value, bytes):
            try:
                return self._attribute(place, tag, value, encoded)
            except NotCanonicalError:
                pass
        return Atom(self._class(place, Op.FIELD, tag), self._interned(value), encoded)

    def _attribute(self, place: Kind, tag: int, data: bytes, encoded: bytes) -> Atom:
        """A KeyValue of one key and at most one value."""
        if data[:1] != b"\x0a":
            raise NotCanonicalError
        n, at = _length(data, 1, len(data))
        key, at, any_tag = data[at : at + n], at + n, ANY_ABSENT
        value: int | bytes = 0
        if at < len(data):
            any_tag, value = _any_value(data, at)
        cls = self._class(place, Op.ATTRIBUTE, tag, key, any_tag)
        return Atom(cls, self._interned(value), encoded)

    def _interned(self, value: int | bytes) -> int | String:
        return self._string(value) if isinstance(value, bytes) else value

    def _string(self, data: bytes) -> String:
        return self._strings.setdefault(data, String(data))

    def _class(self, place: Kind, op: Op, tag: int, key: bytes | None = None, any_tag: int = 0) -> Class:
        name = (place, op, tag, key, any_tag)
        if name not in self._classes:
            self._classes[name] = Class(place, op, tag, None if key is None else self._string(key), any_tag)
        return self._classes[name]

    def _mark(self, place: Kind, op: Op, tag: int) -> Atom:
        """The atom of a class that has neither value nor bytes."""
        return self._atoms.setdefault((op, place, tag), Atom(self._class(place, op, tag), 0, b""))

    # --- schemas and shapes -------------------------------------------------------------------------------------------

    def _shape(self, kind: int, classes: tuple[Class, ...]) -> Shape:
        shape = self._shapes.get((kind, classes))
        if shape is None:
            came = _canonical_order(classes)
            schema = self._schema(kind, tuple(classes[i] for i in came))
            slots = {i: slot for slot, i in enumerate(came)}
            order = tuple(slots[i] for i in range(len(classes)))
            shape = self._shapes[kind, classes] = Shape(schema, order)
        return shape

    def _schema(self, kind: int, classes: tuple[Class, ...]) -> Schema:
        if (kind, classes) not in self._schemas:
            self._schemas[kind, classes] = Schema(kind, classes)
        return self._schemas[kind, classes]


def _take_column(record: Record, op: int, data: bytes, at: int) -> int:
    """Puts the payload of a field that has a column there."""
    payload = data[at : at + (16 if op == Op.TRACE_ID else 8)]
    if op == Op.TRACE_ID:
        record.trace_id = (int.from_bytes(payload[:8], "big"), int.from_bytes(payload[8:], "big"))
    elif op == Op.SPAN_ID:
        record.span_id = int.from_bytes(payload, "big")
    elif op == Op.PARENT_ID:
        record.parent_id = int.from_bytes(payload, "big")
    elif op == Op.START:
        record.start = int.from_bytes(payload, "little")
    else:
        record.end = int.from_bytes(payload, "little")
    return at + len(payload)


def _any_value(data: bytes, at: int) -> tuple[int, int | bytes]:
    """The AnyValue with which an attribute ends: its tag, or ANY_EMPTY, and its value."""
    if data[at] != _GROUP_TAG:
        raise NotCanonicalError
    n, at = _length(data, at + 1, len(data))
    if n != len(data) - at:
        raise NotCanonicalError
    if not n:
        return ANY_EMPTY, 0
    any_tag = data[at]
    if not 8 <= any_tag < 0x80:
        raise NotCanonicalError
    value, at = read_value(data, at + 1, len(data), any_tag & 7)
    if at != len(data):
        raise NotCanonicalError
    return any_tag, value


def _canonical_order(classes: tuple[Class, ...]) -> list[int]:
    """The fields in canonical order: attributes that follow each other are sorted by key and type."""
    order: list[int] = []
    run: list[int] = []
    for i, cls in enumerate(classes):
        if run and not (cls.op == Op.ATTRIBUTE and cls.tag == classes[run[0]].tag):
            order += _sorted_run(classes, run)
            run = []
        if cls.op == Op.ATTRIBUTE:
            run.append(i)
        else:
            order.append(i)
    return order + _sorted_run(classes, run)


def _sorted_run(classes: tuple[Class, ...], run: list[int]) -> list[int]:
    def by_key(i: int) -> tuple[bytes, int]:
        key = classes[i].key
        assert key is not None
        return key.data, classes[i].any

    return sorted(run, key=by_key)
