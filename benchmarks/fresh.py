"""As many spans as wanted, made of a file's own: each copy has ids of its own and comes later than the one before.

All ids of a copy are combined with one random word by exclusive or, the same for span ids and for the lower half of
trace ids, so that whatever was equal within the file stays equal (parents, and root spans called after their trace)
and nothing is equal between copies. That ends what an id generator's arithmetic would foretell: in grown files ids cost
what random ones cost. UUIDs and runs of 32 hex digits in text change in the same way. Times move on by the file's whole
length, in full seconds, so that clocks keep their granularity. Names, durations and all other attribute values repeat,
as they do in services that go on running.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import TraceFile, read_varint

BASE_SPANS = 100_000  # of the file's beginning; enough that a copy is no small circle
SECOND_NS = 1_000_000_000

# Field numbers of trace.proto, down to the fields that differ in each copy.
EVENT = {1: "time"}
LINK = {1: "trace_id", 2: "span_id"}
SPAN: dict[int, Any] = {1: "trace_id", 2: "span_id", 4: "span_id", 7: "time", 8: "time", 11: EVENT, 13: LINK}
REQUEST: dict[int, Any] = {1: {2: {2: SPAN}}}

TEXT_IDS = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
)
HEX_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)

Positions = npt.NDArray[np.int64]


@dataclass
class Places:
    """Where a message's ids and times begin; each is 8 bytes long, a trace id two of them."""

    ids: list[int] = field(default_factory=list)  # span ids and lower halves of trace ids
    upper: list[int] = field(default_factory=list)  # upper halves that are not zero
    times: list[int] = field(default_factory=list)  # those that are not zero
    n_spans: int = 0


@dataclass(frozen=True)
class Message:
    data: bytes
    ids: Positions
    upper: Positions
    times: Positions
    digits: Positions  # those of ids in text
    digit_numbers: Positions  # which digit of its id each is
    n_spans: int

    @classmethod
    def of(cls, data: bytes) -> Message:
        places = Places()
        find(data, 0, len(data), REQUEST, places)
        ids, upper, times = map(byte_rows, (places.ids, places.upper, places.times))
        digits, numbers = text_ids(data)
        return cls(data, ids, upper, times, digits, numbers, places.n_spans)

    def copy(self, key: npt.NDArray[np.uint8], shift_ns: int) -> bytes:
        """`key`: 8 bytes for ids, 8 for their upper halves, 36 for the digits of ids in text."""
        made = np.frombuffer(self.data, np.uint8).copy()
        made[self.ids] ^= key[:8]
        made[self.upper] ^= key[8:16]
        made[self.digits] = HEX_DIGITS[hex_values(made[self.digits]) ^ (key[16 + self.digit_numbers] & 15)]
        moved = made[self.times].view("<u8") + np.uint64(shift_ns)
        made[self.times] = moved.view(np.uint8)
        return made.tobytes()

    @cached_property
    def times_ns(self) -> npt.NDArray[np.uint64]:
        return np.frombuffer(self.data, np.uint8)[self.times].view("<u8").reshape(-1)


def text_ids(data: bytes) -> tuple[Positions, Positions]:
    """Where the hex digits of UUIDs and such are, but for a UUID's version and variant, and their numbers in it."""
    found = [
        (position, position - match.start())
        for match in TEXT_IDS.finditer(data)
        for position in range(*match.span())
        if data[position] != ord("-") and (len(match[0]) == 32 or position - match.start() not in (14, 19))
    ]
    both = np.array(found, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def hex_values(digits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0")).astype(np.uint8)


def byte_rows(starts: list[int]) -> Positions:
    return np.array(starts, np.int64).reshape(-1, 1) + np.arange(8)


def find(data: bytes, position: int, end: int, fields: dict[int, Any], places: Places) -> None:
    """Notes the places of everything that `fields` names, between two positions of a message."""
    places.n_spans += fields is SPAN
    while position < end:
        tag, position = read_varint(data, position)
        wire_type, wanted = tag & 7, fields.get(tag >> 3)
        if wire_type == 2:
            length, position = read_varint(data, position)
            if isinstance(wanted, dict):
                find(data, position, position + length, wanted, places)
            elif wanted:
                note_id(data, position, length, places)
            position += length
        elif wire_type == 0:
            _, position = read_varint(data, position)
        else:
            if wanted == "time" and any(data[position : position + 8]):
                places.times.append(position)
            position += 8 if wire_type == 1 else 4


def note_id(data: bytes, position: int, length: int, places: Places) -> None:
    if length == 16 and any(data[position : position + 8]):
        places.upper.append(position)
    if length in (8, 16):
        places.ids.append(position + length - 8)


def base_of(file: TraceFile, n_spans: int = BASE_SPANS) -> list[Message]:
    """The beginning of a file, in its own messages, or in batches of 512 where it is one message."""
    base: list[Message] = []
    for data in file.messages if len(file.messages) > 1 else file.batches:
        base.append(Message.of(data))
        if sum(message.n_spans for message in base) >= n_spans:
            break
    return base


def grow(base: list[Message], n_spans: int) -> Iterator[bytes]:
    """Messages of about `n_spans` spans together; the last one is whole."""
    length_ns = duration_ns(base)
    for number in count():
        key = np.frombuffer(hashlib.blake2b(number.to_bytes(8, "big"), digest_size=52).digest(), np.uint8)
        for message in base:
            if n_spans <= 0:
                return
            yield message.copy(key, number * length_ns)
            n_spans -= message.n_spans


def duration_ns(base: list[Message]) -> int:
    """From the first time to the last, in full seconds, rounded up."""
    times = np.concatenate([message.times_ns for message in base])
    return (int(times.max() - times.min()) // SECOND_NS + 1) * SECOND_NS if len(times) else SECOND_NS
