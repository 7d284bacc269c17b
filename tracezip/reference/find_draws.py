"""Draws of a resource, for MT19937 and Go: of several blocks, sorted by their starts; and when to search among them.

The twin of csrc/find_draws.c.
"""

from __future__ import annotations

from tracezip.reference import find_go, find_mt
from tracezip.reference.find_parts import (
    COST_DRAW,
    COST_PROBE,
    DRAWS_LEAST,
    MAX_STREAMS,
    MT19937,
    MT19937_BYTES,
    Credit,
    Draw,
    IdRows,
    Result,
    Source,
)
from tracezip.reference.find_streams import Streams

_WAIT, _MOST_FAILED = 8, 10
"""Each search in vain doubles the blocks until the next one, from so many on, so often."""


class DrawsOfSources:
    def __init__(self, credit: Credit, streams: Streams, sources: list[Source], level: int) -> None:
        self._credit, self._streams, self._sources, self._sizes = credit, streams, sources, streams.sizes
        self._level, self._n_sampling = level, 0
        self.n_block = 0

    def _take(self, rows: IdRows, s: Source, at: int, most: int) -> int:
        """From this one of the rows that nothing explains on; which is the first that is not taken.

        A root draws its trace first; traces of 64 bits may have its id.
        """
        while at < len(s.rows) and len(s.draws) < most:
            row = s.rows[at]
            span_id, hi, lo = rows.ids[row], rows.his[row], rows.los[row]
            of_trace = [] if rows.parents[row] else [hi] * (hi != 0) + [lo] * (lo != span_id)
            for drawn in [*of_trace, span_id]:
                s.draws.append(Draw(rows.starts[row], len(s.draws), drawn))
            at += 1
        return at

    def _drop(self, s: Source) -> None:
        s.draws = []
        self._n_sampling -= 1

    def _failed(self, s: Source) -> None:
        self._drop(s)
        s.search_again = self.n_block + (_WAIT << s.n_searches_failed)
        s.n_searches_failed = min(s.n_searches_failed + 1, _MOST_FAILED)

    def _search(self, s: Source, resource: int) -> Result | None:
        """None: another search, with more draws, is worth it. Not found: it is not, in this block.

        That for MT19937 is dear, and begins with few; that for Go takes all.
        """
        is_mt, most = s.suspected in (MT19937, MT19937_BYTES), self._sizes.most_draws
        last = s.draws[-min(s.least_draws if is_mt else len(s.draws), most) :]
        cost = COST_DRAW * len(last)
        if len(self._streams.all) >= MAX_STREAMS or self._credit.searches < cost:
            return Result.NOT_FOUND
        if is_mt:
            result = find_mt.look(self._streams, last, s.suspected, resource)
        else:
            result = find_go.look(self._streams, last, s.suspected, resource, self._level)
        if result is Result.FOUND:
            s.n_searches_failed = 0
            self._drop(s)
            return result
        self._credit.searches -= cost
        if result is Result.HOPELESS or len(last) == most:
            self._failed(s)
            return Result.NOT_FOUND
        s.least_draws = min(2 * len(last) if is_mt else len(last) * 3 // 2, most)
        return None

    def _is_worth(self, s: Source) -> bool:
        """Is a search worth it?"""
        if not self._credit.pay_probe():
            return False
        s.draws.sort()
        last = s.draws[-DRAWS_LEAST:]
        s.suspected = find_go.probe(last) or find_mt.probe(last)
        if not s.suspected:
            self._failed(s)
        return s.suspected != 0

    def _is_sampled(self, s: Source) -> bool:
        """Is this source sampled? Draws of old blocks do not lead to those of this one: a full sample begins anew."""
        if not s.rows or self.n_block < s.search_again:
            return False
        if not s.draws and self._n_sampling >= self._sizes.most_sampling:
            return False
        if not s.suspected and self._credit.probes < COST_PROBE:
            return False
        if not s.draws:
            self._n_sampling += 1
            s.least_draws = DRAWS_LEAST
            s.suspected = 0
        elif len(s.draws) >= self._sizes.most_draws:
            s.draws = []
        return True

    def look(self, rows: IdRows, resource: int) -> bool:
        """Was a generator found?"""
        s = self._sources[resource]
        if not self._is_sampled(s):
            return False
        at = self._take(rows, s, 0, self._sizes.most_draws if s.suspected else DRAWS_LEAST)
        if len(s.draws) < s.least_draws or (not s.suspected and not self._is_worth(s)):
            return False
        self._take(rows, s, at, self._sizes.most_draws)
        s.draws.sort()
        result = None
        while result is None and len(s.draws) >= s.least_draws:
            result = self._search(s, resource)
        return result is Result.FOUND
