"""Which generators a block defines, and where its ids come from. No reader needs it; both backends decide the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracezip.reference.define import PlannedGenerator
from tracezip.reference.drawn import Generator, GeneratorKind, GeneratorState, Origin, Origins
from tracezip.reference.find_generators import Finder
from tracezip.reference.find_parts import Found, IdRows
from tracezip.reference.format_limits import MAX_GENERATORS, MAX_SKIPPED
from tracezip.reference.generators import M64
from tracezip.reference.state import State
from tracezip.reference.tables import Kind, Record

_MOST_RESOURCES = _MOST_RESOURCE_BYTES = 4096
_STRETCH = 1 << 14
"""The finder looks at so many spans at a time: what it finds in them explains the ids of the next."""


class _Candidate:
    """What the writer knows of a generator of the finder in this restart group."""

    def __init__(self, number: int) -> None:
        self.of_finder = number
        self.uses = 0
        """Ids that it drew, told or not."""
        self.generator: Generator | None = None
        """Once it is defined."""
        self.process = 0
        self.origin = 0
        """Its position 0, of the finder's."""
        self.state = GeneratorState(0)
        """There."""


class IdKnowledge:
    """What encoders of a stream know of generators of ids, also across restart groups."""

    def __init__(self, level: int, halvings: int) -> None:
        self.finder = Finder(level, halvings)
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
        spans, resources = self._s.rows[Kind.SPAN], self._resources_of_spans()
        found: list[tuple[Found | None, Found | None, Found | None]] = []
        lowest: dict[int, int] = {}
        n_rows = _STRETCH >> self._finder.sizes.halvings
        for first in range(0, len(spans), n_rows):
            stretch = slice(first, first + n_rows)
            self._finder.find(_id_rows(spans[stretch], resources[stretch]))
            fresh = self._count_uses(lowest)
            self._describe(fresh, lowest)
            found += zip(self._finder.own, self._finder.parent, self._finder.trace, strict=True)
        planned = self._plan_definitions(lowest) if self._candidates else []
        for span, of_span in zip(spans, found, strict=True):
            span.origins = Origins(*map(self._origin_of, of_span))
        return planned

    def _resources_of_spans(self) -> list[int]:
        return [
            number
            for resource in self._s.rows[Kind.RESOURCE_SPANS]
            for number in [self._resource_number(resource)]
            for scope in resource.children[0]
            for _ in scope.children[0]
        ]

    def _resource_number(self, resource: Record) -> int:
        name = b"".join([atom.encoded for atom in resource.atoms])
        if name in self._resources:
            return self._resources[name]
        if len(self._resources) == _MOST_RESOURCES or len(name) > _MOST_RESOURCE_BYTES:
            return _MOST_RESOURCES
        return self._resources.setdefault(name, len(self._resources))

    def _count_uses(self, lowest: dict[int, int]) -> list[_Candidate]:
        """Notes generators in order of first use in the block, each with its lowest position; those that are new."""
        fresh = []
        for pair in zip(self._finder.own, self._finder.trace, strict=True):
            for number, position in filter(None, pair):
                candidate = self._candidates.setdefault(number, _Candidate(number))
                candidate.uses += 1
                if number not in lowest:
                    fresh.append(candidate)
                lowest[number] = min(lowest.get(number, position), position)
        return fresh

    def _describe(self, candidates: list[_Candidate], lowest: dict[int, int]) -> None:
        """Keeps what has to be told of generators; the finder may forget them."""
        for candidate in candidates:
            candidate.process = self._finder.resource(candidate.of_finder)
            if candidate.generator is None:
                origin, kind, parameters = self._finder.origin(candidate.of_finder, lowest[candidate.of_finder])
                candidate.origin, candidate.state = origin, GeneratorState.of(kind, parameters)

    def _plan_definitions(self, lowest: dict[int, int]) -> list[PlannedGenerator]:
        """Those that are worth it, in order of first use, but all of a process together."""
        planned: list[PlannedGenerator] = []
        used = [self._candidates[number] for number in lowest]
        n_skipped = self._s.n_skipped
        for process in dict.fromkeys(candidate.process for candidate in used):
            is_first = True
            for candidate in used:
                room = len(self._s.generators) + len(planned) < MAX_GENERATORS
                if candidate.process != process or candidate.generator is not None or not room:
                    continue
                state = _allowed(candidate.state, n_skipped)
                if candidate.uses < _uses_worth(state):
                    continue
                n_skipped += state.skip
                candidate.generator = Generator(state)
                planned.append(PlannedGenerator(state, not is_first, candidate.generator))
                is_first = False
        return planned

    def _origin_of(self, found: Found | None) -> Origin | None:
        candidate = self._candidates.get(found[0]) if found else None
        if found is None or candidate is None or candidate.generator is None:
            return None
        return Origin(candidate.generator, found[1] - candidate.origin & M64)


def _id_rows(spans: Sequence[Record], resources: Sequence[int]) -> IdRows:
    return IdRows(
        [span.span_id for span in spans],
        [span.parent_id for span in spans],
        [span.trace_id[0] for span in spans],
        [span.trace_id[1] for span in spans],
        [span.start for span in spans],
        resources,
    )


def _allowed(state: GeneratorState, n_skipped: int) -> GeneratorState:
    """What is told: words in place of a seed that is too far."""
    return replace(state, seed=0, skip=0) if n_skipped + state.skip > MAX_SKIPPED else state


def _uses_worth(state: GeneratorState) -> int:
    """So many ids must come from a generator before it is worth what its definition costs."""
    kind = GeneratorKind(state.kind)
    if kind.is_go and not state.seed:
        return 640
    return 360 if kind.is_mt else 2 if kind == GeneratorKind.SPLITMIX else 3
