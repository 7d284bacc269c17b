"""FORMAT.md, "Definitions": what a block begins with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tracezip.errors import damaged_section, section_beyond_limits
from tracezip.reference.check import check_class, check_fields
from tracezip.reference.contexts import (
    PAIR,
    SMALL,
    F,
    code_choice,
    code_number,
    code_pair,
    code_small,
)
from tracezip.reference.drawn import Generator, GeneratorKind, GeneratorState
from tracezip.reference.format_limits import MAX_FIELDS, MAX_GENERATORS, MAX_PATHS, MAX_ROWS, MAX_SLOTS
from tracezip.reference.generators import MT_N
from tracezip.reference.skeleton import FIELDS, MAX_SKELETON_FIELDS
from tracezip.reference.state import Recent, State, T
from tracezip.reference.tables import (
    KINDS,
    N_PLACES,
    Atom,
    Class,
    Mode,
    Op,
    Path,
    Schema,
    Shape,
    Skeleton,
    String,
    Value,
    encode_field,
)
from tracezip.reference.text import code_text

_COST = 4
"""What a class, schema, shape or path takes from the budget."""
_ATOM_COST = 8

_CLASS_DEFINED, _CLASS_NEW = 2, 3

MAX_CONDITION = 255
"""A slot further on than this foretells no other."""


class PlannedGenerator(NamedTuple):
    state: GeneratorState
    same_process: bool
    """As the one before."""
    generator: Generator


@dataclass
class Plan:
    """What a block defines, in order. A reader's is empty."""

    skeletons: list[Skeleton] = field(default_factory=list)
    schemas: list[Schema] = field(default_factory=list)
    changed: list[Schema] = field(default_factory=list)
    """Schemas whose modes are told again."""
    shapes: list[Shape] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    atoms: list[Atom] = field(default_factory=list)
    generators: list[PlannedGenerator] = field(default_factory=list)


def code_definitions(s: State, plan: Plan) -> None:
    for skeleton in _code_list(s, 0, plan.skeletons):
        _define_skeleton(s, skeleton)
    for schema in _code_list(s, 1, plan.schemas):
        _define_schema(s, schema)
    for schema in _code_list(s, 2, plan.changed):
        changed = _code_schema(s, 2, schema)
        s.spend(len(changed.slots))
        _code_modes(s, changed)
    for shape in _code_list(s, 3, plan.shapes):
        _define_shape(s, shape)
    for path in _code_list(s, 4, plan.paths):
        _define_path(s, path)
    last: Class | None = None
    for atom in _code_list(s, 5, plan.atoms):
        last = _code_class(s, last, atom.cls if atom else None)
        if not last.value:
            raise damaged_section("tree")
        _define_atom(s, last, atom)
    for generator in _code_list(s, 6, plan.generators):
        _define_generator(s, generator)


def _code_list(s: State, which: int, things: list[T]) -> Iterator[T | None]:
    """Each thing of a list; nothing so many times when reading."""
    n = code_number(s.coders["tree"], s.contexts.get(PAIR, F.COUNT, which), len(things))
    if n > MAX_ROWS:
        raise section_beyond_limits("tree")
    for i in range(n):
        yield things[i] if s.writing else None


def _define_skeleton(s: State, skeleton: Skeleton | None) -> None:
    data = skeleton.data if skeleton else b""
    n = code_number(s.coders["tree"], s.contexts.get(PAIR, F.TEXT_LENGTH, 0, 1), len(data))
    s.spend(n)
    data = s.plains["text"].take(n, data)
    if not 0 < sum(byte in FIELDS for byte in data) <= MAX_SKELETON_FIELDS:
        raise damaged_section("tree")
    skeleton = skeleton or Skeleton(data)
    s.skeletons.append(skeleton)
    skeleton.number = len(s.skeletons)


# --- schemas ----------------------------------------------------------------------------------------------------------


def _define_schema(s: State, schema: Schema | None) -> None:
    coder = s.coders["tree"]
    s.spend(_COST)
    kind = s.nibble(coder, schema.kind if schema else 0, F.SCHEMA, 0)
    n = code_small(coder, s.contexts.get(SMALL, F.SCHEMA, 1, kind), len(schema.classes) if schema else 0)
    if kind >= len(KINDS) or n > MAX_FIELDS:
        raise damaged_section("tree")
    s.spend(n)
    classes: list[Class] = []
    for i in range(n):
        classes.append(_code_class(s, classes[-1] if classes else None, schema.classes[i] if schema else None))
    schema = schema or _new_schema(s, kind, tuple(classes))
    s.schemas.append(schema)
    schema.number = len(s.schemas)
    s.n_slots += len(schema.slots)
    if s.n_slots > MAX_SLOTS:
        raise section_beyond_limits("tree")
    _code_modes(s, schema)


def _new_schema(s: State, kind: int, classes: tuple[Class, ...]) -> Schema:
    check_fields(kind, classes)
    if (kind, classes) in s.known_schemas:
        raise damaged_section("tree")
    schema = s.known_schemas[kind, classes] = Schema(kind, classes)
    return schema


def _code_modes(s: State, schema: Schema) -> None:
    coder = s.coders["tree"]
    for i in range(len(schema.slots)):
        mode = s.nibble(coder, schema.modes[i], F.SLOT_MODE)
        if mode > Mode.NUMBER:
            raise damaged_section("tree")
        schema.modes[i] = mode
        if mode == Mode.DICTIONARY:
            context = s.contexts.get(SMALL, F.SLOT_CONDITION)
            schema.conditions[i] = code_small(coder, context, schema.conditions[i] if s.writing else 0)
            if schema.conditions[i] > min(i, MAX_CONDITION):
                raise damaged_section("tree")


def _code_class(s: State, last: Class | None, cls: Class | None) -> Class:
    """A class, after the one before it."""
    coder, recent = s.coders["tree"], s.recent_class(last)
    told = s.nibble(coder, _class_symbol(recent, cls) if s.writing else 0, F.CLASS, recent.run)
    found: Class | None = None
    if told < _CLASS_DEFINED:
        found = recent.second if told else recent.first
    elif told == _CLASS_DEFINED and s.classes:
        number = cls.number - 1 if cls else 0
        context = s.contexts.get(PAIR, F.CLASS, 16)
        found = s.classes[code_choice(coder, context, len(s.classes), number, "tree")]
    elif told == _CLASS_NEW:
        found = _define_class(s, cls)
    if found is None:
        raise damaged_section("tree")
    recent.learn(found)
    return found


def _class_symbol(recent: Recent[Class], cls: Class | None) -> int:
    """How a class is told: as one of the two of a recent, by its number, or anew."""
    assert cls is not None
    if not cls.number:
        return _CLASS_NEW
    return 0 if cls is recent.first else 1 if cls is recent.second else _CLASS_DEFINED


def _define_class(s: State, cls: Class | None) -> Class:
    coder, given = s.coders["tree"], cls or Class(0, 0, 0)
    s.spend(_COST)
    place = s.nibble(coder, given.place, F.CLASS_NEW, 0)
    op = s.nibble(coder, given.op, F.CLASS_NEW, 1, place)
    tag = code_number(coder, s.contexts.get(PAIR, F.CLASS_NEW, 2, place << 8 | op), given.tag)
    if place >= N_PLACES or op >= len(Op) or tag >> 32:
        raise damaged_section("tree")
    key, any_tag = None, 0
    if op == Op.ATTRIBUTE:
        key = _define_string(s, 0, 0, given.key)
        any_tag = code_pair(coder, s.contexts.get(PAIR, F.CLASS_NEW, 3, place), given.any)
    cls = cls or _new_class(s, place, op, tag, key, any_tag)
    s.classes.append(cls)
    cls.number = len(s.classes)
    return cls


def _new_class(s: State, place: int, op: int, tag: int, key: String | None, any_tag: int) -> Class:
    check_class(place, op, tag, any_tag)
    name = (place, op, tag, key, any_tag)
    if name in s.known_classes:
        raise damaged_section("tree")
    cls = s.known_classes[name] = Class(place, op, tag, key, any_tag)
    return cls


def _define_string(s: State, which: int, class_number: int, text: String | None) -> String:
    """A string, known or told here: a key (0), or a value of a class (1)."""
    coder = s.coders["tree"]
    number = text.number if text else None
    if s.bit(coder, number is not None, F.STRING_KNOWN, which, class_number):
        number = code_number(coder, s.contexts.get(PAIR, F.STRING, which), number or 0)
        if number >= len(s.strings):
            raise damaged_section("tree")
        return s.strings[number]
    text = code_text(s, coder, "text", class_number, text)
    text.number = len(s.strings)
    s.strings.append(text)
    return text


# --- shapes and paths -------------------------------------------------------------------------------------------------


def _code_schema(s: State, which: int, schema: Schema | None) -> Schema:
    if not s.schemas:
        raise damaged_section("tree")
    context = s.contexts.get(PAIR, F.SHAPE, which, 1)
    return s.schemas[code_choice(s.coders["tree"], context, len(s.schemas), schema.number - 1 if schema else 0, "tree")]


def _define_shape(s: State, shape: Shape | None) -> None:
    schema = _code_schema(s, 0, shape.schema if shape else None)
    s.spend(_COST + len(schema.classes))
    order = tuple(range(len(schema.classes)))
    if not s.bit(s.coders["tree"], shape is not None and shape.is_own_order, F.SHAPE, 1):
        order = _code_order(s, len(order), shape.order if shape else None)
    if shape is None:
        check_fields(schema.kind, [schema.classes[i] for i in order])
        shape = Shape(schema, order)
    shape.number = len(schema.shapes)
    schema.shapes.append(shape)


def _code_order(s: State, n: int, order: tuple[int, ...] | None) -> tuple[int, ...]:
    """Each slot as its place among those that are left."""
    left, result = list(range(n)), []
    for i in range(n):
        context = s.contexts.get(SMALL, F.SHAPE, 2)
        at = code_small(s.coders["tree"], context, left.index(order[i]) if order else 0)
        if at >= len(left):
            raise damaged_section("tree")
        result.append(left.pop(at))
    return tuple(result)


def _define_path(s: State, path: Path | None) -> None:
    schema = _code_schema(s, 1, path.schema if path else None)
    s.spend(_COST + len(schema.slots))
    atoms = tuple(_code_slot(s, schema, slot, path.atoms[slot] if path else None) for slot in range(len(schema.slots)))
    path = path or _new_path(s, schema, atoms)
    schema.last_path = path
    s.define_path(path)
    if s.n_paths > MAX_PATHS:
        raise section_beyond_limits("tree")


def _new_path(s: State, schema: Schema, atoms: tuple[Atom | None, ...]) -> Path:
    if (schema, atoms) in s.known_paths:
        raise damaged_section("tree")
    path = s.known_paths[schema, atoms] = Path(schema, atoms)
    return path


def _code_slot(s: State, schema: Schema, slot: int, atom: Atom | None) -> Atom | None:
    """An atom of a path, or a hole."""
    if schema.modes[slot] != Mode.PATH:
        return None
    before = schema.last_path.atoms[slot] if schema.last_path else None
    if before is not None and s.bit(s.coders["tree"], atom is before, F.SAME, schema.number, slot):
        return before
    return _code_atom(s, schema.slots[slot], atom)


# --- atoms ------------------------------------------------------------------------------------------------------------


def _code_atom(s: State, cls: Class, atom: Atom | None) -> Atom:
    coder, n = s.coders["tree"], len(cls.atoms)
    is_defined = atom is not None and atom.number is not None
    if not n or not s.bit(coder, is_defined, F.ATOM_KNOWN, cls.number):
        return _define_atom(s, cls, atom)
    number = (atom.number if atom else None) or 0
    return cls.atoms[code_choice(coder, s.contexts.get(PAIR, F.ATOM, cls.number), n, number, "tree")]


def _define_atom(s: State, cls: Class, atom: Atom | None) -> Atom:
    value: String | int
    if cls.is_text:
        value = _define_string(s, 1, cls.number, atom.text if atom else None)
    else:
        given = atom.value if atom else 0
        assert isinstance(given, int)
        value = code_number(s.coders["tree"], s.contexts.get(PAIR, F.VALUE, cls.number), given)
    atom = atom or new_atom(s, cls, value)
    atom.number = len(cls.atoms)
    cls.atoms.append(atom)
    s.n_serials += 1
    atom.serial = s.n_serials
    return atom


def new_atom(s: State, cls: Class, value: String | int) -> Atom:
    """What a reader makes of a value that it was told."""
    if cls.value == Value.FIXED32 and isinstance(value, int) and value >> 32:
        raise damaged_section("values")
    n_key = len(cls.key.data) if cls.key else 0
    s.spend(_ATOM_COST + n_key + (len(value.data) if isinstance(value, String) else 0))
    return Atom(cls, value, encode_field(cls, value))


# --- generators -------------------------------------------------------------------------------------------------------


def _define_generator(s: State, planned: PlannedGenerator | None) -> None:
    """The first one of all begins a process; each of the others may be of the same process as the one before."""
    if len(s.generators) == MAX_GENERATORS:
        raise section_beyond_limits("tree")
    same = bool(s.generators) and s.bit(s.coders["tree"], planned is not None and planned.same_process, F.GENERATOR, 2)
    state = _code_generator_state(s, planned.state if planned else GeneratorState(0))
    if not same:
        s.processes.append([])
    generator = planned.generator if planned else Generator(state)
    generator.process = len(s.processes) - 1
    s.generators.append(generator)
    s.processes[-1].append(generator)


def _code_generator_state(s: State, given: GeneratorState) -> GeneratorState:
    kind = s.nibble(s.coders["tree"], given.kind, F.GENERATOR, 0)
    if kind == GeneratorKind.SPLITMIX:
        thread = code_number(s.coders["tree"], s.contexts.get(PAIR, F.GENERATOR, 1), given.thread)
        if thread >> 32:
            raise damaged_section("tree")
        return GeneratorState(kind, thread=thread, seed=_code_number(s, 8, given.seed))
    if kind in (GeneratorKind.V8_WORDS, GeneratorKind.V8_DIGITS):
        return GeneratorState(kind, v8=(_code_number(s, 8, given.v8[0]), _code_number(s, 8, given.v8[1])))
    if kind == GeneratorKind.MT19937:
        words = given.words or (0,) * MT_N
        return GeneratorState(kind, words=tuple([_code_number(s, 4, word) for word in words]))
    raise damaged_section("tree")


def _code_number(s: State, n_bytes: int, number: int) -> int:
    return int.from_bytes(s.plains["ids"].take(n_bytes, number.to_bytes(n_bytes, "big")), "big")
