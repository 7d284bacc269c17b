"""Every truncation and every flipped bit of a small file ends in the right error or in the right data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import BLOCK, END, Frame, Read, frames, pack, read
from backends import running
from test_golden import data_of, messages_of

import tracezip

NAMES = ["one_span", "compressed_sections", "chained_blocks", "every_field", "unknown_optional_parts"]
"""Good golden files of a few hundred bytes."""

small_files = pytest.mark.parametrize("name", NAMES)


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def flips(data: bytes, step: int = 1) -> Iterator[tuple[int, bytes]]:
    for bit in range(0, len(data) * 8, step):
        yield bit, flipped(data, bit)


def n_whole(name: str, n_bytes: int) -> int:
    """The messages of a file whose blocks end within so many bytes."""
    blocks = [part for part in frames(data_of(f"good/{name}")) if part.kind == BLOCK]
    n_messages = len(messages_of(name))
    per_block, rest = divmod(n_messages, len(blocks))
    assert not rest, "these files have as many messages in every block"
    return per_block * sum(part.end <= n_bytes for part in blocks)


def allowed_for_a_flip(parts: list[Frame], bit: int) -> tuple[type[tracezip.TracezipError], ...]:
    """What a flipped bit may be called; checked in the order in which a reader must look."""
    part = next(part for part in parts if bit // 8 < part.end)
    place = bit // 8 - part.offset
    if place < 3:  # the marker
        return (tracezip.FormatError,)
    size_ends = part.end - 4 - len(part.body)
    if part.offset + 4 <= bit // 8 < size_ends:  # the frame is longer or shorter than it was
        return tracezip.ChecksumError, tracezip.TruncatedError, tracezip.LimitError, tracezip.FormatError
    if place == 3:  # another type, with other limits
        return tracezip.ChecksumError, tracezip.LimitError
    return (tracezip.ChecksumError,)


def assert_flip_is_seen(name: str, bit: int, outcome: Read) -> None:
    parts = list(frames(data_of(f"good/{name}")))
    part = next(part for part in parts if bit // 8 < part.end)
    assert outcome.messages == messages_of(name)[: n_whole(name, part.offset)], bit
    assert isinstance(outcome.error, allowed_for_a_flip(parts, bit)), (bit, outcome.error)
    assert outcome.error.offset == part.offset, bit


@small_files
def test_every_flipped_bit_is_the_right_error_after_all_messages_before_it(name: str) -> None:
    for bit, damaged in flips(data_of(f"good/{name}")):
        assert_flip_is_seen(name, bit, read(damaged))


@small_files
def test_every_truncation_is_called_so_after_all_messages_before_it(name: str) -> None:
    data, messages = data_of(f"good/{name}"), messages_of(name)
    complete = next(part.end for part in frames(data) if part.kind == END)
    whole_ends = {0, *(part.end for part in frames(data))}
    for n_bytes in range(len(data)):
        given, error = read(data[:n_bytes])
        assert given == messages[: n_whole(name, n_bytes)]
        if n_bytes >= complete and n_bytes in whole_ends:
            assert error is None
        else:
            assert isinstance(error, tracezip.TruncatedError), n_bytes
            assert error.offset == max(end for end in whole_ends if end <= n_bytes)


@small_files
def test_reading_on_behind_a_flipped_bit_gives_no_wrong_message(name: str) -> None:
    messages = messages_of(name)
    for bit, damaged in flips(data_of(f"good/{name}"), 3):
        given, error = read(damaged, skip_damage=True)
        assert error is None, (bit, error)
        remaining = iter(messages)
        assert all(any(message == other for other in remaining) for message in given), bit


@small_files
def test_the_reference_sees_every_flipped_bit_as_the_native_backend_does(name: str) -> None:
    for _, damaged in flips(data_of(f"good/{name}"), 37):
        outcomes = []
        for backend in ("native", "reference"):
            with running(backend):
                messages, error = read(damaged)
                outcomes.append((messages, type(error), str(error), getattr(error, "offset", None)))
        assert outcomes[0] == outcomes[1]


@small_files
def test_the_reference_sees_every_truncation(name: str) -> None:
    data = data_of(f"good/{name}")
    complete = next(part.end for part in frames(data) if part.kind == END)
    with running("reference"):
        for n_bytes in range(0, complete, 23):
            assert isinstance(read(data[:n_bytes]).error, tracezip.TruncatedError)


@small_files
def test_a_flipped_bit_under_right_checksums_is_an_error_or_other_data_but_never_the_wrong_exception(name: str) -> None:
    """As an attacker would: the frame's own checksum is made to fit. The one over the parts still stands."""
    parts = list(frames(data_of(f"good/{name}")))
    messages = messages_of(name)
    for index, part in enumerate(parts):
        for _, body in flips(part.body):
            given, error = read(pack([*parts[:index], part._replace(body=body), *parts[index + 1 :]]))
            if part.kind == BLOCK:
                assert error is not None or given == messages
            assert given == messages[: len(given)]


def test_the_files_are_small_enough_to_try_everything() -> None:
    golden = Path(__file__).parent / "golden" / "good"
    assert all(100 < (golden / f"{name}.tzip").stat().st_size < 1000 for name in NAMES)
