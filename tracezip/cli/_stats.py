"""What `tracezip-cat --stats` says: which attributes cost how much, and what takes how much of the archives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from tracezip.cli import _streams as streams
from tracezip.cli._selection import Selection, for_each_message
from tracezip.cli._session import Session
from tracezip.convert.costs import Cost, Costs
from tracezip.errors import TracezipError
from tracezip.show.text import BOLD, Style, escape

_Key = TypeVar("_Key")


def costs_of(session: Session, names: Sequence[str], selection: Selection) -> Costs:
    """What takes how much of what was asked for."""
    costs = Costs()
    if selection.is_everything:
        for _ in for_each_message(session, names, costs.add):
            pass
    else:
        for message in selection.messages(session, names):
            costs.add(message)
    return costs


def archive_parts(session: Session, names: Iterable[str]) -> dict[str, int]:
    """The bytes of the files by part, as `tracezip info` has them; nothing of standard input and of bad files."""
    import tracezip

    parts: Counter[str] = Counter()
    for name in names:
        with suppress(TracezipError, OSError):
            if name != streams.STANDARD:
                parts.update(tracezip.info(name, dictionary=session.dictionary)["bytes_by_part"])
    return dict(parts)


def as_json(costs: Costs, parts: dict[str, int]) -> str:
    """One line; version 1 of it always has these keys. Sizes in bytes of OTLP protobuf, those of parts in the files."""
    attributes = [
        {"of": of, "key": key, "values": cost.n_values, "bytes": cost.n_bytes}
        for (of, key), cost in _largest_first(costs.attributes)
    ]
    fields = [
        {"field": name, "values": cost.n_values, "bytes": cost.n_bytes} for name, cost in _largest_first(costs.fields)
    ]
    return json.dumps(
        {
            "version": 1,
            "spans": costs.n_spans,
            "otlp_bytes": costs.n_bytes,
            "attributes": attributes,
            "fields": fields,
            "archive_bytes_by_part": parts,
        }
    )


def as_table(costs: Costs, parts: dict[str, int], style: Style) -> Iterator[str]:
    """The lines people read."""
    per_span = f", {costs.n_bytes / costs.n_spans:,.1f} a span" if costs.n_spans else ""
    yield f"{costs.n_spans:,} spans, {costs.n_bytes:,} bytes of OTLP protobuf{per_span}"
    rows = [(of, escape(key), cost) for (of, key), cost in _largest_first(costs.attributes)]
    yield from _table(("of", "attribute"), rows, costs.n_bytes, style)
    rows = [(*_halves(label), cost) for label, cost in _largest_first(costs.fields)]
    yield from _table(("of", "field"), rows, costs.n_bytes, style)
    if parts:
        total = sum(parts.values())
        yield ""
        yield style.line([(f"{'part of the archive':<54} {'bytes':>13} {'share':>7}", BOLD)])
        for part, n_bytes in sorted(parts.items(), key=lambda item: -item[1]):
            yield f"{part:<54} {n_bytes:>13,} {_share(n_bytes, total):>7}"


def _table(titles: tuple[str, str], rows: list[tuple[str, str, Cost]], n_total: int, style: Style) -> Iterator[str]:
    yield ""
    yield style.line([(f"{titles[0]:<21} {titles[1]:<32} {'bytes':>13} {'share':>7} {'values':>11}", BOLD)])
    for of, name, cost in rows:
        yield f"{of:<21} {name:<32} {cost.n_bytes:>13,} {_share(cost.n_bytes, n_total):>7} {cost.n_values:>11,}"


def _halves(label: str) -> tuple[str, str]:
    message, _, name = label.partition(".")
    return message, name


def _share(n_bytes: int, n_total: int) -> str:
    return f"{n_bytes / n_total:.1%}" if n_total else "-"


def _largest_first(costs: dict[_Key, Cost]) -> list[tuple[_Key, Cost]]:
    return sorted(costs.items(), key=lambda item: -item[1].n_bytes)
