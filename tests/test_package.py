"""What pip installs is whole."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def test_extra_all_names_every_other_extra() -> None:
    extras = project()["optional-dependencies"]
    assert extras["all"] == [f"tracezip[{name}]" for name in extras if name != "all"]


def test_samples_name_their_source_and_licence() -> None:
    readme = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    samples = [path.name for path in (ROOT / "samples").iterdir() if path.suffix != ".md"]
    assert samples
    assert all(f"`{name}`" in readme for name in samples)
    assert "Apache-2.0" in readme
