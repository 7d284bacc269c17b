"""Promise 10: concatenation of files is concatenation of their contents; append works."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from archives import MESSAGES, archive, chained, frames, read
from hypothesis import given
from hypothesis import strategies as st

import tracezip

KINDS = {
    "one by one": (archive(MESSAGES[:3]), MESSAGES[:3]),
    "one block": (archive(MESSAGES[3:], flush=False), MESSAGES[3:]),
    "a compressor": (b"".join(chained(MESSAGES[1:4])), MESSAGES[1:4]),
    "compress": (tracezip.compress(MESSAGES[2]), [MESSAGES[2]]),
    "nothing": (archive([]), []),
    "an empty message": (tracezip.compress(b""), [b""]),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
def test_concatenated_archives_are_one_archive(names: list[str]) -> None:
    data = b"".join(KINDS[name][0] for name in names)
    expected = [message for name in names for message in KINDS[name][1]]
    assert read(data) == (expected, None)
    assert tracezip.decompress(data) == b"".join(expected)
    facts = tracezip.info(io.BytesIO(data))
    assert (facts["streams"], facts["messages"], facts["complete"]) == (len(names), len(expected), True)


def test_the_metadata_of_a_concatenation_is_that_of_its_first_archive() -> None:
    data = archive(metadata={"a": 1}) + archive(metadata={"b": 2})
    with tracezip.open(io.BytesIO(data)) as reader:
        list(reader)
        assert reader.metadata == {"a": 1}


def test_what_a_compressor_returned_is_together_an_archive() -> None:
    assert tracezip.decompress(b"".join(chained())) == b"".join(MESSAGES)


def test_a_decompressor_takes_one_stream_after_the_other() -> None:
    decompressor = tracezip.Decompressor()
    for _ in range(2):
        assert [decompressor.decompress(data) for data in chained()] == [*MESSAGES, b""]


@pytest.mark.parametrize("mode", ["ab", "a"])
def test_append_adds_behind_what_is_there(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tzip"
    for message in MESSAGES:
        with tracezip.open(path, mode) as writer:  # type: ignore[call-overload]
            writer.write(message)
    assert read(path.read_bytes()) == (MESSAGES, None)
    assert tracezip.info(path)["streams"] == len(MESSAGES)


def test_append_of_nothing_leaves_the_archive_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    path.write_bytes(archive())
    with tracezip.open(path, "ab"):
        pass
    assert path.read_bytes() == archive()


def test_append_of_nothing_to_nothing_is_an_archive_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "ab"):
        pass
    assert read(path.read_bytes()) == ([], None)


def test_append_to_an_archive_that_is_cut_short_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    for n_bytes in range(1, len(archive()), 5):
        path.write_bytes(archive()[:n_bytes])
        with pytest.raises(tracezip.TruncatedError, match="cut short"):
            tracezip.open(path, "ab")
        assert path.read_bytes() == archive()[:n_bytes]
    path.write_bytes(archive()[: list(frames(archive()))[3].end])
    with pytest.raises(tracezip.TruncatedError, match="skip_damage"):
        tracezip.open(path, "ab")


def test_append_to_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"something else entirely")
    with pytest.raises(tracezip.FormatError):
        tracezip.open(path, "ab")
    assert path.read_bytes() == b"something else entirely"


def test_append_passes_over_optional_parts(tmp_path: Path) -> None:
    from archives import frame

    path = tmp_path / "a.tzip"
    path.write_bytes(archive() + frame(0x80 | ord("i"), b"an index"))
    with tracezip.open(path, "ab") as writer:
        writer.write(MESSAGES[0])
    assert read(path.read_bytes()) == ([*MESSAGES, MESSAGES[0]], None)


def test_exclusive_mode_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.tzip"
    with tracezip.open(path, "xb") as writer:
        writer.write(MESSAGES[0])
    with pytest.raises(FileExistsError):
        tracezip.open(path, "xb")
    assert read(path.read_bytes()) == (MESSAGES[:1], None)
