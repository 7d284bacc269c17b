"""Where the units of an archive stand, found by reading the heads of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracezip.block import read_block
from tracezip.container import BLOCK, peek_frame
from tracezip.source import Source

UNIT_SPANS = 8192


@dataclass(slots=True)
class Unit:
    offset: int
    n_bytes: int
    n_blocks: int
    n_spans: int
    summary: Any = None


def read_units(file: Any) -> list[Unit]:
    file.seek(0)
    source = Source(file)
    units: list[Unit] = []
    while (frame := peek_frame(source)) is not None:
        source.skip(frame.n_bytes)
        if frame.kind != BLOCK:
            continue
        header = read_block(frame.body).header
        if not units or (not header.chain and units[-1].n_spans >= UNIT_SPANS):
            units.append(Unit(frame.offset, 0, 0, 0))
        units[-1].n_bytes = frame.offset + frame.n_bytes - units[-1].offset
        units[-1].n_blocks += 1
        units[-1].n_spans += header.n_spans
    return units
