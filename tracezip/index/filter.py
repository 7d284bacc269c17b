"""Which traces a unit may hold: about twelve bits for each. FORMAT.md, "Index".

The hashes of the ids, cut to their upper bits, sorted, as Elias and Fano store sorted numbers: the upper parts in
unary, the lower ones as they are. An id that is there is always found, another one seldom.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracezip import _backend
from tracezip.errors import FormatError
from tracezip.mix import hash_of_id

MAX_PLACE_BITS = 4
MAX_HIGH_BITS, MAX_LOW_BITS = 24, 12


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """`n_entries` fingerprints in 2^`high_bits` buckets: `low_bits` of each, `place_bits` of its last span's place."""

    n_entries: int
    high_bits: int
    low_bits: int
    place_bits: int
    data: bytes | memoryview

    def last_sixteenth(self, trace_id: bytes) -> int | None:
        """The sixteenth (1 to 16) of the unit with the trace's last span, or a later one; None: it has none there."""
        return self.last_sixteenth_of(hash_of_id(trace_id))

    def last_sixteenth_of(self, trace_hash: int) -> int | None:
        bits = self.high_bits, self.low_bits, self.place_bits
        place = _backend.find_in_filter(self.data, self.n_entries, *bits, trace_hash)
        return place << MAX_PLACE_BITS - self.place_bits if place else None


def make_filter(
    blocks: list[tuple[int, bytes, bytes]], n_traces: int, n_spans: int, low_bits: int, place_bits: int
) -> TraceFilter:
    """The filter of a unit, whose blocks are as `_backend.make_filter` takes them; `n_traces` of them all, added up."""
    high_bits = min(max(n_traces - 1, 0).bit_length(), MAX_HIGH_BITS)
    n_entries, data = _backend.make_filter(blocks, n_spans, high_bits, low_bits, place_bits)
    return TraceFilter(n_entries, high_bits, low_bits, place_bits, data)


def filter_bytes(n_entries: int, high_bits: int, low_bits: int, place_bits: int) -> int:
    """The size of such a filter. Raises FormatError for one that cannot be."""
    if high_bits > MAX_HIGH_BITS or low_bits > MAX_LOW_BITS or place_bits > MAX_PLACE_BITS:
        raise FormatError("a filter of trace ids has more bits than it may")
    width = low_bits + place_bits
    return _n_bytes(n_entries + (1 << high_bits)) + _n_bytes(n_entries * width)


def _n_bytes(n_bits: int) -> int:
    return (n_bits + 7) // 8
