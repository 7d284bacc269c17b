"""FORMAT.md, "Values": what the holes of a record's path hold."""

from __future__ import annotations

from collections.abc import Hashable

from tracezip.errors import damaged_section
from tracezip.reference.contexts import PAIR, F, code_choice
from tracezip.reference.define import new_atom
from tracezip.reference.state import State, Trace
from tracezip.reference.tables import Atom, Mode, Path, Record, String
from tracezip.reference.text import code_text

_OF_TRACE, _OF_PATH, _KNOWN, _NEW = 0, 1, 2, 3


def code_values(s: State, record: Record, path: Path, trace: Trace | None) -> None:
    """All holes of a record, in the order of slots."""
    known: list[Atom] = []
    for slot, fixed in enumerate(path.atoms):
        known.append(fixed or _code_hole(s, path, slot, trace, known, record.atoms[slot] if s.writing else None))
    record.atoms = known


def _code_hole(s: State, path: Path, slot: int, trace: Trace | None, known: list[Atom], atom: Atom | None) -> Atom:
    schema = path.schema
    s.spend(1)
    if schema.modes[slot] == Mode.NUMBER:
        return _code_new_value(s, path, slot, atom)
    condition = schema.conditions[slot]
    serial = known[condition - 1].serial if condition else 0
    name = (schema.number, slot)
    second = (F.OF_VALUE, name, serial) if serial else (F.OF_PATH, name, path.number)
    first = (F.OF_TRACE, schema.slots[slot].number, trace.number) if trace else None
    found = _code_remembered(s, path, slot, first, second, atom)
    if found is None:
        return _code_new_value(s, path, slot, atom)
    if first:
        s.memory[first] = found
    s.memory[second] = found
    return found


def _code_remembered(
    s: State, path: Path, slot: int, first: Hashable | None, second: Hashable, atom: Atom | None
) -> Atom | None:
    """A defined atom: that of one of the two memories, or any of its class; None if it is a new value."""
    coder, cls = s.coders["values"], path.schema.slots[slot]
    one, two = s.memory.get(first) if first else None, s.memory.get(second)
    there = (one is not None) + 2 * (two is not None and two is not one)
    told = _OF_TRACE if atom is one else _OF_PATH if atom is two else _KNOWN
    if atom is None or atom.number is None:
        told = _NEW
    told = s.nibble(coder, told, F.HOLE, (path.schema.number, slot), there)
    if told == _NEW:
        return None
    found = one if told == _OF_TRACE else two if told == _OF_PATH else None
    if told == _KNOWN and cls.atoms:
        number = (atom.number if atom else None) or 0
        context = s.contexts.get(PAIR, F.CHOICE, cls.number, 1 + path.number)
        found = cls.atoms[code_choice(coder, context, len(cls.atoms), number, "values")]
    if found is None:
        raise damaged_section("values")
    return found


def _code_new_value(s: State, path: Path, slot: int, atom: Atom | None) -> Atom:
    """A value that no dictionary has. A reader makes an atom that is not defined."""
    coder, cls, value = s.coders["values"], path.schema.slots[slot], atom.value if atom else 0
    told: String | int
    if cls.is_text:
        told = code_text(s, coder, "literals", cls.number, atom.text if atom else None)
    else:
        assert isinstance(value, int)
        told = s.series(coder, F.NUMBER, (path.schema.number, slot), path.number, value)
    return atom or new_atom(s, cls, told)
