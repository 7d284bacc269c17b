"""Spans with status ERROR out of the index, where it tells of them: their blocks need not be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracezip.convert.spans import STATUS_ERROR
from tracezip.expression import Comparison, Expression
from tracezip.index import Summary
from tracezip.index.failures import Failures, Kind
from tracezip.scan.messages import SpanBytes
from tracezip.scan.prune import SERVICE_NAME, Pruner
from tracezip.scan.rows import RowNumbers
from tracezip.scan.select import ID_WORDS, Mask, Selector, compare_id, compare_number, mask_of

_SERVICE, _NAME = 0, 1


class _UndecidedError(Exception):
    """Only the blocks can tell."""


class FailedSpans:
    """The failed spans of a unit for which an expression holds. A chunk; `span_bytes` is not for it to tell."""

    def __init__(self, failures: Failures) -> None:
        self.rows: NDArray[np.int64] = np.array(failures.rows, np.int64)
        """Spans are counted through the unit from 0."""
        self.durations = _numbers(failures.durations)
        traces = np.frombuffer(failures.trace_ids, ">u8").astype(np.uint64).reshape(-1, 2)[list(failures.traces)]
        self.words = {
            "trace_id": list(traces.T),
            "span_id": [np.frombuffer(failures.span_ids, ">u8").astype(np.uint64)],
        }
        """As `select.ID_WORDS` has them."""
        self._kind: NDArray[np.int64] = np.array(failures.kind, np.int64)
        self._kinds = failures.kinds

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_read(self) -> int:
        """How many spans of the unit must be read to have them all."""
        return int(self.rows.max()) + 1

    def select(self, _: Selector) -> RowNumbers:
        return np.arange(len(self))

    def span_bytes(self, rows: RowNumbers) -> Sequence[SpanBytes]:
        raise NotImplementedError("the index does not tell whole spans")

    def trace_ids(self, rows: RowNumbers) -> list[bytes]:
        data = np.stack([word[rows] for word in self.words["trace_id"]], axis=1).astype(">u8").tobytes()
        return [data[at : at + 16] for at in range(0, len(data), 16)]

    def services(self) -> NDArray[Any]:
        return self._of_kind(object, lambda kind: kind[_SERVICE])

    def names(self) -> NDArray[Any]:
        return self._of_kind(object, lambda kind: kind[_NAME])

    def keep(self, mask: Mask) -> None:
        """Only these are left."""
        self.rows, self.durations, self._kind = self.rows[mask], self.durations[mask], self._kind[mask]
        self.words = {name: [word[mask] for word in words] for name, words in self.words.items()}

    def mask(self, where: Expression, verdict: Callable[[Comparison], bool | None]) -> Mask | None:
        """For which of them it holds, if they can tell. `verdict`: what a comparison says of all, if that is known."""
        try:
            return mask_of(where, len(self), lambda c: self._comparison(c, verdict))
        except _UndecidedError:
            return None

    def _comparison(self, c: Comparison, verdict: Callable[[Comparison], bool | None]) -> Mask:
        of_all = verdict(c)
        if of_all is not None:
            return np.full(len(self), of_all)
        if c.field == SERVICE_NAME and all(self.services()):  # an empty one may be none
            return self._of_kind(bool, lambda kind: c.test(kind[_SERVICE]))
        key = None if c.field.scope else c.field.key
        if key == "service":
            return self._of_kind(bool, lambda kind: c.test(kind[_SERVICE]))
        if key == "name":
            return self._of_kind(bool, lambda kind: c.test(kind[_NAME]))
        if key == "status":
            return np.full(len(self), c.test(STATUS_ERROR))
        if key == "duration":
            return compare_number(c, self.durations)
        if key in ID_WORDS and key in self.words:
            return compare_id(c, self.words[key])
        raise _UndecidedError

    def _of_kind(self, dtype: type, of: Callable[[Kind], Any]) -> NDArray[Any]:
        table: NDArray[Any] = np.zeros(len(self._kinds) or 1, dtype)
        for number in set(self._kind.tolist()):
            table[number] = of(self._kinds[number])
        values: NDArray[Any] = table[self._kind]
        return values


def _numbers(values: Sequence[int]) -> NDArray[Any]:
    """int64 or, where that does not hold all of them, Python's integers."""
    return np.array(values, object if max(values, default=0) >> 63 else np.int64)


def failed_spans(where: Expression, unit: Summary, pruner: Pruner) -> FailedSpans | None:
    """Those of a unit for which it holds; None if the index does not tell, or not all that is asked."""
    failures = unit.failures
    if failures is None:
        return None
    spans = FailedSpans(failures)
    mask = spans.mask(where, lambda c: pruner.verdict(c, unit))
    if mask is None:
        return None
    spans.keep(mask)
    return spans
