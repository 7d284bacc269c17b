"""Which generators a block defines, and where its ids come from. No reader needs it; both backends decide the same."""

from __future__ import annotations

from collections.abc import Sequence

from tracezip.reference.define import PlannedGenerator
from tracezip.reference.drawn import Generator, GeneratorKind, GeneratorState, Origin, Origins
from tracezip.reference.find_generators import Finder
from tracezip.reference.find_parts import Found, IdRows
from tracezip.reference.format_limits import MAX_GENERATORS
from tracezip.reference.generators import M64
from tracezip.reference.state import State
from tracezip.reference.tables import Kind, Record

_MOST_RESOURCES = 4096
_USES_WORTH = {GeneratorKind.SPLITMIX: 2, GeneratorKind.V8_WORDS: 3, GeneratorKind.V8_DIGITS: 3}
_MT_USES_WORTH = 360
"""So many ids must come from a generator before it is worth what its definition costs."""


class _Candidate:
    """What the writer knows of a generator of the finder in this restart group."""

    def __init__(self, number: int) -> None:
        self.of_finder = number
        self.uses = 0
        """Ids that it drew, told or not."""
        self.generator: Generator | None = None
        """Once it is defined."""
        self.origin = 0
        """Its position 0, of the finder's."""


class IdKnowledge:
    """What encoders of a stream know of generators of ids, also across restart groups."""

    def __init__(self, level: int) -> None:
        self.finder = Finder(level)
        self.resources: dict[bytes, int] = {}
        """By their bytes."""


class IdPlanner:
    """Plans the ids of the blocks of a restart group."""

    def __init__(self, state: State, knowledge: IdKnowledge) -> None:
        self._s = state
        self._finder = knowledge.finder
        self._resources = knowledge.resources
        self._candidates: dict[int, _Candidate] = {}

    def plan(self) -> list[PlannedGenerator]:
        """The generators that the block defines; each span then knows where its ids come from."""
        spans = self._s.rows[Kind.SPAN]
        self._finder.find(self._id_rows(spans))
        lowest = self._count_uses()
        planned = self._plan_definitions(lowest) if self._candidates else []
        finder = self._finder
        for span, *found in zip(spans, finder.own, finder.parent, finder.trace, strict=True):
            span.origins = Origins(*map(self._origin_of, found))
        return planned

    def _id_rows(self, spans: Sequence[Record]) -> IdRows:
        return IdRows(
            [span.span_id for span in spans],
            [span.parent_id for span in spans],
            [span.trace_id[0] for span in spans],
            [span.trace_id[1] for span in spans],
            [span.start for span in spans],
            [
                number
                for resource in self._s.rows[Kind.RESOURCE_SPANS]
                for number in [self._resource_number(resource)]
                for scope in resource.children[0]
                for _ in scope.children[0]
            ],
        )

    def _resource_number(self, resource: Record) -> int:
        name = b"".join([atom.encoded for atom in resource.atoms])
        if name in self._resources:
            return self._resources[name]
        if len(self._resources) == _MOST_RESOURCES:
            return _MOST_RESOURCES
        return self._resources.setdefault(name, len(self._resources))

    def _count_uses(self) -> dict[int, int]:
        """The generators of this block in order of first use, each with its lowest position in it."""
        lowest: dict[int, int] = {}
        for pair in zip(self._finder.own, self._finder.trace, strict=True):
            for number, position in filter(None, pair):
                self._candidates.setdefault(number, _Candidate(number)).uses += 1
                lowest[number] = min(lowest.get(number, position), position)
        return lowest

    def _plan_definitions(self, lowest: dict[int, int]) -> list[PlannedGenerator]:
        """Those that are worth it, in order of first use, but all of a process together."""
        planned: list[PlannedGenerator] = []
        processes = dict.fromkeys(map(self._finder.resource, lowest))
        for process in processes:
            is_first = True
            for number in lowest:
                room = len(self._s.generators) + len(planned) < MAX_GENERATORS
                if self._finder.resource(number) == process and room:
                    defined = self._plan_generator(self._candidates[number], lowest[number], not is_first)
                    if defined:
                        planned.append(defined)
                        is_first = False
        return planned

    def _plan_generator(self, candidate: _Candidate, lowest: int, same_process: bool) -> PlannedGenerator | None:
        origin, kind, parameters = self._finder.origin(candidate.of_finder, lowest)
        if candidate.generator or candidate.uses < _USES_WORTH.get(GeneratorKind(kind), _MT_USES_WORTH):
            return None
        state = _state_of(kind, parameters)
        candidate.generator, candidate.origin = Generator(state), origin
        return PlannedGenerator(state, same_process, candidate.generator)

    def _origin_of(self, found: Found | None) -> Origin | None:
        candidate = self._candidates.get(found[0]) if found else None
        if found is None or candidate is None or candidate.generator is None:
            return None
        return Origin(candidate.generator, found[1] - candidate.origin & M64)


def _state_of(kind: int, parameters: tuple[int, ...]) -> GeneratorState:
    if kind == GeneratorKind.SPLITMIX:
        return GeneratorState(kind, seed=parameters[0], thread=parameters[1])
    if kind == GeneratorKind.MT19937:
        return GeneratorState(kind, words=parameters)
    return GeneratorState(kind, v8=(parameters[0], parameters[1]))
