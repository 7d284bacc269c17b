"""The house: what stands on what, and which numbers must be the same wherever they are written."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest

import tracezip
from tracezip import limits
from tracezip.block import SECTIONS
from tracezip.reference import contexts, format_limits, tables

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tracezip"
CSRC = ROOT / "csrc"

LAYERS = (
    {"errors", "limits", "convert.schema", "reference.format_limits", "reference.skeleton", "walk", "mix"},
    {"__init__"},
    {"varint", "guard", "options", "convert.wire"},
    {"_native", "reference"},
    {"_backend", "source", "unpack"},
    {
        "container",
        "convert.json_text",
        "convert.json_values",
        "convert.otlp_json",
        "convert.fields",
        "convert.spans",
        "convert.values",
        "convert.messages",
        "convert.whole_traces",
        "convert.tags",
        "convert.table",
        "convert.json_stream",
        "convert.json_object",
        "convert.jaeger",
        "convert.from_jaeger",
        "convert.zipkin",
        "convert.from_zipkin",
        "convert.perfetto",
        "convert.csv_rows",
        "convert.parquet",
        "convert.formats",
        "convert.sdk_reference",
        "convert.to_sdk",
    },
    {"_spans"},
    {"convert.sdk"},
    {"block", "split", "convert", "files", "begin", "expression"},
    {"recover", "where"},
    {"index"},
    {"lanes"},
    {"layout"},
    {"memory"},
    {"stream"},
    {"srt", "columns", "sink", "_info", "dictionary"},
    {"scan", "queryable"},
    {"reader", "writer"},
    {"codec", "merging", "regroup"},
    {"live", "tables"},
    {"otel", "relay", "show"},
    {"cli"},
)
"""From the bottom; a module imports only what stands below it, or beside it in the same package or group."""

HEAVY = {
    "numpy",
    "zstandard",
    "msgpack",
    "xxhash",
    "click",
    "google",
    "opentelemetry",
    "pyarrow",
    "asyncio",
    "urllib3",
    "aiohttp",
    "grpc",
    "prometheus_client",
    "json",
    "typing_extensions",
}

KERNEL_LIMIT = re.compile(r"^#define TZ_(\w+) +\(?(\d+)u?(?: << (\d+)\))?", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


# --- limits -----------------------------------------------------------------------------------------------------------


def kernel_limits() -> dict[str, int]:
    text = (CSRC / "format_limits.h").read_text()
    return {name: int(number) << int(shift or 0) for name, number, shift in KERNEL_LIMIT.findall(text)}


def python_limits(module: object) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)}


def test_the_kernels_and_the_reference_have_the_same_limits() -> None:
    assert len(kernel_limits()) >= 10
    assert kernel_limits() == python_limits(format_limits)


def test_a_limit_that_is_named_twice_has_one_value() -> None:
    same = {"MAX_BLOCK_PARTS": "MAX_MESSAGES", "MAX_GROUP_SPANS": "MAX_SPANS"}
    ours, kernels = python_limits(limits), kernel_limits()
    for name in ours.keys() & kernels.keys():
        assert ours[name] == kernels[name], name
    for name, other in same.items():
        assert ours[name] == kernels[other], name


def test_every_limit_of_a_kernel_is_written_in_its_one_file_only() -> None:
    for path in sources():
        if path.name != "format_limits.h":
            again = {name for name, *_ in KERNEL_LIMIT.findall(path.read_text())} & kernel_limits().keys()
            assert not again, path.name


def test_format_md_gives_the_limits_of_the_kernels() -> None:
    text = "".join(path.read_text() for path in ROOT.glob("FORMAT*.md"))
    written = {int(number.replace(",", "")) for number in re.findall(r"(?<![\d^.])\d[\d,]*", text)}
    written |= {2 ** int(power) for power in re.findall(r"2\^(\d+)", text)}
    missing = {name: value for name, value in kernel_limits().items() if value not in written}
    assert not missing


@pytest.mark.parametrize(("header", "names"), [("| number | family |", contexts.F), ("| op | name |", tables.Op)])
def test_format_md_gives_the_numbers_of_families_and_ops(header: str, names: type[IntEnum]) -> None:
    table = (ROOT / "FORMAT.md").read_text().split(header)[1].split("\n\n")[0]
    found = {(name, int(number)) for number, name in re.findall(r"^\| (\d+)[^|]*\|[ ▸]*(\w+) \|", table, re.MULTILINE)}
    assert found == {(name.name, name.value) for name in names}


# --- layers of modules ------------------------------------------------------------------------------------------------


def name_of(path: Path) -> str:
    """`codec` for tracezip/codec.py, `convert` for tracezip/convert/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) + sorted(PACKAGE.rglob("*.pyx"))}


def imports_of(path: Path, known: set[str]) -> set[str]:
    """The modules of tracezip that a module imports when it is imported. The binding's, its Cython apart, likewise."""
    found: set[str] = set()
    for node in ast.parse(plain_python(path)).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by relative name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("tracezip.") for name in found if name.partition(".")[0] == "tracezip"}
    return {nearest(name, known) for name in ours}


def plain_python(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "\n".join(
        lines if path.suffix == ".py" else [line for line in lines if line.startswith(("from tracezip", "import "))]
    )


def nearest(name: str, known: set[str]) -> str:
    """The module that an imported name is, or is in."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or "__init__"


def layer_of(name: str) -> int:
    """A module's own layer, or that of its package."""
    while name:
        for number, layer in enumerate(LAYERS):
            if name in layer:
                return number
        name = name.rpartition(".")[0]
    raise AssertionError("this module has no layer: give it one in LAYERS")


def is_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def imports() -> Iterator[tuple[str, str]]:
    known = modules()
    for name, path in known.items():
        for imported in imports_of(path, set(known)):
            yield name, imported


@pytest.mark.parametrize("name", modules())
def test_every_module_has_a_layer(name: str) -> None:
    assert layer_of(name) >= 0


def test_a_module_imports_only_what_stands_below_it() -> None:
    for name, imported in imports():
        same_package = "." in name and is_in(imported, name.partition(".")[0])
        package_itself = is_in(imported, name)
        assert same_package or package_itself or layer_of(imported) < layer_of(name), f"{name} imports {imported}"


def test_no_two_modules_import_each_other_by_any_way() -> None:
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for name, imported in imports():
        below[name].add(imported)
    while below:
        free = {name for name, needed in below.items() if not needed & below.keys()}
        assert free, f"these import each other: {sorted(below)}"
        for name in free:
            del below[name]


def test_errors_and_limits_import_nothing() -> None:
    for name in ("errors", "limits", "reference.format_limits"):
        tree = ast.parse(modules()[name].read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported <= {"__future__"}
        assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_nothing_but_the_door_knows_the_two_backends_by_name() -> None:
    for name, imported in imports():
        if is_in(imported, "reference") or imported == "_native":
            assert is_in(name, "reference"), f"{name} imports {imported}"


def test_the_reference_is_pure_python() -> None:
    for path in (PACKAGE / "reference").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(alias.name in sys.stdlib_module_names for alias in node.names), path.name
            elif isinstance(node, ast.ImportFrom):
                root = (node.module or "").partition(".")[0]
                assert root == "tracezip" or root in sys.stdlib_module_names, path.name


def test_importing_tracezip_imports_nothing_heavy_nor_anything_of_its_own() -> None:
    program = "import sys; before = set(sys.modules); import tracezip; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(run.stdout.split())
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert {name for name in loaded if name.partition(".")[0] == "tracezip"} == {"tracezip"}


def test_asking_for_help_does_not_load_the_codec() -> None:
    program = "import sys; import tracezip.cli.main, tracezip.cli.cat; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert not {"numpy", "zstandard", "msgpack", "tracezip._native", "tracezip.reference"} & set(run.stdout.split())


# --- kernels ----------------------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    return sorted([*CSRC.glob("*.c"), *CSRC.glob("*.h")])


def includes(path: Path) -> set[str]:
    return set(INCLUDE.findall(path.read_text()))


def all_includes(name: str) -> set[str]:
    """What a source of csrc/ includes, and what that includes."""
    found: set[str] = set()
    pending = {name}
    while pending:
        one = pending.pop()
        new = includes(CSRC / one) - found if (CSRC / one).exists() else set()
        found |= new
        pending |= new
    return found


def test_the_kernels_do_not_know_python_nor_files() -> None:
    forbidden = {"Python.h", "stdio.h", "unistd.h", "fcntl.h", "numpy/arrayobject.h"}
    assert len(sources()) > 10
    for path in sources():
        assert not includes(path) & forbidden, path.name
        assert not re.search(r"\b(printf|fopen|Py[A-Z]\w+_\w+)\s*\(", path.read_text()), path.name


def test_encoding_and_decoding_do_not_include_each_other() -> None:
    for side, writers_only in (("decode", {"encode.h", "parse.h", "plan.h", "count.h"}), ("encode", {"decode.h"})):
        for suffix in (".c", ".h"):
            assert not all_includes(side + suffix) & writers_only, side + suffix


def test_headers_do_not_include_each_other_in_a_circle() -> None:
    for path in sources():
        assert path.name not in all_includes(path.name)


def test_every_header_has_a_guard_and_is_used() -> None:
    used = set().union(*map(includes, sources())) | set(
        re.findall(r'"(\w+\.h)"', (PACKAGE / "_native.pyx").read_text())
    )
    for path in CSRC.glob("*.h"):
        assert re.search(r"#ifndef TZ_\w+_H\n#define TZ_\w+_H", path.read_text()), path.name
        assert path.name in used


# --- files ------------------------------------------------------------------------------------------------------------


def test_python_files_are_short() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) < 400, path.name


def test_functions_are_short() -> None:
    lengths = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append((node.end_lineno or 0) - node.body[0].lineno + 1)
                assert lengths[-1] <= 50, f"{path.name}: {node.name}"
    assert sorted(lengths)[len(lengths) // 2] <= 9


def test_every_public_name_says_what_it_is_for() -> None:
    for name in tracezip.__all__:
        if name not in ("__version__", "backend"):
            assert (getattr(tracezip, name).__doc__ or "").strip(), name


def test_the_sections_have_the_same_names_in_format_md() -> None:
    text = "".join(path.read_text() for path in ROOT.glob("FORMAT*.md"))
    assert f"`{'`, `'.join(SECTIONS)}`" in text.replace("\n", " ")
