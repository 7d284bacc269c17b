"""FORMAT.md, "Filter": which traces a unit of an archive may hold."""

from __future__ import annotations

import array

_HASH_BITS = 64


def make_filter(
    blocks: list[tuple[int, bytes, bytes]], n_spans: int, high_bits: int, low_bits: int, place_bits: int
) -> tuple[int, bytes]:
    """As tracezip/_backend.py says."""
    places: dict[int, int] = {}
    for before, hashes, rows in blocks:
        for hash_, row in zip(array.array("Q", hashes), array.array("I", rows), strict=True):
            if before + row >= n_spans:
                raise ValueError(f"span {before + row} of {n_spans} is not there")
            fingerprint = hash_ >> (_HASH_BITS - high_bits - low_bits)
            place = ((before + row) << place_bits) // n_spans
            places[fingerprint] = max(place, places.get(fingerprint, 0))
    unary = values = 0
    width = low_bits + place_bits
    for i, (fingerprint, place) in enumerate(sorted(places.items())):
        unary |= 1 << (fingerprint >> low_bits) + i
        values |= ((fingerprint << place_bits | place) & (1 << width) - 1) << i * width
    return len(places), _packed(unary, len(places) + (1 << high_bits)) + _packed(values, len(places) * width)


def _packed(bits: int, n_bits: int) -> bytes:
    return bits.to_bytes((n_bits + 7) // 8, "little")
