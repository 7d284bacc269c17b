"""Rows without messages: what a query takes of the records of a block that was read."""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence

from tracezip.reference.state import State
from tracezip.reference.tables import ATTRIBUTE_TAGS, KINDS, N_PLACES, Atom, Class, Kind, Message, Op, Record
from tracezip.reference.write import Writer

COLUMNS = (
    "trace_hi",
    "trace_lo",
    "span_id",
    "parent_id",
    "start",
    "end",
    "event_time",
    "n_scopes",
    "n_spans",
    "n_events",
    "n_links",
)

FIELD_NONE, FIELD_MANY = 0, 0xFFFFFFFF
_KIND_OF_PLACE = {Kind.RESOURCE: Kind.RESOURCE_SPANS, Kind.SCOPE: Kind.SCOPE_SPANS}


def _columns(rows: list[list[Record]]) -> dict[str, bytes]:
    """The name of each column -> its values as native-endian bytes of uint64 or uint32."""
    resources, scopes, spans, events, _ = rows
    return {
        "trace_hi": packed("Q", (span.trace_id[0] for span in spans)),
        "trace_lo": packed("Q", (span.trace_id[1] for span in spans)),
        "span_id": packed("Q", (span.span_id for span in spans)),
        "parent_id": packed("Q", (span.parent_id for span in spans)),
        "start": packed("Q", (span.start for span in spans)),
        "end": packed("Q", (span.end for span in spans)),
        "event_time": packed("Q", (event.start for event in events)),
        "n_scopes": packed("I", (len(resource.children[0]) for resource in resources)),
        "n_spans": packed("I", (len(scope.children[0]) for scope in scopes)),
        "n_events": packed("I", (len(span.children[0]) for span in spans)),
        "n_links": packed("I", (len(span.children[1]) for span in spans)),
    }


def packed(typecode: str, values: Iterable[int]) -> bytes:
    return array.array(typecode, values).tobytes()


def outline(messages: list[Message]) -> tuple[bytes, bytes]:
    """Of each part: the number of its resource spans, and whether it has more, or less, and whether it continues."""
    flags = [bool(message.prefix or message.skip) | message.continues << 1 for message in messages]
    return packed("I", (len(message.resources) for message in messages)), bytes(flags)


class RowReader:
    """What a query takes of the rows of a block; the encoder and the decoder are such."""

    def __init__(self) -> None:
        self._s: State
        self._atoms = Atoms()

    def _check_alive(self) -> None:
        """Raises UsageError if it has failed before."""

    def columns(self, names: Sequence[str] = COLUMNS) -> dict[str, bytes]:
        self._check_alive()
        if not set(names) <= set(COLUMNS):
            raise ValueError(f"there is no column {sorted(set(names) - set(COLUMNS))[0]!r}")
        columns = _columns(self._s.rows)
        return {name: columns[name] for name in names}

    def fields(self, place: int, tag: int, key: bytes | None = None) -> bytes:
        self._check_alive()
        if place >= N_PLACES:
            raise ValueError(f"place is {place}, there are {N_PLACES}")
        records = self._s.rows[_KIND_OF_PLACE.get(Kind(place), Kind(place))]
        return packed("I", (find_field(record, place, tag, key, self._atoms) for record in records))

    def atoms(self, numbers: memoryview) -> list[bytes]:
        self._check_alive()
        return [self._atoms.encoded(number) for number in numbers]

    def records(self, kind: int, rows: memoryview) -> list[bytes]:
        self._check_alive()
        if kind > Kind.SPAN:
            raise ValueError(f"kind is {kind}; there are 0, 1 and 2")
        found, chosen = self._s.rows[kind], list(rows)
        for before, row in zip([-1, *chosen], chosen, strict=False):
            if not before < row < len(found):
                raise IndexError(f"row {row} is not there, or does not ascend")
        writer = Writer(with_children=kind == Kind.SPAN)
        return [writer.record(found[row]) for row in chosen]


class Atoms:
    """Numbers, from 1, for the atoms that were asked for."""

    def __init__(self) -> None:
        self._atoms: list[Atom] = []
        self._numbers: dict[int, int] = {}

    def number(self, atom: Atom) -> int:
        if id(atom) not in self._numbers:
            self._atoms.append(atom)
            self._numbers[id(atom)] = len(self._atoms)
        return self._numbers[id(atom)]

    def encoded(self, number: int) -> bytes:
        if not 0 < number <= len(self._atoms):
            raise IndexError(f"there is no field {number}")
        return self._atoms[number - 1].encoded


def find_field(record: Record, place: int, tag: int, key: bytes | None, atoms: Atoms) -> int:
    """The number of the atom, FIELD_NONE or FIELD_MANY."""
    classes = record.schema.classes
    found = [cls for cls in classes if cls.place == place and _is_field(cls, tag, key)]
    n_open = sum(cls.op == Op.OPEN for cls in classes) if place not in KINDS else 0
    if len(found) > 1 or n_open > 1 or any(_is_odd(cls, place, key) for cls in classes):
        return FIELD_MANY
    if not found or not found[0].value:
        return FIELD_NONE
    return atoms.number(record.atoms[record.schema.slots.index(found[0])])


def _is_field(cls: Class, tag: int, key: bytes | None) -> bool:
    if key is None:
        return cls.op == Op.FIELD and cls.tag == tag
    return cls.op == Op.ATTRIBUTE and cls.key is not None and cls.key.data == key


def _is_odd(cls: Class, place: int, key: bytes | None) -> bool:
    """Something that only the bytes of the record can tell: all of it raw, or an odd attribute."""
    is_attribute = key is not None and cls.place == place and cls.tag == ATTRIBUTE_TAGS.get(Kind(place))
    return cls.op == Op.RAW or (is_attribute and cls.op == Op.FIELD)
