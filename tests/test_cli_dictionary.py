"""`tracezip train`, and the option -D of the commands that read and write archives."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tracezip
from benchmarks.data import SAMPLES
from tracezip.cli.main import cli

SAMPLE = SAMPLES / "astronomy.otlp"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert run("train", SAMPLE, "-o", tmp_path / "service.dict").exit_code == 0
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="tracezip")


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
