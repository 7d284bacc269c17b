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
_HASH_BITS = 64
MAX_HIGH_BITS, MAX_LOW_BITS = 24, 8


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
        fingerprint = hash_of_id(trace_id) >> (_HASH_BITS - self.high_bits - self.low_bits)
        high, low = fingerprint >> self.low_bits, fingerprint & (1 << self.low_bits) - 1
        at = self._end_of_bucket(high - 1) + 1
        entry = at - high
        while 0 <= entry < self.n_entries and self.data[at >> 3] >> (at & 7) & 1:
            value = self._value(entry)
            if value >> self.place_bits == low:
                place = value & (1 << self.place_bits) - 1
                return place + 1 << MAX_PLACE_BITS - self.place_bits
            at, entry = at + 1, entry + 1
        return None

    def _end_of_bucket(self, bucket: int) -> int:
        """The place of the zero that ends a bucket; -1 before the first one."""
        if bucket < 0:
            return -1
        low, high = 0, _n_bytes(self.n_entries + (1 << self.high_bits))
        while low < high:  # the first byte up to which, it included, there are enough zeros
            middle = (low + high) // 2
            if self._n_zeros(middle + 1) > bucket:
                high = middle
            else:
                low = middle + 1
        left = bucket - self._n_zeros(low)
        zeros = [bit for bit in range(8) if not self.data[low] >> bit & 1] if low < len(self.data) else []
        return low * 8 + zeros[left] if left < len(zeros) else len(self.data) * 8  # as only what is no filter has it

    def _n_zeros(self, n_bytes: int) -> int:
        """In so many of the first bytes."""
        return n_bytes * 8 - int.from_bytes(self.data[:n_bytes], "little").bit_count()

    def _value(self, entry: int) -> int:
        """Its lower bits, and below them its place."""
        width = self.low_bits + self.place_bits
        at = _n_bytes(self.n_entries + (1 << self.high_bits)) * 8 + entry * width
        return int.from_bytes(self.data[at >> 3 : (at >> 3) + 3], "little") >> (at & 7) & (1 << width) - 1


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
