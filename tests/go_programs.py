"""Programs in Go that tests run beside tracezip, built when they are first needed and then kept in the user's cache.

python -m tests.go_programs FOLDER...    builds those of these folders of tests/ and says where they are
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent
_BUILD_SECONDS = 1500  # the Collector has 150 modules to fetch and takes minutes on two processors


class BuildError(Exception):
    """A program could not be built; the message is one line."""


def build(folder: str) -> Path:
    """The program of a folder of tests/, for its sources as they are."""
    source = _TESTS / folder
    program = _cache() / f"{source.name}-{_fingerprint(source)}"
    if program.exists():
        return program
    if not shutil.which("go"):
        raise BuildError("Go is not installed (1.26 or newer is needed)")
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")  # two runs may build at a time
    command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished), "."]
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command, cwd=source, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"building {folder} took more than {_BUILD_SECONDS} s") from None
    if done.returncode:
        raise BuildError(f"{folder} was not built: {' '.join(done.stderr.split())[-500:]}")
    unfinished.replace(program)
    return program


def built_or_skipped(folder: str, variable: str) -> Path:
    """The program; skips the test where it cannot be built, unless that variable says that it must be."""
    try:
        return build(folder)
    except BuildError as problem:
        if os.environ.get(variable) == "required":
            pytest.fail(str(problem))
        pytest.skip(str(problem))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracezip"


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    for path in [*sorted(source.glob("*.go")), source / "go.mod", source / "go.sum"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            print(build(name))
        except BuildError as problem:
            sys.exit(str(problem))
