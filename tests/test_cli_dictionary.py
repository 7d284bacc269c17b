"""`tracezip train`, and the option -D of the commands that read and write archives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tracezip
from benchmarks.data import SAMPLES, read_file
from tests.http_answers import Reply, serving
from tracezip.cli.cat import cli as cat
from tracezip.cli.main import cli

SAMPLE = SAMPLES / "astronomy.otlp"
MESSAGES = b"".join(read_file(SAMPLE).messages)


WAYS_TO_READ = (
    ("info", "a.tzip"),
    ("test", "a.tzip"),
    ("merge", "out.tzip", "a.tzip"),
    ("merge", "out.tzip", "a.tzip", "--sort"),
    ("split", "a.tzip", "-o", "out", "--max-spans", 1),
    ("recover", "a.tzip", "-o", "out.tzip"),
    ("train", "a.tzip", "-o", "out.dict"),
    ("view", "a.tzip", "-o", "out.html"),
    ("cat", "a.tzip"),
    ("cat", "a.tzip", "--min-duration", "1ns"),
    ("cat", "a.tzip", "-t"),
    ("cat", "a.tzip", "--count", "--min-duration", "1ns"),
    ("cat", "a.tzip", "--to", "tree", "--head", 1),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert run("train", SAMPLE, "-o", tmp_path / "service.dict").exit_code == 0
    return tmp_path


@pytest.fixture
def with_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with a.tzip in it, which was written with its service.dict; to be in while the test runs."""
    assert run("compress", SAMPLE, "-o", folder / "a.tzip", "-D", folder / "service.dict").exit_code == 0
    monkeypatch.chdir(folder)
    return folder


def run(command: str, *arguments: object) -> Result:
    texts = [str(argument) for argument in arguments]
    if command == "cat":
        return CliRunner().invoke(cat, texts, prog_name="tracezip-cat")
    return CliRunner().invoke(cli, [command, *texts], prog_name="tracezip")


def test_a_file_that_was_compressed_with_a_dictionary_comes_back_with_it(folder: Path) -> None:
    archive, learned = folder / "a.tzip", folder / "service.dict"
    assert run("compress", SAMPLE, "-o", archive, "-D", learned).exit_code == 0
    assert archive.stat().st_size < len(tracezip.compress(SAMPLE.read_bytes()))
    assert run("test", archive, "-D", learned).exit_code == 0
    assert run("decompress", archive, "-o", folder / "back", "-D", learned).exit_code == 0
    assert (folder / "back").read_bytes() == SAMPLE.read_bytes()


def test_without_the_dictionary_the_file_is_named_and_nothing_is_left(folder: Path) -> None:
    archive = folder / "a.tzip"
    run("compress", SAMPLE, "-o", archive, "-D", folder / "service.dict")
    result = run("decompress", archive, "-o", folder / "back")
    assert result.exit_code == 1
    assert "a.tzip" in result.stderr
    assert "dictionary" in result.stderr
    assert not (folder / "back").exists()


@pytest.mark.parametrize("command", ["compress", "decompress", "test"])
def test_a_file_that_is_no_dictionary_is_a_usage_error(command: str) -> None:
    result = run(command, SAMPLE, "-D", SAMPLE)
    assert result.exit_code == 2
    assert "not a dictionary" in result.stderr


def test_archives_are_samples_too_and_a_bad_file_is_named(folder: Path) -> None:
    (folder / "a.tzip").write_bytes(tracezip.compress(SAMPLE.read_bytes()[: 1 << 14]))
    (folder / "whole.tzip").write_bytes(tracezip.Dictionary((folder / "service.dict").read_bytes()).data)
    assert run("train", folder / "whole.tzip", "-o", folder / "again.dict").exit_code == 0
    result = run("train", SAMPLE, folder / "missing", "-o", folder / "other.dict")
    assert result.exit_code == 1
    assert "missing" in result.stderr
    assert not (folder / "other.dict").exists()


def test_a_dictionary_is_not_overwritten_unless_told_so(folder: Path) -> None:
    assert run("train", SAMPLE, "-o", folder / "service.dict").exit_code == 1
    assert run("train", SAMPLE, "-o", folder / "service.dict", "-f", "--spans", 100).exit_code == 0


@pytest.mark.parametrize("command", WAYS_TO_READ, ids=lambda command: " ".join(map(str, command)))
def test_every_command_reads_an_archive_with_its_dictionary(with_archive: Path, command: tuple[str, ...]) -> None:
    refused = run(*command)
    assert refused.exit_code == 1
    assert "-D" in refused.stderr
    assert not list(with_archive.glob("out*"))
    result = run(*command, "-D", "service.dict")
    assert result.exit_code == 0, result.stderr
    assert result.stdout or list(with_archive.glob("out*")) or {"test", "-t"} & set(command)


def test_what_is_made_of_an_archive_with_a_dictionary_can_be_read_without_it(with_archive: Path) -> None:
    run("merge", "merged.tzip", "a.tzip", "-D", "service.dict")
    run("split", "a.tzip", "-o", "part", "--max-spans", 1 << 20, "-D", "service.dict")
    run("recover", "a.tzip", "-o", "saved.tzip", "-D", "service.dict")
    for name in ("merged.tzip", "part-0001.tzip", "saved.tzip"):
        assert tracezip.decompress((with_archive / name).read_bytes()) == MESSAGES


def test_the_costs_of_an_archive_with_a_dictionary_are_those_of_its_parts_too(with_archive: Path) -> None:
    stats = run("cat", "a.tzip", "--stats", "--json", "-D", "service.dict")
    assert sum(json.loads(stats.stdout)["archive_bytes_by_part"].values()) == (with_archive / "a.tzip").stat().st_size


def test_what_is_sent_of_an_archive_with_a_dictionary_arrives(with_archive: Path) -> None:
    with serving(lambda _: Reply(200)) as backend:
        assert run("send", "a.tzip", "--to", backend.url).exit_code == 1
        assert run("send", "a.tzip", "--to", backend.url, "-D", "service.dict").exit_code == 0
    assert b"".join(request.message for request in backend.requests) == MESSAGES
