"""Promise 13: safety is the default, not a flag."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tracezip


def run(program: str, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.path[:0] = {sys.path!r}\n" + program
    command = [sys.executable, *flags, "-c", program]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


def test_no_option_turns_a_check_off() -> None:
    options = {
        name
        for function in (tracezip.compress, tracezip.decompress, tracezip.open, tracezip.info, tracezip.Decompressor)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    changing_size_or_speed = {"dictionary", "dictionary_threshold", "level", "memory_limit", "threads"}
    assert options == changing_size_or_speed | {"metadata", "max_output_size", "skip_damage"}


def test_python_without_assertions_checks_as_much() -> None:
    program = """
import tracezip
from archives import archive, read
data = archive()
for bit in range(0, len(data) * 8, 3):
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    if read(bytes(damaged)).error is None:
        raise SystemExit(f"bit {bit} was not seen")
if read(data).error is not None:
    raise SystemExit("a good archive was refused")
"""
    process = run(program, "-O")
    assert process.returncode == 0, process.stderr


# --- the backend: no silent fallback ----------------------------------------------------------------------------------


def test_the_backend_that_runs_has_a_name() -> None:
    assert tracezip.backend == os.environ.get("TRACEZIP_BACKEND", "native")


@pytest.mark.parametrize("name", ["python", "Native", "", "native "])
def test_an_unknown_backend_is_an_import_error_that_names_the_choices(name: str) -> None:
    process = run("import tracezip; tracezip.compress", TRACEZIP_BACKEND=name)
    assert "ImportError" in process.stderr
    assert "native or reference" in process.stderr


@pytest.mark.parametrize("name", ["native", "reference"])
@pytest.mark.parametrize("how", ["missing", "broken", "another"])
def test_a_backend_that_does_not_load_is_an_import_error_and_not_the_other_one(name: str, how: str) -> None:
    module = {"native": "tracezip._native", "reference": "tracezip.reference"}[name]
    value = {"missing": "None", "broken": "Broken()", "another": "Another()"}[how]
    program = f"""
import sys
class Broken:
    def __getattr__(self, name): raise ImportError("undefined symbol")
class Another:
    NAME = "another"
sys.modules[{module!r}] = {value}
import tracezip
for use in (lambda: tracezip.backend, lambda: tracezip.compress(b"")):
    try:
        use()
    except ImportError as error:
        assert {name!r} in str(error) and "install" in str(error), error
    else:
        raise SystemExit("it worked")
"""
    process = run(program, TRACEZIP_BACKEND=name)
    assert process.returncode == 0, process.stderr


# --- the package ------------------------------------------------------------------------------------------------------


def test_importing_tracezip_imports_nothing_heavy() -> None:
    process = run("import tracezip, sys; print(*sys.modules)")
    heavy = {"numpy", "zstandard", "msgpack", "xxhash", "tracezip._native", "tracezip.reference", "tracezip.codec"}
    assert not heavy & set(process.stdout.split())


def test_every_public_name_is_there() -> None:
    process = run("import tracezip; [getattr(tracezip, name) for name in tracezip.__all__]; from tracezip import *")
    assert process.returncode == 0, process.stderr
    assert set(tracezip.__all__) <= set(dir(tracezip))
    assert not hasattr(tracezip, "no_such_name")


def test_whoever_looks_at_all_names_needs_no_extra() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
import inspect, tracezip
from tracezip import *
inspect.getmembers(tracezip)
"""
    process = run(program)
    assert process.returncode == 0, process.stderr


def test_the_version_is_that_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert tracezip.__version__ == project["version"]
