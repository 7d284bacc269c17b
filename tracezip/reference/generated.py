"""FORMAT.md, "Generated ids": which generator drew an id, and where in its sequence it stands."""

from __future__ import annotations

from collections.abc import Sequence

from tracezip.errors import damaged_section
from tracezip.reference.contexts import MASK64, PAIR, F, code_choice, code_number
from tracezip.reference.drawn import Generator, GeneratorKind, Origin
from tracezip.reference.format_limits import MAX_VALUES
from tracezip.reference.state import State

ROLE_OWN, ROLE_PARENT, ROLE_TRACE = 0, 1, 2
_OTHER = 3
"""Not the generator of one of the near origins, of which there are so many."""


def _values_needed(generator: Generator, position: int, n_ids: int) -> int:
    """How many values more than those of what was told before."""
    if generator.kind == GeneratorKind.SPLITMIX:
        return 0
    return max(position + n_ids * generator.width - generator.extent, 0)


def _is_allowed(s: State, generator: Generator, position: int, n_ids: int) -> bool:
    if generator.kind == GeneratorKind.SPLITMIX:
        return True
    return position <= MAX_VALUES and s.n_values + _values_needed(generator, position, n_ids) <= MAX_VALUES


def origin_holds(s: State, origin: Origin | None, ids: Sequence[int]) -> bool:
    """Writer: is an id, or are the two halves of a trace's, what the generator draws there?"""
    if origin is None or not _is_allowed(s, origin.generator, origin.position, len(ids)):
        return False
    return tuple(ids) == drawn_ids(origin, len(ids))


def drawn_ids(origin: Origin, n_ids: int) -> tuple[int, ...]:
    """One id, or the upper and the lower half of a trace's."""
    generator, position = origin
    return generator.trace_id_at(position) if n_ids == 2 else (generator.id_at(position),)


def code_origin(
    s: State, role: int, path: int, near: Sequence[Origin | None], n_ids: int, origin: Origin | None
) -> Origin:
    """The generator and the position of an id. `near`: the origins of its neighbours, the likeliest first."""
    coder = s.coders["structure"]
    told = _near_symbol(near, origin) if origin else 0
    told = s.nibble(coder, told, F.FROM, role, path)
    close = near[told] if told < _OTHER else None
    if close is None and told != _OTHER:
        raise damaged_section("structure")
    generator = close.generator if close else _code_other_generator(s, role, path, origin)
    base = close.position if close else generator.last
    context = s.contexts.get(PAIR, F.POSITION, 4 * role + told, path)
    position = base + code_number(coder, context, (origin.position if origin else 0) - base & MASK64) & MASK64
    _use(s, generator, position, n_ids)
    return Origin(generator, position)


def _near_symbol(near: Sequence[Origin | None], origin: Origin) -> int:
    return next((i for i, close in enumerate(near) if close and close.generator is origin.generator), _OTHER)


def _code_other_generator(s: State, role: int, path: int, origin: Origin | None) -> Generator:
    coder = s.coders["structure"]
    if not s.processes:
        raise damaged_section("structure")
    context = s.contexts.get(PAIR, F.PROCESS, role, path)
    process = code_choice(coder, context, len(s.processes), origin.generator.process if origin else 0, "structure")
    generators = s.processes[process]
    rank = generators.index(origin.generator) if origin else 0
    context = s.contexts.get(PAIR, F.GENERATOR_RANK, process)
    return generators[code_choice(coder, context, len(generators), rank, "structure")]


def _use(s: State, generator: Generator, position: int, n_ids: int) -> None:
    if not _is_allowed(s, generator, position, n_ids):
        raise damaged_section("ids")
    needed = _values_needed(generator, position, n_ids)
    s.n_values += needed
    generator.extent += needed
    generator.last = position
    generators = s.processes[generator.process]
    generators.remove(generator)
    generators.append(generator)
