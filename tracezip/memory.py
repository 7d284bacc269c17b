"""What a writer does to stay below a limit of memory.

What it writes may depend on the limit, but not on the backend, nor on what malloc does: so restart groups end by their
`weight`, which is counted. The shares were found by measuring `memory` with the traces of benchmarks/edge.py.
"""

from __future__ import annotations

from typing import NamedTuple

from tracezip import limits
from tracezip.layout import FullBlock, full_block
from tracezip.options import checked_size
from tracezip.split import PartSize, usual_size


class MemoryPlan(NamedTuple):
    """Sizes in bytes."""

    full: FullBlock
    part: PartSize
    group_weight: int | None = None
    """A restart group that weighs more ends, None: none does;"""
    expected_weight: int = 0
    """and one that would if the next part weighed so many times its bytes."""
    zstd_input: int | None = None
    """zstd is set up for sections of this size; None: of any."""
    halvings: int = 0
    """Of the tables for finding generators of ids."""


def memory_plan(
    limit: int | str | None, level: int, *, chained: bool, n_threads: int = 1, for_searches: bool = False
) -> MemoryPlan:
    """For a limit as callers give it: bytes, text such as "10MB", or None. Raises InputError.

    chained: blocks of a restart group build on each other; else each is a group, and had better be large.
    """
    full = full_block(level, for_searches=for_searches)
    if limit is None:
        return MemoryPlan(full, usual_size())
    n_blocks = n_threads + (n_threads > 1)
    n_bytes = checked_size("memory_limit", limit, n_blocks * limits.MIN_MEMORY_LIMIT, limits.MAX_MEMORY_LIMIT)
    n_bytes //= n_blocks
    part_bytes = min(n_bytes // 16, limits.PART_BYTES)
    block_bytes = part_bytes if chained else n_bytes // 4
    return MemoryPlan(
        FullBlock(min(full.n_spans, n_bytes // 1000), min(full.n_bytes, block_bytes), min(full.n_rows, n_bytes // 500)),
        PartSize(part_bytes, min(4 * part_bytes, limits.MAX_PART_BYTES)),
        group_weight=n_bytes * 13 // 20 - 600_000,
        expected_weight=2,
        zstd_input=1 << min(max((n_bytes // 128).bit_length() - 1, 14), 17),
        halvings=max(7 - (n_bytes // 1_000_000 + 1).bit_length(), 0),
    )
