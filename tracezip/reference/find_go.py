"""Go's math/rand out of ids that it drew. The twin of csrc/find_go.c.

Three words, of which the sum of the first two is the third, know how far apart they are; that makes groups of draws.
Draws between two of a group that just fit in are taken for the ones that are missing there. Then words that follow from
two others are deduced.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tracezip.reference.find_groups import Groups
from tracezip.reference.find_parts import DIGITS_LEVEL, DRAWS_LEAST, GO_INT63, GO_READ, Draw, Result
from tracezip.reference.find_streams import GoWords, Streams
from tracezip.reference.go_rand import GO_BATCH, GO_FAR, GO_M, GO_N, go_find_seed, go_mask

_AROUND, _REACH, _BEYOND, _WIDELY, _SLACK = 12, 300, 60, 16, 40
_PROBES, _PROBE_STEP, _PROVEN, _SIGNS = 16, 5, 2, 8
_MOST_SPREAD, _MOST_SWEEPS = 8, 40
_DRAW, _ENOUGH = 8, 3
"""Bytes."""
_SEED_NEAR, _SEED_FAR = 1 << 22, 1 << 25
"""Words drawn before those that were found, among which the seed is looked for."""


class _Search:
    """Positions are bytes of the sequence, counted from the first draw of a group."""

    def __init__(self, draws: Sequence[Draw], kind: int) -> None:
        self.n_bytes = 7 if kind == GO_READ else 8
        self.n_offsets = _DRAW if kind == GO_READ else 1
        self.near = 0
        self.n_draws = len(draws)
        self.drawn = struct.pack(f"{'>' if kind == GO_READ else '<'}{len(draws)}Q", *[draw.id for draw in draws])
        self.mask = go_mask(self.n_bytes)
        n_words = len(self.drawn) - _DRAW + 1
        drawn = self.drawn + bytes(_DRAW)
        self.words = [int.from_bytes(drawn[at : at + 8], "little") & self.mask for at in range(n_words)]
        self.places: dict[int, list[int]] = {}
        for at in range(0, n_words, _DRAW // self.n_offsets):
            self.places.setdefault(self.words[at], []).append(at)

    # --- three words --------------------------------------------------------------------------------------------------

    def _third_near(self, word: int, expected: int, after: int) -> int:
        """The first place near the expected one, a whole number of draws away, at which this word begins; or 0."""
        for at in self.places.get(word, ()):
            if at > after and abs(at - expected) <= _SLACK * _DRAW and (at - expected) % _DRAW == 0:
                return at
        return 0

    def _three_words(self, at: int, low: int, high: int) -> tuple[int, int]:
        """The second and the third of three words, if there are `low` to `high` draws too many between the first two.

        Or 0, 0.
        """
        word, words, places, mask = self.words[at], self.words, self.places, self.mask
        for more in range(low, high + 1):
            m = at + GO_FAR * self.n_bytes + more * _DRAW
            if not at < m < len(words):
                continue
            total = word + words[m] & mask
            if total not in places:
                continue
            slower = more * GO_M // GO_FAR if more >= 0 else -(-more * GO_M // GO_FAR)
            third = self._third_near(total, m + GO_M * self.n_bytes + slower * _DRAW, m)
            if third:
                self.near = more
                return m, third
        return 0, 0

    def three_words_of(self, at: int, widely: bool) -> tuple[int, int]:
        m, third = self._three_words(at, self.near - _AROUND, self.near + _AROUND)
        return (m, third) if third or not widely else self._three_words(at, -_REACH, _BEYOND)

    # --- groups -------------------------------------------------------------------------------------------------------

    def _draw_of(self, at: int) -> int:
        """A word may lie in two draws: it is of those that have enough bytes of it, as fewer may be right by chance."""
        return at // _DRAW + (self.n_bytes < _DRAW and _DRAW - at % _DRAW < _ENOUGH)

    def _join_words(self, a: int, b: int, apart: int) -> None:
        """The words at these places are so many bytes apart."""
        i, j = self._draw_of(a), self._draw_of(b)
        self.groups.join(i, j, a - i * _DRAW + apart - (b - j * _DRAW))
        if b >= j * _DRAW and b + self.n_bytes - (j + 1) * _DRAW >= _ENOUGH:
            self.groups.join(j, j + 1, _DRAW)

    def _join_neighbours(self, before: tuple[int, int, int], three: tuple[int, int, int]) -> None:
        """Three words, and the three before them.

        If these are neighbours of theirs, and more than every second draw is here, then nothing lies between.
        """
        pairs = list(zip(before, three, strict=True))
        if 2 * (three[1] - three[0]) > GO_FAR * self.n_bytes and all(y - x == self.n_bytes for x, y in pairs):
            for x, y in pairs:
                self._join_words(x, y, self.n_bytes)

    def join_all(self) -> None:
        self.groups = Groups(self.n_draws)
        self.begins: list[list[int]] = [[] for _ in range(self.n_draws)]
        last: dict[int, tuple[int, int, int]] = {}
        for at in range(0, len(self.words), _DRAW // self.n_offsets):
            i, off = divmod(at, _DRAW)
            m, third = self.three_words_of(at, i % _WIDELY == 0)
            if not third:
                continue
            self._join_words(at, at, 0)
            self._join_words(at, m, GO_FAR * self.n_bytes)
            self._join_words(at, third, GO_N * self.n_bytes)
            before = last.get(at % self.n_bytes)
            if before:
                self._join_neighbours(before, (at, m, third))
            last[at % self.n_bytes] = at, m, third
            if self._draw_of(at) == i:
                self.begins[i].append(off)

    # --- words in a row -----------------------------------------------------------------------------------------------

    def first_word(self, group: int, low: int) -> int:
        """Where the first whole word begins in the bytes from `low` on.

        Three words that do not begin where Go's do add up as well, unless a carry is in the way; so it is where most of
        them begin.
        """
        n = [0] * self.n_bytes
        for i, at in self.groups.members(group):
            for off in self.begins[i]:
                n[(at + off - low) % self.n_bytes] += 1
        return n.index(max(n))

    def _place(self, i: int, at: int) -> None:
        for k in range(max(-at, 0), min(_DRAW, len(self.known) - at)):
            if not self.known[at + k]:
                self.known[at + k] = 1
                self.bytes[at + k] = self.drawn[i * _DRAW + k]

    def _place_group(self, group: int, first: int, between: bool) -> None:
        """The draws of the group, and those between two of them that fit in, if wanted.

        `first` is where the first word begins.
        """
        last: tuple[int, int] | None = None
        for i, at in self.groups.members(group):
            if between and last and at - last[1] == (i - last[0]) * _DRAW:
                for k in range(last[0] + 1, i):
                    self._place(k, last[1] + (k - last[0]) * _DRAW - first)
            self._place(i, at - first)
            last = i, at

    def _word(self, i: int) -> int | None:
        low, high = i * self.n_bytes, (i + 1) * self.n_bytes
        return int.from_bytes(self.bytes[low:high], "little") & self.mask if all(self.known[low:high]) else None

    def _know(self, i: int, word: int) -> None:
        low, high = i * self.n_bytes, (i + 1) * self.n_bytes
        self.y[i] = word & self.mask
        self.bytes[low:high] = (word & self.mask).to_bytes(self.n_bytes, "little")
        self.known[low:high] = b"\1" * self.n_bytes

    def _deduce(self, i: int) -> bool:
        """Two words of three tell the other one."""
        y, m, third = self.y, i + GO_FAR, i + GO_N
        a, b, c = y[i], y[m], y[third]
        if a is None and b is not None and c is not None:
            self._know(i, c - b)
        elif b is None and a is not None and c is not None:
            self._know(m, c - a)
        elif c is None and a is not None and b is not None:
            self._know(third, a + b)
        else:
            return False
        return True

    def _deduce_all(self) -> None:
        for _ in range(_MOST_SWEEPS):
            if not sum([self._deduce(i) for i in range(len(self.y) - GO_N)]):
                return

    def _last_run(self, first: int) -> int | None:
        """Where the last GO_N words in a row that are known begin, of which the first begins where a value may."""
        run = 0
        for i in reversed(range(len(self.y))):
            run = 0 if self.y[i] is None else run + 1
            if run >= GO_N and (first + i * self.n_bytes) % 4 == 0:
                return i
        return None

    def find_words(self, group: int, low: int, high: int, far: int) -> tuple[GoWords, int] | None:
        """Words in a row, and how many of those that are known come before them.

        Draws that just fit in may be others in truth: they are taken only for what is not known without them, and if a
        seed proves them right.
        """
        first = self.first_word(group, low)
        n_words = (high + _DRAW - low - first) // self.n_bytes
        self.bytes, self.known = bytearray(n_words * self.n_bytes), bytearray(n_words * self.n_bytes)
        for between in (False, True):
            self._place_group(group, low + first, between)
            self.y = [self._word(i) for i in range(n_words)]
            self._deduce_all()
            run = self._last_run(first)
            if run is not None:
                words = self._with_seed([word for word in self.y[run : run + GO_N] if word is not None], far)
                return (words, run) if words.seed or not between else None
        return None

    def _with_seed(self, words: list[int], far: int) -> GoWords:
        """What was drawn may not begin where Read gave a value, as it does if all reads are for ids: then none."""
        found = go_find_seed(words, self.n_bytes, far)
        if found is None or found[1] < GO_N or (self.n_bytes == 7 and (found[1] - GO_N) % GO_BATCH):
            return GoWords(words)
        return GoWords(words, found[0], found[1] - GO_N)

    def failed(self, group: int) -> Result:
        n = self.n_draws
        hopeless = n >= 4 * DRAWS_LEAST and len(self.groups.members(group)) < n // 6
        return Result.HOPELESS if hopeless else Result.NOT_FOUND


def probe(draws: Sequence[Draw]) -> int:
    """The kind for which a search is worth it, or 0."""
    kind = GO_READ if any(draw.id >> 63 for draw in draws[:_SIGNS]) else GO_INT63
    s = _Search(draws[:DRAWS_LEAST], kind)
    hits = 0
    for i in range(_PROBES):
        for off in range(s.n_offsets):
            hits += s.three_words_of(i * _PROBE_STEP * _DRAW + off, kind == GO_INT63 or i % 4 == 0)[1] > 0
        if hits >= _PROVEN:
            return kind
    return 0


def look(streams: Streams, draws: Sequence[Draw], kind: int, resource: int, level: int) -> Result:
    """Draws in the order of their starts, not necessarily of one process, nor all of them."""
    s = _Search(draws, kind)
    s.join_all()
    group, low, high = s.groups.largest()
    n_bytes = high + _DRAW - low
    if n_bytes < GO_N * s.n_bytes or n_bytes >= len(draws) * _DRAW * _MOST_SPREAD:
        return s.failed(group)
    found = s.find_words(group, low, high, _SEED_NEAR if level < DIGITS_LEVEL else _SEED_FAR)
    if found is None:
        return s.failed(group)
    words, before = found
    streams.add_go(kind, resource, words, before, len(s.y) - before - GO_N)
    return Result.FOUND
