"""FORMAT.md, "Classes, atoms, schemas, shapes, paths": the nodes of the Span Retrieval Tree.

Things are the same if they are the same object. `number` is their number in order of definition, None before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from tracezip.reference.contexts import MASK64
from tracezip.reference.drawn import Origins
from tracezip.varint import pack_varint


class Kind(IntEnum):
    """Records, and from RESOURCE on places within them."""

    RESOURCE_SPANS = 0
    SCOPE_SPANS = 1
    SPAN = 2
    EVENT = 3
    LINK = 4
    RESOURCE = 5
    SCOPE = 6


KINDS = tuple(Kind)[: Kind.RESOURCE]
N_PLACES = len(Kind)


class Op(IntEnum):
    """What a field is. The first five have columns of their own."""

    TRACE_ID = 0
    SPAN_ID = 1
    PARENT_ID = 2
    START = 3
    END = 4
    CHILDREN = 5
    OPEN = 6
    CLOSE = 7
    FIELD = 8
    ATTRIBUTE = 9
    RAW = 10


class Value(IntEnum):
    """What the value of a class is."""

    NONE = 0
    BYTES = 1
    VARINT = 2
    FIXED64 = 3
    FIXED32 = 4


class Mode(IntEnum):
    """What a slot does."""

    PATH = 0
    DICTIONARY = 1
    NUMBER = 2


ANY_ABSENT, ANY_EMPTY = 0, 1
"""`any` of attributes that have no value, and an empty one."""

EVENTS_TAG, LINKS_TAG = 0x5A, 0x6A
ATTRIBUTE_TAGS = {Kind.SPAN: 0x4A, Kind.EVENT: 0x1A, Kind.LINK: 0x22, Kind.RESOURCE: 0x0A, Kind.SCOPE: 0x1A}
_VALUE_OF_WIRE_TYPE = {0: Value.VARINT, 1: Value.FIXED64, 2: Value.BYTES, 5: Value.FIXED32}


@dataclass(eq=False, slots=True)
class String:
    data: bytes
    number: int | None = None
    uses: int = 0
    """Writer: as a value, since the restart."""
    skeleton: Skeleton | None = None
    fields: list[bytes] = field(default_factory=list)
    """Writer: what its skeleton leaves out."""
    was_looked_at: bool = False
    """Writer: whether its skeleton was looked for."""


@dataclass(eq=False, slots=True)
class Skeleton:
    data: bytes
    number: int = 0
    """From 1."""
    uses: int = 0
    """Writer: texts that have it."""


@dataclass(eq=False, slots=True)
class Class:
    place: int
    op: int
    tag: int
    key: String | None = None
    any: int = 0
    number: int = 0
    """From 1; 0 before it is defined."""
    atoms: list[Atom] = field(default_factory=list)
    """The defined ones."""
    value: Value = field(init=False)

    def __post_init__(self) -> None:
        self.value = Value.NONE
        if self.op == Op.RAW:
            self.value = Value.BYTES
        elif self.op == Op.FIELD:
            self.value = _VALUE_OF_WIRE_TYPE[self.tag & 7]
        elif self.op == Op.ATTRIBUTE and self.any > ANY_EMPTY:
            self.value = _VALUE_OF_WIRE_TYPE[self.any & 7]

    @property
    def is_text(self) -> bool:
        return self.value == Value.BYTES


@dataclass(eq=False, slots=True)
class Atom:
    """A class with a value; one field of a record. Of ids and times, only what stands before the payload."""

    cls: Class
    value: String | int
    encoded: bytes
    number: int | None = None
    """Within its class."""
    serial: int = 0
    """Among all defined atoms, from 1; 0 before it is defined."""
    uses: int = 0
    """Writer: since the restart."""

    @property
    def text(self) -> String:
        assert isinstance(self.value, String)
        return self.value


class Schema:
    """The classes of a record's fields, attributes sorted by key."""

    def __init__(self, kind: int, classes: tuple[Class, ...]) -> None:
        self.kind = kind
        self.classes = classes
        self.number = 0
        """From 1; 0 before it is defined."""
        self.slots = [cls for cls in classes if cls.value]
        """Those with a value."""
        self.modes: list[int] = [Mode.PATH] * len(self.slots)
        self.conditions = [0] * len(self.slots)
        self.shapes: list[Shape] = []
        """The defined ones."""
        self.last_path: Path | None = None
        self.is_decided = False
        """Writer: whether its modes were decided."""
        ops = {cls.op for cls in classes}
        self.has = [Op(op) in ops for op in range(Op.CHILDREN)]
        tags = {cls.tag for cls in classes if cls.op == Op.CHILDREN}
        links = {LINKS_TAG} if kind == Kind.SPAN else set()
        self.has_children = (bool(tags - links), bool(tags & links))


class Shape:
    """A schema with the order in which its fields came: for each field its place in the schema's classes."""

    def __init__(self, schema: Schema, order: tuple[int, ...]) -> None:
        self.schema = schema
        self.order = order
        self.number: int | None = None
        """Within its schema."""
        self.is_planned = False
        """Writer: whether it is defined, or about to be."""

    @property
    def is_own_order(self) -> bool:
        return self.order == tuple(range(len(self.order)))


class Path:
    """A schema with an atom, or a hole (None), in each slot."""

    def __init__(self, schema: Schema, atoms: tuple[Atom | None, ...]) -> None:
        self.schema = schema
        self.atoms = atoms
        self.number = -1
        """Among the paths of all kinds."""
        self.number_in_kind = -1
        self.clock = Clock()


class Clock:
    """What the clocks of a path's spans or events did so far. FORMAT.md, "Times"."""

    def __init__(self) -> None:
        self.last_start = 0
        self.last_length = 0
        self.start_costs = [0] * 7
        self.length_costs = [0] * 4
        self.grains = [0, 0]
        self.is_known = False
        self.met_in_block = 0
        self.next_grains = [9, 9]
        """Writer: what this block's rows allow."""
        self.planned_in_block = 0


class Record:
    """One message of a kind: a row of the columns. What its schema does not have is 0."""

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.shape: Shape | None = None
        self.path: Path | None = None
        self.atoms: list[Atom] = []
        """Of each valued slot."""
        self.trace_id = (0, 0)
        self.span_id = self.parent_id = 0
        self.origins = Origins()
        self.start = self.end = 0
        """ns"""
        self.children: tuple[list[Record], list[Record]] = ([], [])
        """Scope spans, spans or events; links."""

    @property
    def schema(self) -> Schema:
        assert self.shape is not None
        return self.shape.schema


@dataclass(slots=True)
class Message:
    """One message, or a part of one: `prefix`, then the bytes of its records without the first `skip`."""

    prefix: bytes = b""
    skip: int = 0
    continues: bool = False
    resources: list[Record] = field(default_factory=list)


def encode_value(cls: Class, value: String | int) -> bytes:
    """A value as it stands behind its tag."""
    if isinstance(value, String):
        return pack_varint(len(value.data)) + value.data
    if cls.value == Value.FIXED64:
        return (value & MASK64).to_bytes(8, "little")
    if cls.value == Value.FIXED32:
        return value.to_bytes(4, "little")
    return pack_varint(value)


def encode_field(cls: Class, value: String | int) -> bytes:
    """A field with its value; of a field that has a column, what stands before the payload."""
    if cls.op == Op.RAW:
        assert isinstance(value, String)
        return value.data
    if cls.op == Op.ATTRIBUTE:
        return pack_varint(cls.tag) + _encode_attribute(cls, value)
    if cls.op == Op.FIELD:
        return pack_varint(cls.tag) + encode_value(cls, value)
    if cls.op in (Op.START, Op.END):
        return pack_varint(cls.tag)
    if cls.op < Op.CHILDREN:
        return pack_varint(cls.tag) + (b"\x10" if cls.op == Op.TRACE_ID else b"\x08")
    return b""


def _encode_attribute(cls: Class, value: String | int) -> bytes:
    assert cls.key is not None
    body = b"\x0a" + pack_varint(len(cls.key.data)) + cls.key.data
    if cls.any != ANY_ABSENT:
        any_value = b"" if cls.any == ANY_EMPTY else bytes([cls.any]) + encode_value(cls, value)
        body += b"\x12" + pack_varint(len(any_value)) + any_value
    return pack_varint(len(body)) + body
