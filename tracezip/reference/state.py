"""What writer and reader of a restart group both know. FORMAT.md, "Recents", "Series and costs", and all other state.

It changes only in the modules that both of them run, so that neither can learn something at another moment.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from tracezip.errors import section_beyond_limits
from tracezip.reference.coder import Coder, Plain
from tracezip.reference.contexts import BIT, MASK64, NIBBLE, PAIR, Contexts, code_nibble, code_number
from tracezip.reference.drawn import Generator, Origin
from tracezip.reference.format_limits import BUDGET_START
from tracezip.reference.tables import Atom, Class, Path, Record, Schema, Skeleton, String

T = TypeVar("T")
_MAX_RUN = 15


class Recent(Generic[T]):
    """The last two different things in some context."""

    def __init__(self) -> None:
        self.first: T | None = None
        self.second: T | None = None
        self.run = 0

    def learn(self, thing: T) -> None:
        if thing is self.first:
            self.run = min(self.run + 1, _MAX_RUN)
            return
        self.first, self.second, self.run = thing, self.first, 0


class Mention:
    """A span id that was mentioned, as a span's own or as a parent's."""

    def __init__(self, trace: Trace, span_id: int, seen: bool) -> None:
        self.trace = trace
        self.span_id = span_id
        self.seen = seen
        """Its span has come; else it is awaited."""
        self.has_children = False
        self.origin: Origin | None = None
        self.child: Origin | None = None
        """Of the id of its last child."""
        self.start = self.length = 0
        """Of its span, ns."""
        self.first_start = self.child_start = self.child_end = self.last_end = 0
        """Of its first child so far, of its last one, and the last end of all, ns."""
        self.before: Mention | None = None
        self.after: Mention | None = None
        """Neighbours in the list of its trace."""


class Trace:
    """A trace and its two lists of mentions, of which the fronts are kept: awaited, seen."""

    def __init__(self, number: int, trace_id: tuple[int, int]) -> None:
        self.number = number
        self.trace_id = trace_id
        self.next: Trace | None = None
        self.last_start = 0
        self.last_path: Path | None = None
        self.origin: Origin | None = None
        self.fronts: list[Mention | None] = [None, None]


class Series:
    """Numbers that are told as themselves or as a difference to the last one."""

    def __init__(self) -> None:
        self.last = 0
        self.costs = [0, 0]


def cheapest(costs: Sequence[int], available: Sequence[int]) -> int:
    """The base with the lowest cost, the first of equals."""
    return min(available, key=lambda base: costs[base])


def learn_costs(costs: list[int], bases: Mapping[int, int], value: int) -> None:
    for i, base in bases.items():
        difference = value - base & MASK64
        size = min(difference, -difference & MASK64)
        costs[i] += (16 * size.bit_length() - costs[i]) >> 3


class State:
    """One direction of one restart group."""

    def __init__(self, preset: Sequence[bytes], writing: bool) -> None:
        self.writing = writing
        self.contexts = Contexts()
        self.coders: dict[str, Coder] = {}
        self.plains: dict[str, Plain] = {}
        self.block = 0
        """Number of the block, from 1."""
        self.budget = BUDGET_START
        self.most_spans = 0
        """Reader: after so many spans it needs no more of the block."""
        self._recents: dict[Hashable, Recent[Path]] = {}
        self._class_recents: dict[Class | None, Recent[Class]] = {}
        self._series: dict[Hashable, Series] = {}
        self.memory: dict[Hashable, Atom] = {}
        self.strings = [String(data, number) for number, data in enumerate(dict.fromkeys(preset))]
        """The defined ones; so are the lists below."""
        self.n_preset = len(self.strings)
        self.skeletons: list[Skeleton] = []
        self.uuids: list[bytes] = []
        """Of fields, their 32 digits, in the order in which they were told."""
        self.uuid_numbers: dict[bytes, int] = {}
        self.last_uuids: dict[Hashable, int] = {}
        """Of each field."""
        self.classes: list[Class] = []
        self.schemas: list[Schema] = []
        self.paths: tuple[list[Path], ...] = ([], [], [], [], [])
        """By kind."""
        self.n_slots = 0
        """Slots with values of all schemas."""
        self.n_paths = 0
        self.n_serials = 0
        self.known_classes: dict[Hashable, Class] = {}
        self.known_schemas: dict[Hashable, Schema] = {}
        self.known_paths: dict[Hashable, Path] = {}
        self.generators: list[Generator] = []
        self.processes: list[list[Generator]] = []
        """The generators of each, by last use, the one not used for longest first."""
        self.n_values = 0
        """Of all generators that were needed."""
        self.resource_path = 0
        """Of the resource spans around."""
        self.traces: list[Trace] = []
        self.trace_by_id: dict[tuple[int, int], Trace] = {}
        self.mention_by_id: dict[int, Mention] = {}
        """Writer: the latest one of an id."""
        self.n_mentions = self.n_fields = self.field_bytes = 0
        self.last_trace = Trace(0, (0, 0))
        self.last_path_number = 0
        self.last_grains = [0, 0]
        self.rows: list[list[Record]] = [[], [], [], [], []]
        """Of the block, by kind."""

    def bit(self, coder: Coder, one: bool, family: int, a: Hashable = 0, b: Hashable = 0) -> bool:
        """A bit that is alone in its context."""
        return bool(coder.symbol(self.contexts.get(BIT, family, a, b).bit(0), int(one)))

    def nibble(self, coder: Coder, value: int, family: int, a: Hashable = 0, b: Hashable = 0) -> int:
        """A nibble that is alone in its context."""
        return code_nibble(coder, self.contexts.get(NIBBLE, family, a, b), value)

    def recent(self, family: int, a: Hashable, b: Hashable = 0) -> Recent[Path]:
        return self._recents.setdefault((family, a, b), Recent())

    def recent_class(self, last: Class | None) -> Recent[Class]:
        return self._class_recents.setdefault(last, Recent())

    def series(self, coder: Coder, family: int, a: Hashable, b: Hashable, value: int) -> int:
        """A number of a series; `family` and the next one name the contexts of the two bases."""
        series = self._series.setdefault((family, a, b), Series())
        bases = {0: 0, 1: series.last}
        at = cheapest(series.costs, list(bases))
        context = self.contexts.get(PAIR, family + at, a, b)
        value = bases[at] + code_number(coder, context, value - bases[at] & MASK64) & MASK64
        learn_costs(series.costs, bases, value)
        series.last = value
        return value

    def spend(self, units: int) -> None:
        """What a reader is asked to make is paid from the budget."""
        if self.writing:
            return
        if units > self.budget:
            raise section_beyond_limits("text")
        self.budget -= units

    def add_trace(self, trace_id: tuple[int, int]) -> Trace:
        trace = Trace(len(self.traces), trace_id)
        self.traces.append(trace)
        return trace

    def define_path(self, path: Path) -> None:
        path.number = self.n_paths
        path.number_in_kind = len(self.paths[path.schema.kind])
        self.paths[path.schema.kind].append(path)
        self.n_paths += 1
