"""Promise 6: a flipped bit anywhere is seen, and costs at most one block or one restart group."""

from __future__ import annotations

import io

import pytest
from archives import BLOCK, HEADER, MESSAGES, archive, chained, frame, frames, pack, read, varint

import tracezip

SMALL = archive(MESSAGES[:3])
CHAINED = b"".join(chained(MESSAGES[:3]))


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize("data", [SMALL, CHAINED], ids=["blocks that stand alone", "chained blocks"])
def test_every_flipped_bit_is_an_error_after_all_that_stands_whole_before_it(data: bytes) -> None:
    blocks = [part for part in frames(data) if part.kind == BLOCK]
    for bit in range(len(data) * 8):
        messages, error = read(flipped(data, bit))
        n_before = sum(part.end <= bit // 8 for part in blocks)
        assert messages == MESSAGES[:n_before]
        assert isinstance(error, tracezip.TracezipError)


def test_every_flipped_bit_costs_at_most_one_block_that_stands_alone() -> None:
    parts = list(frames(SMALL))
    for bit in range(len(SMALL) * 8):
        index = next(i for i, part in enumerate(parts) if bit // 8 < part.end)
        expected = [item for i, item in enumerate(MESSAGES[:3], 1) if i != index]
        assert read(flipped(SMALL, bit), skip_damage=True) == (expected, None), bit


def test_damage_in_a_chain_costs_the_rest_of_its_restart_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracezip.codec.StreamEncoder.__init__.__globals__["limits"], "MAX_GROUP_BLOCKS", 3)
    data = b"".join(chained())
    parts = list(frames(data))
    for index, lost in ((1, {0, 1, 2}), (2, {1, 2}), (3, {2}), (4, {3, 4, 5}), (6, {5})):
        damaged = flipped(data, (parts[index].end - 2) * 8)
        assert read(damaged).messages == MESSAGES[: index - 1]
        expected = [item for i, item in enumerate(MESSAGES) if i not in lost]
        assert read(damaged, skip_damage=True) == (expected, None)


def test_what_was_passed_over_is_named() -> None:
    parts = list(frames(SMALL))
    damaged = flipped(SMALL, (parts[2].offset + 9) * 8)
    with tracezip.open(io.BytesIO(damaged), skip_damage=True) as reader:
        assert list(reader) == [MESSAGES[0], MESSAGES[2]]
    (damage,) = reader.damages
    assert (damage.offset, damage.n_bytes) == (parts[2].offset, parts[2].end - parts[2].offset)
    assert "checksum" in damage.reason


def test_a_good_archive_has_no_damages() -> None:
    with tracezip.open(io.BytesIO(SMALL * 2), skip_damage=True) as reader:
        assert list(reader) == MESSAGES[:3] * 2
    assert reader.damages == []


def test_bytes_put_in_or_taken_out_between_blocks_are_seen_and_passed_over() -> None:
    parts = list(frames(SMALL))
    for junk in (b"x", b"\x8e", b"\x8eTZ", b"\x8eTZB\xff\xff\x03", SMALL[5:9] * 50):
        at = parts[2].offset
        data = SMALL[:at] + junk + SMALL[at:]
        assert read(data).messages == MESSAGES[:1]
        assert read(data).error is not None
        assert read(data, skip_damage=True) == (MESSAGES[:3], None)


@pytest.mark.parametrize("data", [SMALL, CHAINED], ids=["blocks that stand alone", "chained blocks"])
def test_a_block_that_is_missing_twice_or_moved_is_seen(data: bytes) -> None:
    header, one, two, three, end = frames(data)
    for parts in ([one, three], [two, three], [one, two], [one, one, two, three], [one, three, two, two], [two, one]):
        messages, error = read(pack([header, *parts, end]))
        assert isinstance(error, tracezip.FormatError)
        assert messages in (MESSAGES[:1], MESSAGES[:2], [*MESSAGES[:1] * 2, *MESSAGES[1:3]], []) or data is SMALL


def test_a_call_of_a_compressor_that_got_lost_is_seen_at_once() -> None:
    first, _, third, *_ = chained()
    decompressor = tracezip.Decompressor()
    assert decompressor.decompress(first) == MESSAGES[0]
    with pytest.raises(tracezip.FormatError, match="missing"):
        decompressor.decompress(third)


def test_stored_and_decoded_bytes_have_a_checksum_each() -> None:
    header, one, *rest = frames(archive([MESSAGES[0]]))
    at = 4  # flags, parts, spans, and the first byte of the bytes; its second follows
    assert int.from_bytes(one.body[3:5], "little") & 0x7F == len(MESSAGES[0]) & 0x7F
    body = bytearray(one.body)
    body[at + 1] ^= 1  # the checksum over the decoded bytes
    error = read(pack([header]) + frame(BLOCK, bytes(body)) + pack(rest)).error
    assert isinstance(error, tracezip.ChecksumError)
    assert "decoded" in str(error)


def test_without_its_header_a_stream_can_still_be_recovered() -> None:
    body = SMALL[next(frames(SMALL)).end :]
    assert isinstance(read(body).error, tracezip.FormatError)
    assert read(body, skip_damage=True) == (MESSAGES[:3], None)


def test_a_message_of_which_a_block_is_lost_is_left_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = tracezip.codec.StreamEncoder.__init__.__globals__["limits"]
    monkeypatch.setattr(limits, "PART_BYTES", 300)
    monkeypatch.setattr(limits, "BLOCK_BYTES", 300)
    large = b"".join(MESSAGES)
    data = archive([MESSAGES[0], large, MESSAGES[1]])
    parts = list(frames(data))
    n_blocks = sum(part.kind == BLOCK for part in parts)
    assert n_blocks >= 5
    assert read(data) == ([MESSAGES[0], large, MESSAGES[1]], None)
    for index in range(2, n_blocks):
        damaged = flipped(data, (parts[index].offset + 10) * 8)
        assert read(damaged).messages == MESSAGES[:1]
        assert read(damaged, skip_damage=True) == (MESSAGES[:2], None)
    for lost in range(2, n_blocks):  # without a trace: only the end record and the neighbours know
        missing = pack(part for i, part in enumerate(parts) if i != lost)
        assert isinstance(read(missing).error, tracezip.FormatError)


def test_an_end_record_that_counts_otherwise_is_an_error() -> None:
    parts = list(frames(SMALL))
    n_counts = len(b"".join(map(varint, (3, 3, 6, sum(map(len, MESSAGES[:3]))))))
    for at in range(n_counts):
        body = bytearray(parts[-1].body)
        body[at] ^= 1
        messages, error = read(pack([*parts[:-1], parts[-1]._replace(body=bytes(body))]))
        assert messages == MESSAGES[:3]
        assert isinstance(error, tracezip.FormatError)


def test_a_header_in_the_middle_of_a_stream_is_an_error_and_can_be_passed() -> None:
    cut = SMALL[: list(frames(SMALL))[-1].offset]
    messages, error = read(cut + SMALL)
    assert messages == MESSAGES[:3]
    assert isinstance(error, tracezip.TruncatedError)
    assert read(cut + SMALL, skip_damage=True) == (MESSAGES[:3] * 2, None)
    bad_header = frame(HEADER, b"\x01\x00\xc1")
    assert read(bad_header + SMALL, skip_damage=True) == (MESSAGES[:3], None)
