"""`tracezip merge`, `split`, `recover`: what goes in comes out, once and in order, or is said to be lost."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from archives import BLOCK, INDEX, archive, chained, field, frames, message, span
from click.testing import CliRunner, Result
from otlp_maker import Maker

import tracezip
from tracezip import limits, merging
from tracezip.cli.main import cli
from tracezip.index import read_units


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder; blocks and units hold little."""
    monkeypatch.chdir(tmp_path)
    with (
        mock.patch.multiple(limits, BLOCK_SPANS=6, UNIT_SPANS=12, INDEX_UNITS=3),
        mock.patch.object(merging, "_SMALL_BLOCK_SPANS", 3),
    ):
        yield tmp_path


def invoke(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == status, result.output
    return result


def many(n: int, begin: int = 0) -> list[bytes]:
    return [message(number, 3, f"GET /{number % 5}") for number in range(begin, begin + n)]


def write(name: str, messages: Sequence[bytes], **options: object) -> list[bytes]:
    Path(name).write_bytes(archive(messages, flush=False, **options))
    return list(messages)


def messages_in(*names: str) -> list[bytes]:
    return [content for name in names for content in tracezip.open(name)]


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def blocks_of(name: str) -> list[bytes]:
    return [part.body for part in frames(Path(name).read_bytes()) if part.kind == BLOCK]


# --- merge ------------------------------------------------------------------------------------------------------------


def test_a_merged_archive_has_the_messages_of_all_in_order_and_one_index() -> None:
    expected = write("a.tzip", many(20)) + write("b.tzip", [Maker(1, 20).message() for _ in range(30)])
    expected += write("c.tzip", many(9, 50)) + write("empty.tzip", [])
    invoke("merge", "all.tzip", "a.tzip", "b.tzip", "c.tzip", "empty.tzip")
    assert messages_in("all.tzip") == expected
    facts = tracezip.info("all.tzip")
    assert (facts["streams"], facts["messages"], facts["complete"]) == (1, len(expected), True)
    units = read_units("all.tzip")
    assert sum(unit.n_spans for unit in units) == facts["spans"]
    assert next(frames(Path("all.tzip").read_bytes()[units[0].offset :])).kind == BLOCK


def test_blocks_are_copied_as_they_stand_and_what_is_known_of_them_too() -> None:
    write("a.tzip", many(20))
    write("b.tzip", many(20, 100), level=9)
    invoke("merge", "all.tzip", "a.tzip", "b.tzip")
    assert blocks_of("all.tzip") == blocks_of("a.tzip") + blocks_of("b.tzip")
    for name in ("a.tzip", "b.tzip"):
        pairs = {pair[:2] for unit in read_units(name) for pair in (unit.summary.pairs if unit.summary else [])}
        merged = {pair[:2] for unit in read_units("all.tzip") for pair in (unit.summary.pairs if unit.summary else [])}
        assert pairs <= merged
    assert all(unit.summary is not None for unit in read_units("all.tzip"))


def test_blocks_without_index_are_summed_up_on_the_way() -> None:
    whole = b"".join(many(20))
    Path("a.tzip").write_bytes(tracezip.compress(whole))
    Path("b.tzip").write_bytes(archive(many(3), flush=False))
    invoke("merge", "all.tzip", "a.tzip", "b.tzip")
    assert messages_in("all.tzip") == [whole, *many(3)]
    units = read_units("all.tzip")
    assert blocks_of("all.tzip") == blocks_of("a.tzip") + blocks_of("b.tzip")
    summaries = [unit.summary for unit in units]
    assert all(summary is not None and summary.pairs[0].service == "checkout" for summary in summaries)


def test_files_of_small_blocks_are_compressed_anew_and_shrink() -> None:
    contents = [message(number, 1) for number in range(60)]
    Path("a.tzip").write_bytes(archive(contents))
    Path("b.tzip").write_bytes(b"".join(chained(contents)))
    n_before = len(Path("a.tzip").read_bytes())
    output = invoke("merge", "-v", "all.tzip", "a.tzip", "b.tzip").output
    assert "0 copied, 2 compressed anew" in output
    assert messages_in("all.tzip") == contents * 2
    assert len(Path("all.tzip").read_bytes()) < n_before


def test_messages_that_lie_in_several_blocks_are_merged_whole() -> None:
    contents = [field(1, field(2, b"".join(field(2, span(k)) for k in range(40))))] * 3
    with mock.patch.multiple(limits, PART_BYTES=300):
        for name in ("a.tzip", "b.tzip"):
            write(name, contents)
    invoke("merge", "all.tzip", "a.tzip", "b.tzip")
    assert messages_in("all.tzip") == contents * 2


def test_metadata_that_all_have_in_common_is_kept() -> None:
    write("a.tzip", many(4), metadata={"container": "jsonl", "host": "a"})
    write("b.tzip", many(4), metadata={"container": "jsonl", "host": "b"})
    invoke("merge", "all.tzip", "a.tzip", "b.tzip")
    assert tracezip.info("all.tzip")["metadata"] == {"container": "jsonl"}


@pytest.mark.parametrize("damage", ["flip", "cut", "noise"])
def test_nothing_is_merged_if_a_file_is_damaged(damage: str) -> None:
    write("a.tzip", many(20))
    data = bytearray(archive(many(20), flush=False))
    at = next(part.offset for part in frames(bytes(data)) if part.kind == BLOCK) + 20
    data[at] ^= damage == "flip"
    Path("b.tzip").write_bytes({"flip": data, "cut": data[:-30], "noise": b"noise"}[damage])
    output = invoke("merge", "all.tzip", "a.tzip", "b.tzip", status=1).output
    assert "b.tzip" in output
    assert names() == ["a.tzip", "b.tzip"]


def test_no_file_is_merged_into_itself_or_over_another() -> None:
    write("a.tzip", many(4))
    write("b.tzip", many(4))
    assert "exists already" in invoke("merge", "a.tzip", "b.tzip", status=1).output
    assert "same file" in invoke("merge", "-f", "a.tzip", "b.tzip", "a.tzip", status=1).output
    invoke("merge", "-f", "a.tzip", "b.tzip")
    assert messages_in("a.tzip") == many(4)


# --- split ------------------------------------------------------------------------------------------------------------


def test_archives_of_so_many_spans_hold_all_messages_in_order() -> None:
    contents = write("a.tzip", many(40), metadata={"container": "json"})
    invoke("split", "a.tzip", "--max-spans", "20")
    parts = [f"a-{number:04}.tzip" for number in range(1, 8)]
    assert names() == [*parts, "a.tzip"]
    assert messages_in(*parts) == contents
    assert all(tracezip.info(name)["spans"] <= 20 for name in parts)
    assert all(tracezip.info(name)["metadata"] == {"container": "json"} for name in parts)


@pytest.mark.parametrize("max_bytes", [600, 1000, 5000, 10**6])
def test_no_archive_is_larger_than_was_asked_for(max_bytes: int) -> None:
    contents = write("a.tzip", [*many(60), *(field(1, Maker(k, 0).resource_spans()) for k in range(20))])
    invoke("split", "a.tzip", "--max-bytes", str(max_bytes), "-o", "p")
    parts = [name for name in names() if name.startswith("p-")]
    assert messages_in(*parts) == contents
    for name in parts:
        assert Path(name).stat().st_size <= max_bytes or tracezip.info(name)["messages"] == 1
    assert (len(parts) == 1) == (max_bytes == 10**6)


def at(seconds: int) -> bytes:
    """A message of a span that starts then."""
    start = b"\x39" + struct.pack("<Q", seconds * 10**9)
    return field(1, field(2, field(2, field(1, bytes(15) + b"\1") + field(2, bytes(7) + b"\1") + start)))


def test_an_archive_for_each_hour_has_the_messages_that_begin_in_it() -> None:
    hours = [at(1_700_000_000 + 3600 * (number % 12)) for number in range(60)]
    noise = [b"no protobuf", field(1, b"")]
    write("a.tzip", [*hours[:30], *noise, *hours[30:]])
    invoke("split", "a.tzip", "--every", "1h")
    parts = [name for name in names() if name.startswith("a-2")]
    assert len(parts) == 12
    assert parts[0] == "a-20231114T220000Z.tzip"
    for number, name in enumerate(parts):
        assert messages_in(name) == hours[number::12]
    assert messages_in("a-unknown.tzip") == noise


def test_of_a_damaged_file_or_over_a_file_nothing_is_split() -> None:
    data = archive(many(40), flush=False)
    Path("a.tzip").write_bytes(data[:-40])
    invoke("split", "a.tzip", "--max-spans", "20", status=1)
    assert names() == ["a.tzip"]
    Path("a.tzip").write_bytes(data)
    Path("a-0002.tzip").write_bytes(b"other")
    assert "exists already" in invoke("split", "a.tzip", "--max-spans", "20", status=1).output
    assert names() == ["a-0002.tzip", "a.tzip"]
    invoke("split", "-f", "a.tzip", "--max-spans", "20")


@pytest.mark.parametrize("options", ["", "--max-bytes 5x", "--every 0h", "--max-spans 3 --every 1h", "--max-spans 0"])
def test_what_cannot_be_meant_is_a_usage_error(options: str) -> None:
    write("a.tzip", many(2))
    invoke("split", "a.tzip", *options.split(), status=2)


# --- recover ----------------------------------------------------------------------------------------------------------


def test_of_a_whole_file_nothing_is_lost() -> None:
    contents = write("a.tzip", many(20), metadata={"container": "json"})
    assert "nothing lost" in invoke("recover", "a.tzip", "-o", "b.tzip").output
    assert messages_in("b.tzip") == contents
    assert tracezip.info("b.tzip")["metadata"] == {"container": "json"}


def test_whichever_block_is_overwritten_all_others_are_saved_and_its_bytes_are_named() -> None:
    contents = many(20)
    data = archive(contents, flush=False)
    blocks = [part for part in frames(data) if part.kind == BLOCK]
    for number, part in enumerate(blocks):
        size = part.end - part.offset
        Path("a.tzip").write_bytes(data[: part.offset] + bytes(size) + data[part.end :])
        result = invoke("recover", "a.tzip", "-o", "b.tzip", "-f", "--json", status=1)
        report = json.loads(result.output)
        assert messages_in("b.tzip") == contents[: 2 * number] + contents[2 * number + 2 :]
        assert (report["version"], report["messages"], report["spans"]) == (1, 18, 54)
        assert report["lost"][0]["offset"] == part.offset
        assert part.end - part.offset <= report["lost_bytes"]


@pytest.mark.parametrize("kind", ["index", "end", "tail", "header"])
def test_without_index_end_tail_or_header_all_whole_blocks_are_saved(kind: str) -> None:
    contents = many(20)
    data = archive(contents, flush=False)
    parts = list(frames(data))
    index = next(part for part in parts if part.kind == INDEX)
    damaged = {
        "index": data[: index.offset + 9] + b"x" + data[index.offset + 10 :],
        "end": data[: parts[-1].offset],
        "tail": data[: index.end],
        "header": b"x" * 8 + data[8:],
    }[kind]
    Path("a.tzip").write_bytes(damaged)
    output = invoke("recover", "a.tzip", "-o", "b.tzip", status=1).output
    kept = len([part for part in parts if part.kind == BLOCK and part.end <= len(damaged)]) * 2
    assert messages_in("b.tzip") == contents[:kept]
    assert "lost" in output or "missing" in output
    assert tracezip.info("b.tzip")["complete"]


def test_every_command_has_its_help() -> None:
    for name in ("merge", "split", "recover"):
        assert name in invoke(name, "--help").output
    assert io.StringIO(invoke("--help").output).read().count("merge") >= 1
