"""What README shows of the commands is what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tracezip
from benchmarks.data import SAMPLES, read_file

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
COLUMNS = "120"


def shown_commands() -> list[tuple[str, str]]:
    """Each command of README and what it prints there."""
    found = []
    for block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        for part in block.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip("\n")))
    return found


def file_of(name: str) -> Path:
    folder = Path(os.environ.get("TRACEZIP_DATA", "-"))
    for path in (SAMPLES / f"{name}.otlp", folder / f"{name}.otlp.zst"):
        if path.exists():
            return path
    pytest.skip(f"{name}.otlp.zst is not there: TRACEZIP_DATA names no folder that has it")


@pytest.mark.skipif(os.name != "posix", reason="README's commands are for a POSIX shell")
@pytest.mark.parametrize(("command", "output"), shown_commands())
def test_a_command_prints_what_readme_shows(command: str, output: str, tmp_path: Path) -> None:
    match = re.search(r"([\w-]+)\.tzip", command)
    assert match is not None
    with tracezip.open(tmp_path / match[0], "wb") as writer:
        for message in read_file(file_of(match[1])).messages:
            writer.write(message)
    environment = {**os.environ, "COLUMNS": COLUMNS, "PYTHONUTF8": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert run.stdout.decode().rstrip("\n") == output, run.stderr.decode()


def test_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 5
