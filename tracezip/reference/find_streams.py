"""V8, MT19937 and Go: values made ahead, and a table of the ids in them. The twin of csrc/find_streams.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tracezip.reference.find_parts import (
    COST_VALUE,
    GO_INT63,
    GO_READ,
    MAX_STREAMS,
    MT19937,
    MT19937_BYTES,
    V8_DIGITS,
    V8_WORDS,
    Credit,
    Found,
    Numbers,
    Origin,
    Sizes,
)
from tracezip.reference.generators import (
    M64,
    MT_M,
    MT_N,
    REFILL,
    mt_id,
    temper,
    twist,
    untemper,
    untwist,
    v8_back,
    v8_step,
)
from tracezip.reference.go_rand import (
    GO_BATCH,
    GO_N,
    go_back,
    go_forth,
    go_mask,
    go_values,
    go_words,
)

_PLACE_BITS = 22
_PLACE_FIRST = 1 << 21
_AHEAD_FIRST, _AHEAD_MOST, _AHEAD_DIGITS, _AHEAD_GO = 1024, 2048, 512, 1792
_ORIGIN_BACK = 1024
_GO_WHOLE = GO_N + 1
"""The words of whole batches from which all others follow."""

State = tuple[int, int]


class GoWords(NamedTuple):
    """GO_N words in a row, of which the first begins where a value does."""

    y: list[int]
    seed: int = 0
    """The process's, or 0;"""
    drawn: int = 0
    """and how many words it drew before these."""


@dataclass(eq=False)
class Stream:
    """A stretch of values; the ids in it are in the table."""

    kind: int
    number: int
    resource: int
    ahead: int
    low: State = (0, 0)
    high: State = (0, 0)
    met: bool = True
    begin: int = _PLACE_FIRST
    highest: int = _PLACE_FIRST
    base: int = 0
    values: list[int] = field(default_factory=list)
    seed: int = 0
    """Go: or 0 if it was not found."""
    drawn: int = 0
    """Go with a seed: words that the process drew before the first value."""

    @property
    def is_mt(self) -> bool:
        return self.kind in (MT19937, MT19937_BYTES)

    @property
    def is_go(self) -> bool:
        return self.kind in (GO_READ, GO_INT63)

    @property
    def n_bytes(self) -> int:
        """Go: of a word; and values of a batch."""
        return 7 if self.kind == GO_READ else 8

    @property
    def lower_half_first(self) -> bool:
        return self.kind in (MT19937, GO_INT63)

    @property
    def made_together(self) -> int:
        return self.n_bytes if self.is_go else REFILL

    @property
    def places_apart(self) -> int:
        """Values between places at which ids may begin."""
        return 2 if self.kind == GO_INT63 else 1

    @property
    def end(self) -> int:
        return self.begin + len(self.values)

    @property
    def values_of_id(self) -> int:
        return 16 if self.kind == V8_DIGITS else 2

    def id_at(self, place: int) -> int:
        at = place - self.begin
        if self.is_mt:
            return mt_id(self.values[at], self.values[at + 1], self.kind == MT19937_BYTES)
        if self.kind != V8_DIGITS:
            return self.values[at] << 32 | self.values[at + 1]
        span_id = 0
        for value in self.values[at : at + 16]:
            span_id = span_id << 4 | value >> 28
        return span_id


def _refills(state: State, n: int) -> tuple[list[int], State]:
    """So many values in the order in which they are handed out, and the state after them."""
    values: list[int] = []
    for _ in range(0, n, REFILL):
        made = []
        for _ in range(REFILL):
            made.append(state[0] >> 32)
            state = v8_step(state)
        values += reversed(made)
    return values, state


def _mt_after(values: list[int], n: int) -> list[int]:
    x = [untemper(value) for value in values[-MT_N:]]
    for i in range(n):
        x.append(x[i + MT_M] ^ twist(x[i], x[i + 1]))
    return [temper(word) for word in x[MT_N:]]


def _mt_before(values: list[int], n: int) -> list[int]:
    x = [0] * n + [untemper(value) for value in values[:MT_N]]
    for i in reversed(range(n)):
        top, low = untwist(x[i + MT_N] ^ x[i + MT_M]), untwist(x[i + MT_N - 1] ^ x[i + MT_M - 1])
        x[i] = top & 0x80000000 | low & 0x7FFFFFFF
    return [temper(word) for word in x[:n]]


def _go_after(g: Stream, n: int) -> tuple[int, ...]:
    words = go_words(g.values[-_GO_WHOLE // GO_BATCH * g.n_bytes :], g.n_bytes)
    return go_values(go_forth(words, n // g.n_bytes * GO_BATCH), g.n_bytes)


def _go_before(g: Stream, n: int) -> tuple[int, ...]:
    words = go_words(g.values[: _GO_WHOLE // GO_BATCH * g.n_bytes], g.n_bytes)
    return go_values(go_back(words, n // g.n_bytes * GO_BATCH), g.n_bytes)


class Streams:
    def __init__(self, credit: Credit, numbers: Numbers, sizes: Sizes) -> None:
        self.credit, self.numbers, self.sizes = credit, numbers, sizes
        self.all: list[Stream] = []
        self.table: dict[int, tuple[Stream, int]] = {}
        self.full = self.has_upper_first = self.has_lower_first = False

    # --- values -------------------------------------------------------------------------------------------------------

    def _enter(self, g: Stream, place: int, n: int) -> None:
        """The ids that begin at `n` values from this place on. The first one of an id stays."""
        for at in range(place + (place - g.begin) % g.places_apart, place + n, g.places_apart):
            self.table.setdefault(g.id_at(at), (g, at))

    def _may_make(self, g: Stream, n: int) -> bool:
        if len(self.table) + n > self.sizes.entered_most or g.end + n >= 1 << _PLACE_BITS or g.begin < n:
            self.full = True
            return False
        return self.credit.pay_values(n * COST_VALUE)

    def _make_after(self, g: Stream, n: int) -> None:
        entered = len(g.values) - (g.values_of_id - 1) if g.values else 0
        if g.is_mt:
            g.values += _mt_after(g.values, n)
        elif g.is_go:
            g.values += _go_after(g, n)
        else:
            values, g.high = _refills(g.high, n)
            g.values += values
        self._enter(g, g.begin + entered, len(g.values) - (g.values_of_id - 1) - entered)

    def _make_before(self, g: Stream, n: int) -> None:
        if g.is_mt:
            values = _mt_before(g.values, n)
        elif g.is_go:
            values = list(_go_before(g, n))
            g.drawn -= n // g.n_bytes * GO_BATCH
        else:
            for _ in range(n):
                g.low = v8_back(g.low)
            values, _ = _refills(g.low, n)
        g.values[:0] = values
        g.begin -= n
        self._enter(g, g.begin, n)

    # --- look-up ------------------------------------------------------------------------------------------------------

    def _met(self, g: Stream, place: int) -> Found:
        """An id was met here: values are kept ready beyond it."""
        found = (g.number, g.base + place & M64)
        g.met = True
        self.credit.earn_found()
        g.highest = max(g.highest, place)
        if place + g.ahead // 2 > g.end and self._may_make(g, g.ahead):
            self._make_after(g, g.ahead)
            if g.ahead == _AHEAD_FIRST:
                g.ahead = _AHEAD_MOST
        if place < g.begin + g.ahead // 8:
            left = self._values_left(g, g.ahead // 4)
            if left and self._may_make(g, left):
                self._make_before(g, left)
        return found

    @staticmethod
    def _values_left(g: Stream, n: int) -> int:
        """So many values, or as many as the process drew before those that are there; which is known with a seed."""
        return min(n, g.drawn // GO_BATCH * g.made_together) if g.seed else n

    def find(self, span_id: int) -> Found | None:
        at = self.table.get(span_id) if span_id else None
        return self._met(*at) if at else None

    def find_trace(self, hi: int, lo: int) -> Found | None:
        """JavaScript draws the upper half first, Python the lower one. Some have no upper half."""
        if not hi:
            return self.find(lo)
        return (self._trace_at(hi, lo, False) if self.has_upper_first else None) or (
            self._trace_at(lo, hi, True) if self.has_lower_first else None
        )

    def _trace_at(self, first: int, second: int, lower_first: bool) -> Found | None:
        at = self.table.get(first) if first else None
        if at is None:
            return None
        g, place = at
        after = place + g.values_of_id
        if g.lower_half_first != lower_first or after + g.values_of_id > g.end or g.id_at(after) != second:
            return None
        return self._met(g, place)

    # --- streams ------------------------------------------------------------------------------------------------------

    def _add(self, kind: int, resource: int) -> Stream:
        ahead = {V8_DIGITS: _AHEAD_DIGITS, GO_READ: _AHEAD_GO, GO_INT63: _AHEAD_GO}.get(kind, _AHEAD_FIRST)
        g = Stream(kind, self.numbers.take(), resource, ahead)
        self.all.append(g)
        self._has(g)
        return g

    def _has(self, g: Stream) -> None:
        self.has_lower_first |= g.lower_half_first
        self.has_upper_first |= not g.lower_half_first

    def add_v8(self, kind: int, resource: int, state: State) -> None:
        """`state` is that at a refill's beginning."""
        g = self._add(kind, resource)
        g.low = g.high = state
        if self._may_make(g, g.ahead + g.ahead // 2):
            self._make_after(g, g.ahead)
            self._make_before(g, g.ahead // 2)

    def add_mt(self, kind: int, resource: int, words: list[int], more: int) -> None:
        """624 words in a row, untempered; a word that was drawn lies `more` words after the last one."""
        g = self._add(kind, resource)
        if not self._may_make(g, MT_N + more + g.ahead):
            return
        g.values = [temper(word) for word in words]
        self._enter(g, g.begin, MT_N - 1)
        self._make_after(g, more + g.ahead)

    def add_go(self, kind: int, resource: int, words: GoWords, before: int, after: int) -> None:
        """`before` more words before these and `after` more after them belong to what was looked at."""
        g = self._add(kind, resource)
        g.seed, g.drawn = words.seed, words.drawn
        before -= before % GO_BATCH
        if g.seed:
            before = min(before, g.drawn)
            before += (g.drawn - before) % GO_BATCH
            g.drawn -= before
        n_words = (before + GO_N + after + g.ahead) // GO_BATCH * GO_BATCH
        n = n_words // GO_BATCH * g.n_bytes
        if not self._may_make(g, n):
            return
        known = [*go_back(words.y, before), *words.y]
        known += go_forth(known, n_words - len(known))
        g.values = list(go_values([word & go_mask(g.n_bytes) for word in known], g.n_bytes))
        self._enter(g, g.begin, n - 1)

    @staticmethod
    def _stream_anew(g: Stream) -> None:
        """Drops the values well before the furthest that was met."""
        drop = 0
        if g.highest > g.begin + g.ahead:
            drop = (g.highest - g.ahead - g.begin) // g.made_together * g.made_together
        g.drawn += drop // g.made_together * GO_BATCH
        if g.kind in (V8_WORDS, V8_DIGITS):
            for _ in range(drop):
                g.low = v8_step(g.low)
        del g.values[:drop]
        g.base += g.begin + drop - _PLACE_FIRST
        g.highest += _PLACE_FIRST - g.begin - drop
        g.begin = _PLACE_FIRST
        g.met = False

    def forget(self) -> None:
        """The table is begun anew, with what is around the last ids of those that were met since it was begun last."""
        if not self.full and len(self.table) <= self.sizes.entered_full and len(self.all) < MAX_STREAMS:
            return
        before = self.all
        self.all, self.table = [], {}
        self.full = self.has_upper_first = self.has_lower_first = False
        for g in before:
            kept = g.end - g.highest + 2 * g.ahead
            if g.met and g.values and len(self.table) + kept <= self.sizes.entered_kept:
                self._stream_anew(g)
                self.all.append(g)
                self._has(g)
                self._enter(g, g.begin, len(g.values) - (g.values_of_id - 1))

    def of(self, generator: int) -> Stream:
        return next(g for g in self.all if g.number == generator)

    @staticmethod
    def origin(g: Stream, position: int) -> Origin:
        back = max((position - g.base & M64) - g.begin - _ORIGIN_BACK, 0)
        if g.is_mt:
            back = min(back, len(g.values) - MT_N)
            parameters = tuple(untemper(value) for value in g.values[back : back + MT_N])
        elif g.is_go:
            whole = _GO_WHOLE // GO_BATCH
            batch = min(back // g.n_bytes, len(g.values) // g.n_bytes - whole)
            back = batch * g.n_bytes
            words = go_back(go_words(g.values[back : back + whole * g.n_bytes], g.n_bytes), GO_N)
            told = [word & go_mask(g.n_bytes) for word in words]
            parameters = (g.seed, g.drawn // GO_BATCH + batch if g.seed else 0, *told)
        else:
            back = back // REFILL * REFILL
            state = g.low
            for _ in range(back):
                state = v8_step(state)
            parameters = state
        return g.base + g.begin + back & M64, g.kind, parameters
