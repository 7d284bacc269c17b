"""What the tables of a restart group take in the kernels as they grow. The twin of csrc/weight.h; both agree."""

from __future__ import annotations

from tracezip.reference.state import State

_MENTION, _TRACE, _MEMORY = 240, 144, 48
_CONTEXT, _CELL = 96, 8
_PATH, _FIELD, _VALUE = 512, 208, 8
_AT_LEAST = 1 << 17
"""What the kernels hold before anything is known, about."""


def weight(s: State) -> int:
    """Bytes, where arrays are half full and hash tables a quarter."""
    n = s.n_mentions * _MENTION + len(s.traces) * _TRACE + len(s.memory) * _MEMORY
    n += len(s.contexts) * _CONTEXT + s.contexts.n_cells * _CELL + s.n_paths * _PATH
    return n + s.n_fields * _FIELD + s.field_bytes + s.n_values * _VALUE


def memory(s: State) -> int:
    """About what the kernels hold: Python's own objects are several times as large, and nobody counts them."""
    return _AT_LEAST + weight(s)
