"""Units of an archive, and what the index says of them. FORMAT.md, "Index"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracezip.index.failures import Failures, Kind
    from tracezip.index.filter import TraceFilter


class Pair(NamedTuple):
    """The spans of a unit that have this service and this name; None stands for any that no other pair names."""

    service: str | None
    name: str | None
    n_spans: int
    n_errors: int
    """Those with status ERROR."""
    max_duration: int
    """ns; this and the next are rounded up, by at most a quarter."""
    max_error_duration: int
    """Of those with status ERROR; 0 if there are none."""


class UnitPairs:
    """The pairs of a unit: a stretch of those of several units, each made when it is asked for."""

    __slots__ = ("_make", "_numbers", "_rows", "kinds")

    def __init__(
        self, kinds: Sequence[Kind], numbers: Sequence[int], rows: tuple[int, int], make: Callable[[int], Pair]
    ) -> None:
        """`numbers`: of each pair of all units, the number of its service and name in `kinds`."""
        self.kinds = kinds
        self._numbers, self._rows, self._make = numbers, rows, make

    def among(self, wanted: Sequence[int]) -> list[Pair]:
        """Those of which `wanted` has something else than 0 for their kind."""
        first, stop = self._rows
        return [self._make(i) for i, kind in enumerate(self._numbers[first:stop], first) if wanted[kind]]

    def all(self) -> list[Pair]:
        return list(map(self._make, range(*self._rows)))


class Bounds(NamedTuple):
    """Of the spans of a unit, ns. The duration of a span that ends before it starts is 0."""

    min_start: int
    max_end: int
    min_duration: int
    max_duration: int


class Summary:
    """What is known of all spans of a unit without decoding it. It may claim too much, never too little."""

    __slots__ = ("_failures", "_make_failures", "_make_pairs", "_pairs", "bounds", "n_errors", "trace_filter")

    def __init__(
        self,
        n_errors: int,
        bounds: Bounds,
        pairs: UnitPairs | Callable[[], list[Pair]],
        trace_filter: TraceFilter,
        make_failures: Callable[[], Failures | None],
    ) -> None:
        self.n_errors = n_errors
        """Spans with status ERROR."""
        self.bounds = bounds
        self.trace_filter = trace_filter
        self._make_pairs = pairs
        self._make_failures: Callable[[], Failures | None] | None = make_failures
        self._pairs: list[Pair] | None = None
        self._failures: Failures | None = None

    @property
    def min_start(self) -> int:
        return self.bounds.min_start

    @property
    def max_end(self) -> int:
        return self.bounds.max_end

    @property
    def min_duration(self) -> int:
        return self.bounds.min_duration

    @property
    def max_duration(self) -> int:
        return self.bounds.max_duration

    @property
    def pairs(self) -> list[Pair]:
        """The services with their span names; every span is counted in one of them."""
        if self._pairs is None:
            make = self._make_pairs
            self._pairs = make.all() if isinstance(make, UnitPairs) else make()
        return self._pairs

    @property
    def unit_pairs(self) -> UnitPairs | None:
        """The same, where they need not be made; None where that is not so."""
        return self._make_pairs if isinstance(self._make_pairs, UnitPairs) else None

    @property
    def failures(self) -> Failures | None:
        """All its spans with status ERROR; None if they are not told."""
        if self._make_failures is not None:
            self._failures, self._make_failures = self._make_failures(), None
        return self._failures

    def last_sixteenth(self, trace_id: bytes) -> int | None:
        """The sixteenth (1 to 16) of the unit behind which there is no span of the trace; None: there is none at all.

        Spans are counted through the unit from 0; those up to sixteenth i are the first ceil(i * n_spans / 16).
        """
        return self.trace_filter.last_sixteenth(trace_id)


@dataclass(slots=True)
class Unit:
    """Whole restart groups that stand one after the other, and are looked at together."""

    offset: int
    """Where its first block begins, from the beginning of the file."""
    n_bytes: int
    n_blocks: int
    n_spans: int
    summary: Summary | None
    """None if there is none: then the unit may hold anything."""

    @property
    def end(self) -> int:
        return self.offset + self.n_bytes
