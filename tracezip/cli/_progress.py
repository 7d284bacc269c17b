"""A progress bar on standard error for work that takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO

import click

from tracezip.cli._session import human_bytes
from tracezip.cli._streams import size_of

_SHOWN_AFTER_S = 1.0
_REDRAWN_EVERY_S = 0.1


class Progress:
    """Follows the reading of `source`, message by message; does nothing at all unless `wanted`."""

    def __init__(self, source: BinaryIO, label: str, *, wanted: bool) -> None:
        self._source = source
        self._label = label
        self._n_total = size_of(source)
        self.n_message_bytes = 0
        self._n_drawn = 0
        self._bar: Any = None
        self._due = time.monotonic() + _SHOWN_AFTER_S if wanted else float("inf")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is None:
            return
        if kind is None and self._n_total is not None:
            self._draw(self._n_total)
        self._bar.__exit__(kind, error, None)

    def over(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """The same messages, while the bar moves."""
        for message in messages:
            self.n_message_bytes += len(message)
            yield message
            if time.monotonic() >= self._due:
                self._redraw()

    def _redraw(self) -> None:
        if self._bar is None:
            self._bar = self._new_bar().__enter__()
        self._draw(self.n_message_bytes if self._n_total is None else self._source.tell())
        self._due = time.monotonic() + _REDRAWN_EVERY_S

    def _new_bar(self) -> Any:
        if self._n_total is None:  # a pipe: no end in sight, so only how far we are
            endless = iter(int, 1)
            return click.progressbar(endless, label=self._label, item_show_func=_position, file=sys.stderr)
        return click.progressbar(length=self._n_total, label=self._label, item_show_func=_position, file=sys.stderr)

    def _draw(self, n_bytes: int) -> None:
        self._bar.update(n_bytes - self._n_drawn, n_bytes)
        self._n_drawn = n_bytes


def _position(n_bytes: int | None) -> str:
    return human_bytes(n_bytes or 0)
