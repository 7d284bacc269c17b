"""FORMAT.md, "Records to bytes"."""

from __future__ import annotations

from tracezip.errors import damaged_section, section_beyond_limits
from tracezip.reference.format_limits import MAX_GENERATED
from tracezip.reference.tables import LINKS_TAG, Atom, Class, Kind, Message, Op, Record, encode_field
from tracezip.varint import pack_varint


class Writer:
    """Makes the bytes of a block's messages, or of records; they are limited together."""

    def __init__(self, *, with_children: bool = True) -> None:
        self._has_children = with_children
        self._n_of_messages = 0
        self._n_of_records = 0
        """Bytes made so far; records without what stands around their children."""

    def message(self, m: Message) -> bytes:
        body = b"".join(self._child(0x0A, record) for record in m.resources)
        self._n_of_messages += len(body)
        if self._n_of_messages > MAX_GENERATED:
            raise section_beyond_limits("size")
        if m.skip > len(body):
            raise damaged_section("envelope")
        return m.prefix + body[m.skip :]

    def _child(self, tag: int, record: Record) -> bytes:
        body = self.record(record)
        return bytes([tag]) + pack_varint(len(body)) + body

    def record(self, record: Record) -> bytes:
        """The fields of a record in the order of its shape."""
        assert record.shape is not None
        out, outer = bytearray(), bytearray()
        atoms = _atoms_by_place(record)
        for i in record.shape.order:
            cls = record.schema.classes[i]
            if cls.op == Op.OPEN:
                out, outer = bytearray(), out
            elif cls.op == Op.CLOSE:
                out = outer + pack_varint(cls.tag) + pack_varint(len(out)) + out
            elif cls.op == Op.CHILDREN:
                out += self._children(cls, record) if self._has_children else b""
            else:
                out += self._counted(atoms[i].encoded if cls.value else encode_field(cls, 0) + _payload(cls, record))
        return bytes(out)

    def _counted(self, field: bytes) -> bytes:
        self._n_of_records += len(field)
        if self._n_of_records > MAX_GENERATED:
            raise section_beyond_limits("size")
        return field

    def _children(self, cls: Class, record: Record) -> bytes:
        children = record.children[record.kind == Kind.SPAN and cls.tag == LINKS_TAG]
        return b"".join(self._child(cls.tag, child) for child in children)


def _atoms_by_place(record: Record) -> dict[int, Atom]:
    """The atoms of a record by the place of their slots among all classes of its schema."""
    places = [i for i, cls in enumerate(record.schema.classes) if cls.value]
    return dict(zip(places, record.atoms, strict=True))


def _payload(cls: Class, record: Record) -> bytes:
    """An id or a time; nothing for an attribute without a value."""
    if cls.op == Op.TRACE_ID:
        return b"".join(half.to_bytes(8, "big") for half in record.trace_id)
    if cls.op == Op.SPAN_ID:
        return record.span_id.to_bytes(8, "big")
    if cls.op == Op.PARENT_ID:
        return record.parent_id.to_bytes(8, "big")
    if cls.op in (Op.START, Op.END):
        return (record.start if cls.op == Op.START else record.end).to_bytes(8, "little")
    return b""
