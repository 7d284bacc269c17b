"""What can be asked of an archive. `tracezip.Reader` has these as methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from tracezip.convert.spans import Span
from tracezip.errors import InputError
from tracezip.expression import Comparison, Expression, Field
from tracezip.index import Unit
from tracezip.mix import hash_of_id
from tracezip.scan.archive import ALL, Archive
from tracezip.scan.columns import COLUMNS_OF_FAILED, Batch, batch_of, checked_names, wanted_of
from tracezip.scan.failed import FailedSpans, failed_spans
from tracezip.scan.messages import MessageBuilder
from tracezip.scan.prune import Pruner
from tracezip.scan.rows import plain_span
from tracezip.scan.select import Selector

_TRACE_ID = Field("", "trace_id")
MESSAGE_SPANS = 512
_TRACES_AT_ONCE = 1024
"""Of those that are looked for in one pass; they are in memory together."""


def trace(archive: Archive, trace_id: bytes | str) -> bytes | None:
    """All spans of a trace as one OTLP message, in the order of the file; None if there are none."""
    wanted = _id_of(trace_id)
    if not any(wanted):
        return None
    builder, is_there = MessageBuilder(), False
    selector = Selector(Comparison(_TRACE_ID, "=", wanted.hex()))
    trace_hash = hash_of_id(wanted)
    for chunk in archive.chunks(lambda unit: _n_spans_of(unit, trace_hash)):
        for part in chunk.span_bytes(chunk.select(selector)):
            builder.add(part)
            is_there = True
    return builder.message() if is_there else None


def _id_of(trace_id: bytes | str) -> bytes:
    if isinstance(trace_id, bytes | bytearray | memoryview):
        return bytes(trace_id)
    try:
        return bytes.fromhex(trace_id)
    except (TypeError, ValueError):
        raise InputError(f"a trace id is bytes, or hexadecimal text: {trace_id!r}", code="argument") from None


def _n_spans_of(unit: Unit, trace_hash: int) -> int:
    """How many spans of a unit must be read to find all of the traces whose ids have this hash."""
    if unit.summary is None:
        return ALL
    last = unit.summary.trace_filter.last_sixteenth_of(trace_hash)
    return 0 if last is None else ALL if last == 16 else -(-unit.n_spans * last // 16)


def trace_ids(archive: Archive, prefix: str = "") -> Iterator[bytes]:
    """The ids of the traces that begin with these hexadecimal digits, each once, in the order of the file."""
    if re.fullmatch("[0-9a-fA-F]*", prefix) is None:
        raise InputError(f"ids begin with hexadecimal digits, not with {prefix!r}", code="argument")
    where = Comparison(_TRACE_ID, "^=" if prefix else "!=", prefix.lower() or None)
    seen: set[bytes] = set()
    for _, new in _matching(archive, where, seen):
        yield from new


def spans(archive: Archive, where: Expression) -> Iterator[Span]:
    """The spans for which it holds, in the order of the file."""
    selector = Selector(where)
    for chunk in archive.chunks(units_for(where)):
        for part in chunk.span_bytes(chunk.select(selector)):
            try:
                span = plain_span(part)
            except InputError:
                continue  # it is no OTLP, and was not asked for
            yield span


def messages(archive: Archive, where: Expression) -> Iterator[bytes]:
    """The spans for which it holds as OTLP messages of at most `MESSAGE_SPANS`, in the order of the file."""
    selector = Selector(where)
    for chunk in archive.chunks(units_for(where)):
        parts = chunk.span_bytes(chunk.select(selector))
        for first in range(0, len(parts), MESSAGE_SPANS):
            builder = MessageBuilder()
            for part in parts[first : first + MESSAGE_SPANS]:
                builder.add(part)
            yield builder.message()


def scan(
    archive: Archive, where: Expression, columns: Iterable[str] | None, stretch: range | None = None
) -> Iterator[Batch]:
    """The columns of the spans for which it holds, in the order of the file.

    With a `stretch` of offsets, only of the units that begin there.
    """
    names, selector = checked_names(columns), Selector(where)
    answer: Callable[[Unit], int | FailedSpans] = (
        _answers(where) if COLUMNS_OF_FAILED.issuperset(names) else units_for(where)
    )
    wanted = wanted_of(where, names)
    for chunk in archive.chunks(lambda unit: 0 if stretch and unit.offset not in stretch else answer(unit), wanted):
        rows = chunk.select(selector)
        if len(rows):
            yield batch_of(chunk, rows, names)


def traces(archive: Archive, where: Expression) -> Iterator[bytes]:
    """The traces with a span for which it holds, each as `trace` gives it, in the order of these spans."""
    waiting: list[bytes] = []
    for is_last, new in _matching(archive.again(), where, set()):
        waiting += new
        while len(waiting) >= _TRACES_AT_ONCE or (is_last and waiting):
            yield from _whole_traces(archive, waiting[:_TRACES_AT_ONCE])
            del waiting[:_TRACES_AT_ONCE]


def _matching(archive: Archive, where: Expression, seen: set[bytes]) -> Iterator[tuple[bool, list[bytes]]]:
    """The ids of traces with a span for which it holds that are not in `seen`, and then are; and whether it is over."""
    selector = Selector(where)
    for chunk in archive.chunks(_answers(where), wanted_of(where, ["trace_id"])):
        found = dict.fromkeys(chunk.trace_ids(chunk.select(selector)))
        new = [trace_id for trace_id in found if any(trace_id) and trace_id not in seen]
        seen.update(new)
        yield False, new
    yield True, []


def _whole_traces(archive: Archive, ids: list[bytes]) -> Iterator[bytes]:
    builders = {trace_id: MessageBuilder() for trace_id in ids}
    selector = Selector(Comparison(_TRACE_ID, "in", tuple(trace_id.hex() for trace_id in ids)))
    hashes = list(map(hash_of_id, ids))
    for chunk in archive.chunks(lambda unit: max(_n_spans_of(unit, trace_hash) for trace_hash in hashes)):
        rows = chunk.select(selector)
        for trace_id, part in zip(chunk.trace_ids(rows), chunk.span_bytes(rows), strict=True):
            builders[trace_id].add(part)
    for builder in builders.values():
        yield builder.message()


def units_for(where: Expression) -> Callable[[Unit], int]:
    """How many spans of a unit must be read for an expression."""
    answer = _answers(where)

    def n_wanted(unit: Unit) -> int:
        found = answer(unit)
        return found if isinstance(found, int) else found.n_read

    return n_wanted


def _answers(where: Expression) -> Callable[[Unit], int | FailedSpans]:
    """How many spans of a unit must be read for an expression; or the spans, where the index tells them all."""
    pruner = Pruner(where)

    def answer(unit: Unit) -> int | FailedSpans:
        if unit.summary is None:
            return ALL
        failed, others = pruner.who_may_match(unit.summary)
        found = failed_spans(where, unit.summary, pruner) if failed and not others else None
        if found is None:
            return ALL if failed or others else 0
        return found if len(found) else 0

    return answer
