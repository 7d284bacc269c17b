"""When recorded messages are due when they are sent again, and how far their times are from now."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tracezip.errors import InputError
from tracezip.live.limits import MAX_GAP_SECONDS, MAX_PAUSE_SECONDS, PAUSE_SECONDS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LastSpan(NamedTuple):
    """The span of a message that ends last."""

    end_ns: int
    trace_id: str
    span_id: str

    def __str__(self) -> str:
        ends = f"{_EPOCH + timedelta(microseconds=self.end_ns // 1000):%Y-%m-%dT%H:%M:%SZ}"
        return f"span {self.span_id} of trace {self.trace_id}, which ends at {ends}"


def last_span(message: bytes) -> LastSpan | None:
    """None if there is no span that says when it ends."""
    from tracezip.columns import parse_columns

    try:
        columns = parse_columns(message)
    except InputError:
        return None
    ends = columns.end_time_unix_nano
    if not ends.any():
        return None
    last = int(ends.argmax())
    return LastSpan(int(ends[last]), columns.trace_id[last].tobytes().hex(), f"{int(columns.span_id[last]):016x}")


class Step(enum.Enum):
    """How a message stands in time to those before it."""

    NEAR = enum.auto()
    FAR = enum.auto()
    """Before or behind a long gap, or its time is wrong: the next one tells."""
    ANEW = enum.auto()
    """It is the first, or the one before it was not wrong: from here on, time counts anew."""


class Timeline:
    """Where messages stand in time. A single one with a wrong time does not move the others."""

    def __init__(self, max_gap_seconds: float) -> None:
        self._max_gap_ns = max_gap_seconds * 1e9
        self._now: int | None = None
        self._far: int | None = None

    def step(self, end_ns: int) -> Step:
        """Goes on to a message whose last span ends then."""
        if self._now is not None and self._are_near(end_ns, self._now):
            self._now, self._far = max(end_ns, self._now), None
            return Step.NEAR
        if self._now is None or (self._far is not None and self._are_near(end_ns, self._far)):
            self._now, self._far = end_ns, None
            return Step.ANEW
        self._far = end_ns
        return Step.FAR

    def _are_near(self, one: int, other: int) -> bool:
        return abs(one - other) <= self._max_gap_ns


class Pace:
    """When a message is due: after the first one as long as between the ends of their last spans, divided by `speed`.

    A message that is late already, or says no time, is due at once, and so is one that would be waited for longer than
    `max_pause` seconds, or was due so long ago: of that `on_far` is told.
    """

    def __init__(
        self,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_pause: float = PAUSE_SECONDS,
        on_far: Callable[[LastSpan], None] = lambda _: None,
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._on_far = on_far
        self._timeline = Timeline(min(max_pause, MAX_PAUSE_SECONDS) * speed)
        self._first_ns, self._began = 0, 0.0

    def seconds_until_due(self, message: bytes) -> float:
        last = last_span(message)
        if last is None:
            return 0.0
        step = self._timeline.step(last.end_ns)
        if step is Step.FAR:
            self._on_far(last)
            return 0.0
        if step is Step.ANEW:
            self._first_ns, self._began = last.end_ns, self._clock()
        return max(self._began + (last.end_ns - self._first_ns) / 1e9 / self._speed - self._clock(), 0.0)


def shift_to_now(messages: Iterable[bytes], speed: float) -> int:
    """The nanoseconds by which to shift times so that the last span ends when a replay does that begins now."""
    timeline, ends = Timeline(MAX_GAP_SECONDS), list[int]()
    for message in messages:
        last = last_span(message)
        if last is not None and timeline.step(last.end_ns) is not Step.FAR:
            ends.append(last.end_ns)
    if not ends:
        return 0
    return time.time_ns() + int((max(ends) - ends[0]) / speed) - max(ends)
