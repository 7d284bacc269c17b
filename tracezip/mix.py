"""The bijection of 64-bit numbers in generators of ids and in filters of trace ids. FORMAT.md, "Generators"."""

from __future__ import annotations

from functools import lru_cache

_M64 = (1 << 64) - 1


def mix(z: int) -> int:
    z = (z ^ z >> 33) * 0xFF51AFD7ED558CCD & _M64
    z = (z ^ z >> 33) * 0xC4CEB9FE1A85EC53 & _M64
    return z ^ z >> 33


@lru_cache(16)  # a query asks every unit for the same one
def hash_of_id(trace_id: bytes) -> int:
    """The hash of an id of any size. FORMAT.md, "Index"."""
    h = len(trace_id)
    for at in range(0, len(trace_id), 8):
        h = mix(h ^ int.from_bytes(trace_id[at : at + 8].ljust(8, b"\0"), "big"))
    return h
