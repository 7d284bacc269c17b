"""The preset dictionary is the semantic conventions' strings, and never changes once files depend on it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "make_preset.py"
CONVENTIONS, MADE_FROM = "opentelemetry-semantic-conventions", "0.66b2"
SHA256 = "2fd3c22cebace31c00dfccac92a068fd96389159c637f0423d18ca0d336df743"


def preset() -> bytes:
    return files("tracezip").joinpath("_preset.txt").read_bytes()


def test_preset_of_format_version_1_is_frozen() -> None:
    assert hashlib.sha256(preset()).hexdigest() == SHA256


def test_format_md_says_which_strings_they_are() -> None:
    chapter = (ROOT / "FORMAT.md").read_text().split("\n### Preset strings\n")[1].split("\n### ")[0]
    strings = preset().decode().splitlines()
    for fact in (
        SHA256,
        f"{len(strings):,} strings",
        f"{len(preset()):,} bytes",
        f"`{strings[0]}`",
        f"`{strings[-1]}`",
    ):
        assert fact in chapter


def test_preset_is_one_string_a_line_without_repeats() -> None:
    text = preset().decode("utf-8")
    strings = text.split("\n")[:-1]
    assert text.endswith("\n")
    assert all(strings)
    assert "\r" not in text
    assert len(set(strings)) == len(strings) <= 1500


@pytest.mark.parametrize(
    "string", ["service.name", "http.request.method", "http.method", "exception.stacktrace", "GET"]
)
def test_preset_knows_what_every_exporter_sends(string: str) -> None:
    assert string in preset().decode().splitlines()


def test_preset_comes_from_the_conventions_alone() -> None:
    if version(CONVENTIONS) != MADE_FROM:
        pytest.skip(f"needs {CONVENTIONS} {MADE_FROM}, found {version(CONVENTIONS)}")
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
