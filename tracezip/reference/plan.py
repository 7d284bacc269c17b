"""What a writer decides before it writes a block. FORMAT.md, "What a writer is free to do": no reader needs it.

Only integers decide, so that both backends decide the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from tracezip.reference.contexts import MASK64
from tracezip.reference.define import MAX_CONDITION, Plan
from tracezip.reference.skeleton import skeleton_of
from tracezip.reference.state import State
from tracezip.reference.tables import KINDS, Atom, Kind, Mode, Path, Record, Schema, Skeleton, String
from tracezip.reference.times import MAX_GRAIN

_PATH_COST = 12
"""A path costs about as much as telling a value this many times."""
_NEW_PATHS_FREE = 8
_CONDITIONS_TRIED = 4
_UNDECIDED = len(Mode)


class Planner:
    """Plans the blocks of a restart group. `threshold`: how often a string is seen before it is remembered."""

    def __init__(self, state: State, threshold: int) -> None:
        self._s = state
        self.threshold = threshold
        self._skeletons: dict[bytes, Skeleton] = {}
        self._plan = Plan()

    def plan(self) -> Plan:
        self._plan = Plan()
        self._count_uses()
        for kind in KINDS:
            self._plan_modes(kind)
        for kind in KINDS:
            self._plan_paths(kind)
        listed = self._plan_path_atoms()
        for kind in KINDS:
            self._plan_hole_atoms(kind, listed)
        for kind in (Kind.SPAN, Kind.EVENT):
            self._plan_grains(kind)
        return self._plan

    def _count_uses(self) -> None:
        for rows in self._s.rows:
            for record in rows:
                for atom in record.atoms:
                    text = atom.text if atom.cls.is_text else None
                    if not atom.uses:
                        self._s.n_fields += 1
                        self._s.field_bytes += len(atom.encoded) + (len(text.data) if text and not text.uses else 0)
                    atom.uses += 1
                    if text:
                        text.uses += 1

    def _is_eligible(self, atom: Atom) -> bool:
        """Strings seen too rarely are told where they occur and not remembered."""
        if atom.number is not None:
            return True
        return atom.text.uses >= self.threshold if atom.cls.is_text else atom.uses >= 2

    # --- modes --------------------------------------------------------------------------------------------------------

    def _plan_modes(self, kind: Kind) -> None:
        """Schemas come in the order of their last rows."""
        rows_of: dict[Schema, list[Record]] = {}
        for record in self._s.rows[kind]:
            rows = rows_of.pop(record.schema, [])
            rows.append(record)
            rows_of[record.schema] = rows
        for schema, rows in rows_of.items():
            if not schema.is_decided:
                self._plan.schemas.append(schema)
            elif self._modes_serve(schema, rows):
                continue
            else:
                self._plan.changed.append(schema)
            self._decide_modes(schema, rows)
            schema.is_decided = True

    def _modes_serve(self, schema: Schema, rows: list[Record]) -> bool:
        """Do the modes that a schema has serve this block's rows as well?"""
        n_fresh = 0
        for slot, mode in enumerate(schema.modes):
            if mode == Mode.PATH:
                fresh = {row.atoms[slot] for row in rows if row.atoms[slot].number is None}
                if any(atom.cls.is_text and not self._is_eligible(atom) for atom in fresh):
                    return False
                n_fresh += len(fresh)
        return n_fresh * _PATH_COST <= len(rows) + _PATH_COST * _NEW_PATHS_FREE

    def _decide_modes(self, schema: Schema, rows: list[Record]) -> None:
        """Decides each slot of a schema from its rows in this block. Once a hole, always a hole."""
        n_distinct = []
        for slot, mode in enumerate(schema.modes):
            distinct = {row.atoms[slot] for row in rows}
            n_distinct.append(len(distinct))
            if not schema.is_decided or mode == Mode.PATH:
                hidden = any(atom.cls.is_text and not self._is_eligible(atom) for atom in distinct)
                schema.modes[slot] = Mode.DICTIONARY if hidden else _UNDECIDED
        parts = _choose_path_slots(schema, rows, n_distinct)
        for slot, mode in enumerate(schema.modes):
            schema.conditions[slot] = 0
            if mode == Mode.PATH:
                continue
            if not schema.slots[slot].is_text:
                schema.modes[slot] = Mode.NUMBER if n_distinct[slot] * 2 > len(rows) else Mode.DICTIONARY
            if schema.modes[slot] == Mode.DICTIONARY:
                schema.conditions[slot] = _choose_condition(schema, rows, parts, slot)

    # --- paths and what they define -----------------------------------------------------------------------------------

    def _plan_paths(self, kind: Kind) -> None:
        for record in self._s.rows[kind]:
            shape, schema = record.shape, record.schema
            assert shape is not None
            if not shape.is_planned:
                shape.is_planned = True
                self._plan.shapes.append(shape)
            atoms = tuple(
                atom if mode == Mode.PATH else None for atom, mode in zip(record.atoms, schema.modes, strict=True)
            )
            record.path = self._s.known_paths.get((schema, atoms))
            if record.path is None:
                record.path = self._s.known_paths[schema, atoms] = Path(schema, atoms)
                self._plan.paths.append(record.path)

    def _plan_path_atoms(self) -> set[Atom]:
        """What the new paths define, so that the holes' atoms are only those that are left."""
        listed: set[Atom] = set()
        for path in self._plan.paths:
            for atom in path.atoms:
                if atom and atom.number is None and atom not in listed:
                    listed.add(atom)
                    self._note_atom(atom)
        return listed

    def _plan_hole_atoms(self, kind: Kind, listed: set[Atom]) -> None:
        for record in self._s.rows[kind]:
            assert record.path is not None
            for slot, fixed in enumerate(record.path.atoms):
                atom = record.atoms[slot]
                if fixed or atom.number is not None or atom in listed:
                    continue
                self._note_atom(atom)
                if record.schema.modes[slot] != Mode.NUMBER and self._is_eligible(atom):
                    listed.add(atom)
                    self._plan.atoms.append(atom)

    def _note_atom(self, atom: Atom) -> None:
        if atom.cls.is_text and atom.text.number is None:
            self._note_text(atom.text)

    def _note_text(self, text: String) -> None:
        """Looks for the skeleton of a text that this block tells. One that two texts have is worth defining."""
        found = None if text.was_looked_at else skeleton_of(text.data)
        text.was_looked_at = True
        if found is None:
            return
        data, text.fields = found
        skeleton = text.skeleton = self._skeletons.setdefault(data, Skeleton(data))
        skeleton.uses += 1
        if skeleton.uses == 2:
            self._plan.skeletons.append(skeleton)

    # --- grains -------------------------------------------------------------------------------------------------------

    def _plan_grains(self, kind: Kind) -> None:
        for record in self._s.rows[kind]:
            assert record.path is not None
            clock = record.path.clock
            if clock.planned_in_block != self._s.block:
                clock.planned_in_block = self._s.block
                clock.next_grains = [MAX_GRAIN, MAX_GRAIN]
            length = record.end - record.start & MASK64 if kind == Kind.SPAN else 0
            clock.next_grains[0] = _grain_of(record.start, clock.next_grains[0])
            clock.next_grains[1] = _grain_of(min(length, -length & MASK64), clock.next_grains[1])


def _grain_of(time: int, most: int) -> int:
    """The largest power of ten that divides a time and is at most 10^most."""
    while most and time % 10**most:
        most -= 1
    return most


# --- slots ------------------------------------------------------------------------------------------------------------


def _choose_path_slots(schema: Schema, rows: list[Record], n_distinct: list[int]) -> list[int]:
    """Takes slots into the path, those with the fewest values first, as long as that makes few paths.

    Returns which rows have the same path: a number for each.
    """
    parts, n_parts, modes = [0] * len(rows), 1, schema.modes
    undecided = [slot for slot, mode in enumerate(modes) if mode == _UNDECIDED]
    for slot in sorted(undecided, key=lambda slot: n_distinct[slot]):
        modes[slot] = Mode.DICTIONARY
        if n_distinct[slot] == 1:
            modes[slot] = Mode.PATH
            continue
        if n_distinct[slot] * _PATH_COST > len(rows) + _PATH_COST * _NEW_PATHS_FREE:
            continue
        refined, n_refined = _refine(rows, parts, slot)
        if (n_refined - n_parts) * _PATH_COST <= len(rows):
            modes[slot] = Mode.PATH
            parts, n_parts = refined, n_refined
    return parts


def _refine(rows: list[Record], parts: list[int], slot: int) -> tuple[list[int], int]:
    """Splits the parts by a slot's atoms; how many parts there are then."""
    numbers: dict[tuple[int, Atom], int] = {}
    refined = [numbers.setdefault((part, row.atoms[slot]), len(numbers)) for part, row in zip(parts, rows, strict=True)]
    return refined, len(numbers)


def _choose_condition(schema: Schema, rows: list[Record], parts: list[int], slot: int) -> int:
    """The slot whose value tells this hole's best, + 1; 0 if the path does."""
    best, chosen, n_tried = _count_misses(rows, slot, parts), 0, 0
    if best <= len(rows) // 32 or len(rows) < 8:
        return 0
    best -= len(rows) // 32
    for i in reversed(range(slot)):
        if n_tried == _CONDITIONS_TRIED:
            break
        if schema.modes[i] != Mode.DICTIONARY or i >= MAX_CONDITION:
            continue
        n_tried += 1
        misses = _count_misses(rows, slot, [row.atoms[i] for row in rows])
        if misses < best:
            best, chosen = misses, i + 1
    return chosen


def _count_misses(rows: list[Record], slot: int, keys: Sequence[Hashable]) -> int:
    """How often the last value seen with the same key is wrong."""
    last: dict[Hashable, Atom] = {}
    n = 0
    for row, key in zip(rows, keys, strict=True):
        n += last.get(key) is not row.atoms[slot]
        last[key] = row.atoms[slot]
    return n
