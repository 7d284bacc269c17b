"""What a query refuses, and what it does not survive silently."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archives import MESSAGES, archive, field

import tracezip
from tracezip.where import parse


def test_a_reader_in_two_threads_refuses_the_second(tmp_path: Path) -> None:
    data = archive(MESSAGES, flush=False)
    (tmp_path / "a.tzip").write_bytes(data)
    with (
        tracezip.open(tmp_path / "a.tzip") as reader,
        reader._guard,
        pytest.raises(tracezip.UsageError, match="thread"),
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(reader.trace, bytes(16)).result()


def test_an_answer_after_the_end_of_the_reader_is_refused() -> None:
    reader = tracezip.open(io.BytesIO(archive(MESSAGES)))
    spans = reader.spans()
    next(spans)
    reader.close()
    with pytest.raises(tracezip.UsageError, match="closed"):
        next(spans)


def test_a_question_that_cannot_be_asked_leaves_the_reader_alive() -> None:
    with tracezip.open(io.BytesIO(archive(MESSAGES))) as reader:
        with pytest.raises(tracezip.InputError):
            reader.trace("no id")
        with pytest.raises(tracezip.InputError):
            list(reader.trace_ids("zz"))
        assert list(reader.spans())


@pytest.mark.parametrize("n_lost", [1, 9, 200])
def test_an_archive_that_is_cut_short_is_no_whole_answer(n_lost: int) -> None:
    data = archive(MESSAGES)[:-n_lost]
    with pytest.raises(tracezip.FormatError), tracezip.open(io.BytesIO(data)) as reader:
        list(reader.spans())
    with tracezip.open(io.BytesIO(data), skip_damage=True) as reader:
        assert list(reader.spans())
        assert reader.damages


def test_values_of_any_kind_can_be_compared_with_lists() -> None:
    value = field(5, field(1, field(6, field(1, field(1, "a")))))  # an array of a map
    odd = field(1, field(2, field(2, field(9, field(1, "x") + field(2, value)))))
    with tracezip.open(io.BytesIO(archive([odd]))) as reader:
        assert list(reader.spans("span.x in (1, 2)")) == []
        assert len(list(reader.spans("span.x != nil"))) == 1


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    with pytest.raises(tracezip.InputError, match="characters"):
        parse("duration > " + "9" * 5000)
