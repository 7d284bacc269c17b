"""STEF and OTel-Arrow, measured by the Go program in benchmarks/peers/, which is built when it is first needed.

They take and give objects, not OTLP bytes: their compression is timed from OTLP bytes, with the part that only makes
objects of them told apart, and their decompression ends at their own objects, which is less than tracezip does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data import TraceFile, join_stream
from benchmarks.measure import Measurement

SOURCE = Path(__file__).resolve().parent / "peers"
CACHE = Path(__file__).resolve().parent.parent / ".benchmarks" / "peers"  # ignored by git; make clean removes it
NAMES = {"stef": "STEF + zstd", "stef-sorted": "STEF + zstd, sorted", "otel-arrow": "OTel-Arrow + zstd"}
NOTES = {
    "STEF + zstd": "one stream, a frame per batch, ids as hex text (its own converter from OTLP); some fields lost; "
    "decoded to its own records, not to OTLP",
    "STEF + zstd, sorted": "the same, with spans sorted in each batch: order lost",
    "OTel-Arrow + zstd": "one stream, each record batch in zstd; order lost; decoded to objects, not to OTLP bytes",
}
BUILD_SECONDS, RUN_SECONDS = 900, 900


class PeerError(Exception):
    """A peer could not be built or run; the message is one line."""


def build() -> Path:
    """The program for the sources as they are, from the cache if it was built before."""
    if not shutil.which("go"):
        raise PeerError("Go is not installed (1.24 or newer is needed)")
    program = CACHE / fingerprint()
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run(["go", "build", "-mod=readonly", "-trimpath", "-o", str(program), "."], BUILD_SECONDS, cwd=SOURCE)
    return program


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(command: list[str], seconds: int, cwd: Path | None = None) -> str:
    environment = os.environ | {"GOMAXPROCS": "1"} if cwd is None else dict(os.environ)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, cwd=cwd, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise PeerError(said[-1].removeprefix("peers: ").rstrip("."))
    return done.stdout


def batches_of(file: TraceFile, unit: str) -> list[bytes]:
    return {"message": file.messages, "512": file.batches, "8192": file.large_batches}[unit]


def measure_all(program: Path, file: TraceFile, folder: Path, repeat: int) -> Iterator[Measurement | str]:
    """What each peer makes of each kind of batch, or one line that says why it cannot."""
    for unit in ("message", "512", "8192"):
        source = folder / f"peers-{unit}"
        source.write_bytes(join_stream(batches_of(file, unit)))
        for codec, name in NAMES.items():
            try:
                yield measurement(
                    file, unit, json.loads(run([str(program), codec, str(source), str(repeat)], RUN_SECONDS))
                )
            except PeerError as error:
                yield f"{name} per {unit} on {file.name}: {error}."


def measure_one(program: Path, codec: str, source: Path, repeat: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run([str(program), codec, str(source), str(repeat)], RUN_SECONDS))
    return found


def measurement(file: TraceFile, unit: str, found: dict[str, Any]) -> Measurement:
    if found["n_spans"] != file.n_spans:
        raise PeerError(f"took {found['n_spans']} of {file.n_spans} spans")
    return Measurement(
        file=file.name,
        codec=NAMES[found["codec"]],
        unit=unit,
        n_spans=found["n_spans"],
        raw_bytes=file.n_bytes,  # not those of the batches, so that ratios compare with the other codecs'
        stored_bytes=found["stored_bytes"],
        compress_s=found["unmarshal_s"] + found["encode_s"],
        decompress_s=found["decode_s"],
        is_prefix=False,
        compress_peak=found["compress_peak_bytes"],
        decompress_peak=found["decompress_peak_bytes"],
        parse_s=found["unmarshal_s"],
    )


def versions() -> dict[str, str]:
    """Versions of the peers, as go.mod pins them."""
    lines = (SOURCE / "go.mod").read_text(encoding="utf-8").splitlines()
    pinned = (line.split()[:2] for line in lines if "splunk/stef/go/otel " in line or "otel-arrow" in line)
    return {"STEF" if "stef" in module else "OTel-Arrow": version for module, version in pinned}
