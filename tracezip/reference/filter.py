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


def find_in_filter(
    data: bytes | memoryview, n_entries: int, high_bits: int, low_bits: int, place_bits: int, trace_hash: int
) -> int:
    """As tracezip/_backend.py says."""
    n_unary, width = n_entries + (1 << high_bits), low_bits + place_bits
    n_bytes = (n_unary + 7) // 8
    if len(data) != n_bytes + (n_entries * width + 7) // 8:
        return 0
    unary, values = (int.from_bytes(part, "little") for part in (data[:n_bytes], data[n_bytes:]))
    fingerprint = trace_hash >> (_HASH_BITS - high_bits - low_bits)
    high, low = fingerprint >> low_bits, fingerprint & (1 << low_bits) - 1
    at = _behind_zeros(unary, n_unary, high)
    while at < n_unary and at - high < n_entries and unary >> at & 1:
        value = values >> (at - high) * width & (1 << width) - 1
        if value >> place_bits == low:
            return (value & (1 << place_bits) - 1) + 1
        at += 1
    return 0


def _behind_zeros(bits: int, n_bits: int, n: int) -> int:
    """The bit behind the first n zeros; n_bits if there are not so many."""
    low, high = 0, n_bits
    while low < high:  # of how many bits that many are zeros, at least
        middle = (low + high) // 2
        if middle - (bits & (1 << middle) - 1).bit_count() >= n:
            high = middle
        else:
            low = middle + 1
    return low
