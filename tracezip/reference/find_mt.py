"""MT19937 out of ids that it drew, other draws between them. The twin of csrc/find_mt.c.

Word 2i is the lower half of draw i. Which words come 396 and 623 after another one is what is found; that makes groups
of words that know their distances from each other. Then what lies between them is deduced.
"""

from __future__ import annotations

import struct

from tracezip.reference.find_groups import Groups
from tracezip.reference.find_parts import DRAWS_LEAST, MT19937, MT19937_BYTES, Draw, Result
from tracezip.reference.find_streams import Streams
from tracezip.reference.generators import MT_M, MT_N, twist, untemper, untwist

_STEP_M, _STEP_N = MT_M - 1, MT_N - 1
_REACH, _AROUND, _SLACK, _WIDELY = 460, 12, 40, 16
_PROBED, _PROVEN = 16, 2
_MOST_SPREAD, _MOST_ROUNDS, _MOST_SWEEPS = 8, 4, 40
_TOP, _LOW = 0x80000000, 0x7FFFFFFF


class _Search:
    def __init__(self, draws: list[Draw], kind: int) -> None:
        self.near = _STEP_M
        self.x: list[int] = []
        for draw in draws:
            words = draw.id.to_bytes(8, "big" if kind == MT19937_BYTES else "little")
            self.x += map(untemper, struct.unpack("<2I", words))
        self.place: dict[int, int] = {}
        for i, x in enumerate(self.x):
            self.place.setdefault(x, i)

    # --- partners -----------------------------------------------------------------------------------------------------

    def number_among(self, x: int, begin: int, n: int) -> int:
        """The number of a word if it is one of `n` and one more from `begin` on; or 0."""
        k = self.place.get(x, -1)
        return k if begin <= k <= begin + n - 1 else 0

    def _partner(self, x: int, i: int, d: int) -> int:
        """The word 623 after word i, if it lies where word i + d, 396 after it, says, nearly: this keeps chance out."""
        if x not in self.place:
            return 0
        begin = i + d * _STEP_N // _STEP_M
        return self.number_among(x, begin - _SLACK if begin > i + d + _SLACK else i + d + 1, 2 * _SLACK)

    def _partners(self, i: int, low: int, high: int) -> tuple[int, int]:
        """The words 396 and 623 after word i, if the former is among words i + low to i + high. Or 0, 0.

        The word before the second one of a draw is known, of that before the first one only the top bit matters.
        """
        twists = [twist(self.x[i - 1], self.x[i])] if i & 1 else [twist(0, self.x[i]), twist(_TOP, self.x[i])]
        for d in range(low, min(high, len(self.x) - 1 - i) + 1):
            for f in twists:
                k = self._partner(self.x[i + d] ^ f, i, d)
                if k:
                    return i + d, k
        return 0, 0

    def partners_of(self, i: int) -> tuple[int, int]:
        j, k = self._partners(i, max(self.near - _AROUND, 1), self.near + _AROUND)
        if not k and i % _WIDELY == 1:
            j, k = self._partners(i, 1, _REACH)
        if k:
            self.near = j - i
        return j, k

    # --- groups -------------------------------------------------------------------------------------------------------

    def join_all(self) -> None:
        self.groups = Groups(len(self.x))
        for i in range(0, len(self.x), 2):
            self.groups.join(i, i + 1, 1)
        for i in range(len(self.x)):
            j, k = self.partners_of(i)
            if k:
                self.groups.join(i, j, _STEP_M)
                self.groups.join(i, k, _STEP_N)

    def largest_group(self) -> int:
        """Sets the group of most words, the first such one, and its first word; how many words it spans, less one."""
        self.group, self.low, high = self.groups.largest()
        return high - self.low

    def hopeless(self) -> bool:
        """A group that stays small while there are many draws: too many others lie between them."""
        return len(self.x) >= 4 * DRAWS_LEAST and len(self.groups.members(self.group)) < len(self.x) // 6

    # --- what lies between --------------------------------------------------------------------------------------------

    def begin_known(self, n: int) -> None:
        """Of each word: what it is, and whether its top bit and the others are known."""
        self.known, self.top, self.rest = [0] * n, bytearray(n), bytearray(n)

    def _whole(self, at: int) -> int:
        return self.top[at] & self.rest[at]

    def _set(self, at: int, x: int) -> None:
        self.known[at] = x
        self.top[at] = self.rest[at] = 1

    def _recognise(self, at: int) -> None:
        """If a word that was deduced was drawn for an id of the sample, the id's other word is known as well.

        And in the next round its group.
        """
        expected, slack = at * len(self.x) // len(self.known), len(self.x) // 8
        i = self.number_among(self.known[at], expected - slack if expected > slack else 1, 2 * slack)
        mate = at - 1 if i & 1 else at + 1
        if not i or not 0 <= mate < len(self.known) or self._whole(mate):
            return
        self.groups.join(self.group, i, at + self.low)
        self._set(mate, self.x[i ^ 1])

    def _deduce(self, i: int) -> bool:
        """One twist: two of its three parts tell the third."""
        known, twisted = self.known, self.top[i] & self.rest[i + 1]
        m, n = self._whole(i + MT_M), self._whole(i + MT_N)
        if m and n and not twisted:
            y = untwist(known[i + MT_M] ^ known[i + MT_N])
            known[i] = known[i] & _LOW | y & _TOP
            known[i + 1] = known[i + 1] & _TOP | y & _LOW
            self.top[i] = self.rest[i + 1] = 1
            if self._whole(i):
                self._recognise(i)
            if self._whole(i + 1):
                self._recognise(i + 1)
            return True
        if not twisted or m == n:
            return False
        to, other = (MT_N, MT_M) if m else (MT_M, MT_N)
        self._set(i + to, known[i + other] ^ twist(known[i], known[i + 1]))
        self._recognise(i + to)
        return True

    def deduce_all(self) -> None:
        for _ in range(_MOST_SWEEPS):
            changed = 0
            for i in range(len(self.known) - MT_N):
                changed += self._deduce(i)
            if not changed:
                return

    def place_group(self) -> int:
        """Places the words of the group; how many are new."""
        placed = 0
        for i, off in self.groups.members(self.group):
            at = off - self.low
            if 0 <= at < len(self.known) and not self._whole(at):
                self._set(at, self.x[i])
                placed += 1
        return placed

    def last_run(self) -> int | None:
        """Where the last 624 words in a row that are known begin."""
        run = 0
        for at in reversed(range(len(self.known))):
            run = run + 1 if self._whole(at) else 0
            if run == MT_N:
                return at
        return None


def _is_likely(draws: list[Draw], kind: int) -> bool:
    """Looks for some words of the first draws."""
    s = _Search(draws[:DRAWS_LEAST], kind)
    hits = 0
    for i in range(_PROBED):
        hits += s.partners_of(_WIDELY * i + 1)[1] > 0
        if hits == _PROVEN:
            return True
    return False


def probe(draws: list[Draw]) -> int:
    """The kind for which a search is worth it, or 0."""
    return next((kind for kind in (MT19937, MT19937_BYTES) if _is_likely(draws, kind)), 0)


def look(streams: Streams, draws: list[Draw], kind: int, resource: int) -> Result:
    """Draws in the order of their starts, not necessarily of one process, nor all of them."""
    s = _Search(draws, kind)
    s.join_all()
    spread = s.largest_group()
    if spread < MT_N or spread >= len(s.x) * _MOST_SPREAD:
        return Result.HOPELESS if s.hopeless() else Result.NOT_FOUND
    s.begin_known(spread + 1)
    for _ in range(_MOST_ROUNDS):
        if not s.place_group():
            break
        s.deduce_all()
    run = s.last_run()
    if run is None:
        return Result.HOPELESS if s.hopeless() else Result.NOT_FOUND
    streams.add_mt(kind, resource, s.known[run : run + MT_N], len(s.known) - run - MT_N)
    return Result.FOUND
