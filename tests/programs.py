"""Programs in Go, Java and JavaScript that tests run: made once by `make collector clients`, kept in the user's cache.

python -m tests.programs FOLDER...    makes those of these folders of tests/, if need be, and says where they are
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_TESTS = Path(__file__).resolve().parent
_BUILD_SECONDS = 1500  # the Collector has 150 modules to fetch and takes minutes on two processors
_SOURCES = ("*.go", "go.mod", "go.sum", "*.java", "pom.xml", "*.js", "package.json", "package-lock.json")


class BuildError(Exception):
    """A program could not be made; the message is one line."""


def build(folder: str) -> Path:
    """The program of a folder of tests/, for its sources as they are."""
    program = _place(folder)
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_name(f"{program.name}.{os.getpid()}")  # two runs may build at a time
        make = next(make for name, make in _MAKERS.items() if (_TESTS / folder / name).exists())
        make(_sources(folder), unfinished)
        unfinished.replace(program)
    return program


def built_or_skipped(folder: str, target: str) -> Path:
    """The program that `make target` builds; skips the test where it was not, unless TRACEZIP_TARGET is `required`."""
    program = _place(folder)
    if not program.exists():
        skip_or_fail(target, f"tests/{folder} is not built as it is now: make {target}, which needs a network")
    return program


def skip_or_fail(target: str, reason: str) -> NoReturn:
    if os.environ.get(f"TRACEZIP_{target.upper()}") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def _place(folder: str) -> Path:
    return _cache() / f"{folder.replace('/', '-')}-{_fingerprint(_sources(folder))}"


def _sources(folder: str) -> list[Path]:
    return sorted(path for pattern in _SOURCES for path in (_TESTS / folder).glob(pattern))


def _go(sources: list[Path], program: Path) -> None:
    command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(program), "."]
    _run(command, "Go 1.26 or newer", sources[0].parent, {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})


def _java(sources: list[Path], folder: Path) -> None:
    """A folder with target/classes, and the packages that they need in target/dependency."""
    _in_copy(["mvn", "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies"], "Maven", sources, folder)


def _node(sources: list[Path], folder: Path) -> None:
    """A folder of the sources and of the packages that they name."""
    _in_copy(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], "Node.js with npm", sources, folder)


def _in_copy(command: list[str], needed: str, sources: list[Path], folder: Path) -> None:
    folder.mkdir()
    for path in sources:
        shutil.copy(path, folder)
    try:
        _run(command, needed, folder, {})
    except BuildError:
        shutil.rmtree(folder)
        raise


_MAKERS = {"go.mod": _go, "pom.xml": _java, "package.json": _node}


def _run(command: list[str], needed: str, folder: Path, environment: dict[str, str]) -> None:
    if not shutil.which(command[0]):
        raise BuildError(f"{needed} is not installed")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{' '.join(command[:2])} took more than {_BUILD_SECONDS} s") from None
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-500:]
        raise BuildError(f"{' '.join(command[:2])} failed in {folder}: {said}")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracezip"


def _fingerprint(sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sources:
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def main(folders: list[str]) -> int:
    """Makes as many as can be made."""
    status = 0
    for folder in folders:
        try:
            print(build(folder))
        except BuildError as problem:
            print(f"tests/{folder}: {problem}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
