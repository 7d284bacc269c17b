"""Promise 3: every later version reads it; what a version does not know it refuses by name, or passes over."""

from __future__ import annotations

import msgpack
import pytest
from archives import BLOCK, END, HEADER, MESSAGES, archive, frame, frames, pack, read

import tracezip

UNKNOWN_OPTIONAL = frame(0x80 | ord("x"), b"from the future")


def with_body(data: bytes, kind: int, body: bytes) -> bytes:
    """The archive with another body in its first frame of a kind."""
    parts = list(frames(data))
    index = next(i for i, part in enumerate(parts) if part.kind == kind)
    parts[index] = parts[index]._replace(body=body)
    return pack(parts)


def body_of(data: bytes, kind: int) -> bytes:
    return next(part.body for part in frames(data) if part.kind == kind)


def test_the_frames_around_an_archive_of_version_1_never_change() -> None:
    header = frame(HEADER, b"\x01\x00")
    end = frame(END, bytes([0, 0, 0, 0, len(header), 0]))
    assert header.hex() == "8e545a48020100598737" + "92"
    assert tracezip.Compressor().finish() == header + end
    assert read(header + end) == ([], None)


def test_the_first_four_bytes_say_what_it_is() -> None:
    assert archive()[:4] == bytes.fromhex("8e545a48")
    assert tracezip.is_tracezip(archive()[:4])
    assert not tracezip.is_tracezip(archive()[:3])
    assert not tracezip.is_tracezip(b"\x28\xb5\x2f\xfd....")


def test_unknown_optional_parts_are_passed_over_wherever_they_stand() -> None:
    parts = list(frames(archive()))
    for index in range(1, len(parts) + 1):
        assert read(pack(parts[:index]) + UNKNOWN_OPTIONAL * 2 + pack(parts[index:])) == (MESSAGES, None)


def test_unknown_critical_parts_are_refused_as_unsupported_after_all_before_them_was_read() -> None:
    parts = list(frames(archive()))
    messages, error = read(pack(parts[:3]) + frame(ord("x"), b"from the future") + pack(parts[3:]))
    assert messages == MESSAGES[:2]
    assert isinstance(error, tracezip.UnsupportedError)
    assert error.offset == parts[3].offset
    assert "upgrade" in str(error)


@pytest.mark.parametrize("body", [b"\x02\x00", b"\x00\x00", b"\x02later", b"\x02", b"\x01\x02"])
def test_another_format_version_or_a_reserved_bit_in_the_header_is_refused_as_unsupported(body: bytes) -> None:
    messages, error = read(with_body(archive(), HEADER, body))
    assert not messages
    assert isinstance(error, tracezip.UnsupportedError)
    assert (error.offset, error.code) == (0, "unsupported")
    assert "upgrade" in str(error)


@pytest.mark.parametrize("flag", [4, 8, 16, 32, 64, 128])
def test_a_reserved_bit_in_a_block_is_refused_as_unsupported(flag: int) -> None:
    body = body_of(archive(), BLOCK)
    error = read(with_body(archive(), BLOCK, bytes([body[0] | flag]) + body[1:])).error
    assert isinstance(error, tracezip.UnsupportedError)


def test_more_sections_than_are_known_are_refused_as_unsupported() -> None:
    body = b"\x01" + b"\x01\x00\x00" + bytes(4) + b"\x0c" + bytes(12)
    error = read(with_body(archive(), BLOCK, body)).error
    assert isinstance(error, tracezip.UnsupportedError)
    assert "12 sections" in str(error)


def test_unknown_facts_in_the_header_are_passed_over() -> None:
    body = b"\x01\x00" + msgpack.packb({"metadata": {"a": 1}, "later": [1, {"x": b"y"}]})
    data = with_body(archive(), HEADER, body)
    assert read(data) == (MESSAGES, None)


def test_an_unsupported_part_is_no_damage_to_be_passed_over() -> None:
    data = archive() + frame(HEADER, b"\x02\x00")
    assert isinstance(read(data, skip_damage=True).error, tracezip.UnsupportedError)
