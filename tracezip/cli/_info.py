"""What `tracezip info` says of a file: a table for people, one line of JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tracezip.cli._session import human_bytes, shown, styled

_COUNTS = (
    ("streams", "streams"),
    ("restart groups", "groups"),
    ("blocks", "blocks"),
    ("messages", "messages"),
    ("spans", "spans"),
    ("traces", "traces"),
)


def as_json(name: str, info: Mapping[str, Any]) -> str:
    """One line; version 1 of it always has these keys, with these meanings. Sizes in bytes."""
    record = {"version": 1, "file": name, **info, "bytes_per_span": bytes_per_span(info)}
    return json.dumps(_plain(record), allow_nan=False)


def as_table(name: str, info: Mapping[str, Any]) -> str:
    """The table people read, with a line for each fact and for each part."""
    return "\n".join(_table_lines(shown(name), info, colour=sys.stdout.isatty()))


def _table_lines(name: str, info: Mapping[str, Any], *, colour: bool) -> Iterator[str]:
    yield styled(name, colour, bold=True)
    for label, value in _facts(info):
        yield f"  {label:<18} {value}"
    parts = info.get("bytes_by_part") or {}
    if parts:
        yield ""
        yield styled(f"  {'part':<18} {'bytes':>15} {'share':>7}", colour, bold=True)
        yield from _part_lines(parts, info["compressed_bytes"])


def bytes_per_span(info: Mapping[str, Any]) -> float | None:
    """Compressed bytes per span; None for a file without spans."""
    spans = info.get("spans")
    return round(info["compressed_bytes"] / spans, 3) if spans else None


def _facts(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for label, key in _COUNTS:
        yield label, f"{info[key]:,}"
    yield "OTLP size", _size(info["raw_bytes"])
    yield "compressed size", _size(info["compressed_bytes"])
    yield "ratio", f"{info['ratio']:.2f}"
    yield "compression_ratio", f"{info['compression_ratio']:.4f} (fraction saved)"
    per_span = bytes_per_span(info)
    yield "bytes per span", "-" if per_span is None else f"{per_span:.2f}"
    yield "complete", "yes" if info["complete"] else "no: the end is missing (cut short, or still being written)"
    for group in ("metadata", "writer"):
        for key, value in (info.get(group) or {}).items():
            yield _printable(key), _printable(value)


def _part_lines(parts: Mapping[str, int], n_total: int) -> Iterator[str]:
    for part, n_bytes in sorted(parts.items(), key=lambda item: (-item[1], item[0])):
        share = n_bytes / n_total if n_total else 0.0
        yield f"  {part:<18} {n_bytes:>15,} {share:>7.1%}"


def _size(n_bytes: int) -> str:
    return f"{human_bytes(n_bytes)} ({n_bytes:,} bytes)" if n_bytes >= 1024 else f"{n_bytes} bytes"


def _printable(value: object) -> str:
    """What a file says of itself, without anything a terminal would obey."""
    text = value if isinstance(value, str) else json.dumps(_plain(value))
    return text if text.isprintable() else json.dumps(text)


def _plain(value: Any) -> Any:
    """The nearest JSON has: MessagePack also knows bytes, NaN, and keys that are no strings."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
