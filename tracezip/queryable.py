"""The queries of a reader. What they need is loaded when the first one is asked."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from tracezip.errors import UsageError
from tracezip.expression import Expression
from tracezip.source import is_path
from tracezip.where import as_expression

if TYPE_CHECKING:
    from tracezip.convert.spans import Span
    from tracezip.dictionary import Dictionary
    from tracezip.recover import Damage
    from tracezip.scan.archive import Archive
    from tracezip.scan.columns import Batch

T = TypeVar("T")


class Queryable(ABC):
    """Queries of a whole file, however far its messages have been read. They read only what they need; of failed spans
    the index may tell so much that no block is.

    The file is given by its name, or can seek. They raise InputError for what cannot be asked, and FormatError for a
    damaged block that they need; a reader with `skip_damage` passes over it, and notes it in `damages`. `where` is text
    in the language of `tracezip.where`, or an expression of `tracezip.expression`, or None for all spans.
    """

    _archive: Archive | None = None
    _own_file: Any = None

    @abstractmethod
    def _turn(self) -> AbstractContextManager[None]:
        """Entered around each step of a query. Raises UsageError if the reader is closed, or in use elsewhere."""

    @abstractmethod
    def _queried(self) -> tuple[Any, list[Damage] | None, Dictionary | None]:
        """What was opened, where damage is noted if it is passed over, the dictionary."""

    def trace(self, trace_id: bytes | str) -> bytes | None:
        """One trace, as one OTLP message with all its spans; None if it is not there. Ids are bytes or hexadecimal."""
        from tracezip.scan import queries

        with self._turn():
            return queries.trace(self._opened(), trace_id)

    def trace_ids(self, prefix: str = "") -> Iterator[bytes]:
        """The ids of the traces that begin with these hexadecimal digits, each once, in the order of the file."""
        from tracezip.scan import queries

        return self._answers(lambda archive: queries.trace_ids(archive, prefix))

    def traces(self, where: str | Expression | None = None) -> Iterator[bytes]:
        """The traces with a span that is asked for, each as `trace` gives it. It remembers the ids of those given."""
        from tracezip.scan import queries

        expression = as_expression(where)
        return self._answers(lambda archive: queries.traces(archive, expression))

    def spans(self, where: str | Expression | None = None) -> Iterator[Span]:
        """The spans that are asked for, in the order of the file. What is no OTLP is left out."""
        from tracezip.scan import queries

        expression = as_expression(where)
        return self._answers(lambda archive: queries.spans(archive, expression))

    def messages(self, where: str | Expression | None = None) -> Iterator[bytes]:
        """The spans that are asked for, byte for byte, as OTLP messages of some hundred, in their order."""
        from tracezip.scan import queries

        expression = as_expression(where)
        return self._answers(lambda archive: queries.messages(archive, expression))

    def scan(self, where: str | Expression | None = None, columns: Iterable[str] | None = None) -> Iterator[Batch]:
        """The spans that are asked for as numpy columns, of which `columns` names those wanted: see `scan.columns`."""
        from tracezip.scan import queries

        expression, names = as_expression(where), None if columns is None else list(columns)
        return self._answers(lambda archive: queries.scan(archive, expression, names))

    def to_arrow_reader(self, where: str | Expression | None = None, columns: Iterable[str] | None = None) -> Any:
        """The spans that are asked for as a pyarrow.RecordBatchReader."""
        try:
            from tracezip.tables import arrow
        except ImportError as error:
            raise UsageError(
                f"this needs pyarrow, which is not here ({error}): pip install 'tracezip[arrow]'"
            ) from error

        names = None if columns is None else list(columns)
        return arrow.record_batches(self.scan(where, names), names)

    def to_arrow(self, where: str | Expression | None = None, columns: Iterable[str] | None = None) -> Any:
        """The spans that are asked for as a pyarrow.Table."""
        return self.to_arrow_reader(where, columns).read_all()

    def to_pandas(self, where: str | Expression | None = None, columns: Iterable[str] | None = None) -> Any:
        """The spans that are asked for as a pandas.DataFrame. Needs pandas as well."""
        return self.to_arrow(where, columns).to_pandas()

    def _answers(self, ask: Callable[[Archive], Iterator[T]]) -> Iterator[T]:
        """The answers, each found while nobody else uses the reader. What cannot be asked is an error at once."""
        with self._turn():
            archive = self._opened().again()
            answers = ask(archive)

        def given() -> Iterator[T]:
            over = False
            while not over:
                with self._turn():
                    found = list(islice(answers, 1))
                    over = not found
                yield from found
            archive.close()

        return given()

    def _opened(self) -> Archive:
        from tracezip.scan.archive import Archive

        file, damages, dictionary = self._queried()
        if self._archive is None:
            if is_path(file):
                file = self._own_file = open(os.fspath(file), "rb")  # noqa: SIM115  (closed by _close_archive)
            self._archive = Archive(file, damages, dictionary)
        return self._archive

    def _close_archive(self) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None
        if self._own_file is not None:
            self._own_file.close()
