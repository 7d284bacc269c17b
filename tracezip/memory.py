"""What a writer does to stay below a limit of memory.

What it writes may depend on the limit, but not on the backend, nor on what malloc does: so restart groups end by their
`weight`, which is counted. The shares were found by measuring `memory` with the traces of benchmarks/edge.py.
"""

from __future__ import annotations

from typing import NamedTuple

from tracezip import limits
from tracezip.layout import FullBlock, full_block
from tracezip.options import checked_size

_UNLIMITED = 1 << 62


class MemoryPlan(NamedTuple):
    """Sizes in bytes."""

    full: FullBlock
    group_weight: int
    """A restart group that weighs more ends,"""
    expected_weight: int
    """and one that would if the next part weighed so many times its bytes."""
    part_bytes: int
    """A message larger than this is cut, where it can be, into parts of at most this size."""
    span_bytes: int
    """A part that cannot be cut further may be so large."""
    zstd_input: int | None
    """zstd is set up for sections of this size; None: of any."""
    halvings: int
    """Of the tables for finding generators of ids."""

    @property
    def is_limited(self) -> bool:
        return self.group_weight != _UNLIMITED


def memory_plan(limit: int | str | None, level: int, *, for_searches: bool = False) -> MemoryPlan:
    """For a limit as callers give it: bytes, text such as "10MB", or None. Raises InputError."""
    full = full_block(level, for_searches=for_searches)
    if limit is None:
        return MemoryPlan(full, _UNLIMITED, 0, limits.PART_BYTES, limits.MAX_PART_BYTES, None, 0)
    n_bytes = checked_size("memory_limit", limit, limits.MIN_MEMORY_LIMIT, limits.MAX_MEMORY_LIMIT)
    part_bytes = min(n_bytes // 16, limits.PART_BYTES)
    return MemoryPlan(
        FullBlock(
            min(full.n_spans, n_bytes // 2000), min(full.n_bytes, part_bytes), min(full.n_rows, n_bytes // 500)
        ),
        group_weight=n_bytes * 7 // 10 - 600_000,
        expected_weight=2,
        part_bytes=part_bytes,
        span_bytes=min(4 * part_bytes, limits.MAX_PART_BYTES),
        zstd_input=1 << min(max((n_bytes // 128).bit_length() - 1, 14), 17),
        halvings=max(7 - (n_bytes // 1_000_000 + 1).bit_length(), 0),
    )
