"""Promise 7: truncation is seen, also at a block boundary; everything whole before it is recovered."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from archives import BLOCK, MESSAGES, archive, chained, frames, read

import tracezip

ARCHIVES = {"blocks that stand alone": archive(MESSAGES[:4]), "chained blocks": b"".join(chained(MESSAGES[:4]))}


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES.keys())
@pytest.mark.parametrize("skip_damage", [False, True])
def test_an_archive_cut_anywhere_is_truncated_and_gives_all_that_is_whole(data: bytes, skip_damage: bool) -> None:
    blocks = [part for part in frames(data) if part.kind == BLOCK]
    for n_bytes in range(len(data)):
        messages, error = read(data[:n_bytes], skip_damage=skip_damage)
        assert messages == MESSAGES[: sum(part.end <= n_bytes for part in blocks)]
        assert error is None if skip_damage else isinstance(error, tracezip.TruncatedError)


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_cut_between_two_blocks_is_seen_too(data: bytes) -> None:
    for part in frames(data[:-1] + data[-1:]):
        if part.end < len(data):
            error = read(data[: part.end]).error
            assert isinstance(error, tracezip.TruncatedError)
            assert error.offset == part.end
            assert "no end record" in str(error)


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_one_shot_decompression_of_a_cut_archive_is_an_error_and_no_part_of_the_data(data: bytes) -> None:
    for n_bytes in range(len(data)):
        with pytest.raises(EOFError):
            tracezip.decompress(data[:n_bytes])


def test_a_cut_in_the_second_of_two_streams_gives_the_first_and_what_is_whole() -> None:
    data = ARCHIVES["blocks that stand alone"]
    third = list(frames(data))[3]
    messages, error = read(data + data[: third.offset + 5])
    assert messages == MESSAGES[:4] + MESSAGES[:2]
    assert isinstance(error, tracezip.TruncatedError)
    assert error.offset == len(data) + third.offset


def test_passing_over_a_cut_names_it_once() -> None:
    data = ARCHIVES["blocks that stand alone"]
    for n_bytes in range(1, len(data)):
        with tracezip.open(io.BytesIO(data[:n_bytes]), skip_damage=True) as reader:
            list(reader)
        assert len(reader.damages) == 1
        assert reader.damages[0].end == n_bytes


def test_info_says_that_an_archive_is_not_complete_and_counts_what_is_whole() -> None:
    data = ARCHIVES["blocks that stand alone"]
    facts = tracezip.info(io.BytesIO(data))
    assert (facts["complete"], facts["messages"], facts["compressed_bytes"]) == (True, 4, len(data))
    third = list(frames(data))[3]
    facts = tracezip.info(io.BytesIO(data[: third.offset + 5]))
    assert (facts["complete"], facts["messages"], facts["compressed_bytes"]) == (False, 2, third.offset + 5)
    assert sum(facts["bytes_by_part"].values()) == facts["compressed_bytes"]
    with pytest.raises(tracezip.TruncatedError):
        tracezip.info(io.BytesIO(b""))


def test_an_archive_that_was_left_by_an_exception_is_whole_but_not_complete() -> None:
    file = io.BytesIO()
    with suppress(KeyError), tracezip.open(file, "wb") as writer:
        writer.write(MESSAGES[0])
        raise KeyError
    messages, error = read(file.getvalue())
    assert messages == MESSAGES[:1]
    assert isinstance(error, tracezip.TruncatedError)


def test_a_forgotten_writer_is_warned_of_and_its_messages_are_there() -> None:
    file = io.BytesIO()
    writer = tracezip.open(file, "wb")
    writer.write(MESSAGES[0])
    with pytest.warns(ResourceWarning, match="never closed"):
        del writer
    assert read(file.getvalue()).messages == MESSAGES[:1]


def test_part_of_a_call_of_a_compressor_is_truncated() -> None:
    first = chained()[0]
    for n_bytes in range(1, len(first)):
        at_boundary = n_bytes in {part.end for part in frames(first)}
        if not at_boundary:
            with pytest.raises(tracezip.TruncatedError):
                tracezip.Decompressor().decompress(first[:n_bytes])


def test_a_file_without_an_end_that_was_opened_by_name_gives_all_that_is_whole(tmp_path: Path) -> None:
    path, data = tmp_path / "a.tzip", ARCHIVES["blocks that stand alone"]
    third = list(frames(data))[3]
    path.write_bytes(data[: third.offset])
    with tracezip.open(path, skip_damage=True) as reader:
        assert list(reader) == MESSAGES[:2]
