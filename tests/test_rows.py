"""Rows without messages: what a query takes of a block, the same on both backends and the same as in its messages."""

from __future__ import annotations

import array
import itertools
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import pytest
from archives import field
from backends import DATA, NO_DATA, recorded_messages
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_maker import KEYS, Maker

from tracezip import _native as native
from tracezip import reference
from tracezip._backend import FIELD_MANY, SKIP_TIMES, SKIP_VALUES
from tracezip.convert.fields import read_fields
from tracezip.errors import UsageError

PRESET = resources.files("tracezip").joinpath("_preset.txt").read_bytes().split(b"\n")[:-1]
N_PLACES = 7
SPAN, RESOURCE = 2, 5
TAGS = {
    0: (0x1A,),
    1: (0x1A,),
    2: (0x0A, 0x12, 0x22, 0x2A, 0x30, 0x39, 0x41, 0x7A),
    3: (0x12,),
    4: (),
    5: (0x10,),
    6: (),
}
"""Of each place, some that may be there."""

Decoder = native.Decoder | reference.Decoder


def numbers(data: bytes, code: str = "I") -> array.array[int]:
    return array.array(code, data)


def view(values: Sequence[int]) -> memoryview:
    return memoryview(array.array("I", values))


def sections_of(messages: Sequence[bytes], encoder: native.Encoder | None = None) -> tuple[bytes, ...]:
    encoder = encoder or native.Encoder(PRESET, 2, 3)
    for message in messages:
        encoder.add(message)
    return encoder.encode()


def ordinary_messages(seed: int) -> list[bytes]:
    maker = Maker(seed, 0)
    return [maker.message() for _ in range(6)]


def both(messages: Sequence[bytes], most_spans: int = 1 << 30) -> tuple[native.Decoder, reference.Decoder]:
    """Decoders that have read the rows of one block of these messages."""
    sections, decoders = sections_of(messages), (native.Decoder(PRESET), reference.Decoder(PRESET))
    for decoder in decoders:
        decoder.read(sections, sum(map(len, messages)), most_spans)
    return decoders


def names() -> Iterator[tuple[int, int, bytes | None]]:
    for place in range(N_PLACES):
        yield from ((place, tag, None) for tag in TAGS.get(place, ()))
        tag = {2: 0x4A, 3: 0x1A, 4: 0x22, 5: 0x0A, 6: 0x1A}.get(place)
        if tag:
            yield from ((place, tag, key) for key in [*KEYS, b"service.name", b"http.request.method"])


def found(decoder: Decoder, name: tuple[int, int, bytes | None]) -> list[bytes | int]:
    """What each row has of a field: its bytes, 0 or FIELD_MANY."""
    told = numbers(decoder.fields(*name))
    atoms = sorted({n for n in told if n not in (0, FIELD_MANY)})
    encoded = dict(zip(atoms, decoder.atoms(view(atoms)), strict=True))
    return [encoded.get(n, n) for n in told]


def n_rows(decoder: Decoder, kind: int) -> int:
    return len(numbers(decoder.fields(kind, 8)))


def everything(decoder: Decoder) -> dict[str, object]:
    return {
        "outline": decoder.outline(),
        "columns": decoder.columns(),
        "fields": {name: found(decoder, name) for name in names()},
        "records": [decoder.records(kind, view(range(n_rows(decoder, kind)))) for kind in range(3)],
    }


def rebuilt(decoder: Decoder) -> list[bytes]:
    """The messages, out of rows."""
    resources, scopes, spans = (iter(decoder.records(kind, view(range(n_rows(decoder, kind))))) for kind in range(3))
    columns = decoder.columns(("n_scopes", "n_spans"))
    n_scopes, n_spans = iter(numbers(columns["n_scopes"])), iter(numbers(columns["n_spans"]))
    messages = []
    for n_resources in numbers(decoder.outline()[0]):
        message = b""
        for _ in range(n_resources):
            body = next(resources)
            for _ in range(next(n_scopes)):
                inside = b"".join(field(2, span) for span in itertools.islice(spans, next(n_spans)))
                body += field(2, next(scopes) + inside)
            message += field(1, body)
        messages.append(message)
    return messages


def meaning(message: bytes) -> list[object]:
    """What a message says, whatever the order of its fields."""
    result: list[object] = []
    for resource_spans in read_fields("TracesData", message)["resource_spans"]:
        outer = read_fields("ResourceSpans", resource_spans)
        inner = [read_fields("ScopeSpans", scope_spans) for scope_spans in outer.pop("scope_spans")]
        result.append((outer, inner))
    return result


@given(st.integers(0, 2**32), st.sampled_from([0, 5, 30]))
@settings(max_examples=60, deadline=None)
def test_both_backends_find_the_same_in_the_same_rows(seed: int, oddity: int) -> None:
    maker = Maker(seed, oddity)
    one, two = both([maker.message() for _ in range(6)])
    assert everything(one) == everything(two)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_rows_of_ordinary_messages_are_what_the_messages_say(seed: int) -> None:
    messages = ordinary_messages(seed)
    decoder = both(messages)[0]
    assert list(map(meaning, rebuilt(decoder))) == list(map(meaning, messages))
    assert decoder.parts() == (messages, [False] * 6)


@given(st.integers(0, 2**32), st.sampled_from([0, 30]), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_a_reader_that_stops_early_has_the_first_spans(seed: int, oddity: int, most_spans: int) -> None:
    maker = Maker(seed, oddity)
    messages = [maker.message() for _ in range(6)]
    whole = both(messages)[0]
    parts = both(messages, most_spans)
    assert everything(parts[0]) == everything(parts[1])
    n_spans = min(most_spans, n_rows(whole, SPAN))
    for decoder in parts:
        columns = decoder.columns()
        for name in ("trace_hi", "span_id", "start", "n_events", "n_links"):
            assert (
                numbers(columns[name]).tolist()
                == numbers(whole.columns()[name])[: len(numbers(columns[name]))].tolist()
            )
        assert sum(numbers(columns["n_spans"])) == n_rows(decoder, SPAN) == n_spans
        assert sum(numbers(columns["n_scopes"])) == n_rows(decoder, 1)
        assert sum(numbers(decoder.outline()[0])) == n_rows(decoder, 0)
        assert decoder.records(SPAN, view(range(n_spans))) == whole.records(SPAN, view(range(n_spans)))


@pytest.mark.parametrize("skips", [SKIP_TIMES, SKIP_VALUES, SKIP_TIMES | SKIP_VALUES])
@given(st.integers(0, 2**32), st.sampled_from([0, 30]), st.sampled_from([1, 4, 1 << 30]))
@settings(max_examples=40, deadline=None)
def test_a_reader_that_leaves_times_and_values_out_has_the_rest(
    skips: int, seed: int, oddity: int, most_spans: int
) -> None:
    maker = Maker(seed, oddity)
    messages = [maker.message() for _ in range(6)]
    whole = both(messages, most_spans)[0]
    sections, n_bytes = sections_of(messages), sum(map(len, messages))
    for backend in (native, reference):
        decoder = backend.Decoder(PRESET)
        decoder.read(sections, n_bytes, most_spans, skips)
        times = {"start", "end", "event_time"} if decoder.skipped & SKIP_TIMES else set()
        names_left = [name for name in whole.columns() if name not in times]
        assert decoder.columns(names_left) == whole.columns(names_left)
        assert decoder.outline() == whole.outline()
        for name in names():
            if decoder.fields(*name) is not None:
                assert found(decoder, name) == found(whole, name)
            else:
                assert decoder.skipped & SKIP_VALUES


def test_what_was_left_out_cannot_be_used() -> None:
    messages, encoder = ordinary_messages(3), native.Encoder(PRESET, 2, 3)
    sections, n_bytes = sections_of(messages, encoder), sum(map(len, messages))
    decoder = native.Decoder(PRESET)
    decoder.read(sections, n_bytes, skips=SKIP_TIMES)
    assert decoder.skipped == SKIP_TIMES
    assert decoder.columns(("start",))["start"] == b""
    for use in (decoder.parts, lambda: decoder.records(SPAN, view([0])), lambda: decoder.decode(sections, n_bytes)):
        with pytest.raises(UsageError, match="left"):
            use()
    decoder.reset()
    assert decoder.decode(sections, n_bytes)[0] == messages
    decoder.read(sections_of(messages, encoder), n_bytes, skips=SKIP_TIMES)  # not the first block
    assert decoder.skipped == 0


def test_values_are_left_out_only_if_paths_tell_what_is_asked_for() -> None:
    """Kinds are the same in all spans, and stand in the path; names are not."""
    spans = [field(2, field(1, bytes(16)) + field(5, f"{i * 7919:x}") + b"\x30\x03") for i in range(200)]
    message = field(1, field(2, b"".join(spans)))
    sections = sections_of([message])
    for asked, skipped in (([(SPAN, 0x30, None)], SKIP_VALUES), ([(SPAN, 0x30, None), (SPAN, 0x2A, None)], 0)):
        decoder = native.Decoder(PRESET)
        decoder.read(sections, len(message), skips=SKIP_VALUES, asked=asked)
        assert decoder.skipped == skipped
        assert all(decoder.fields(*name) is not None for name in asked)
        assert (decoder.fields(SPAN, 0x2A) is None) == (skipped == SKIP_VALUES)


def test_nothing_is_left_out_where_contexts_might_be_shared() -> None:
    """Of so many paths it is not known whether what is left out fills the tables that all share."""
    spans = [field(2, field(1, bytes(16)) + field(9, field(1, f"key {i % 4500}"))) for i in range(9000)]
    message = field(1, field(2, b"".join(spans)))
    encoder = native.Encoder(PRESET, 2, 3)
    sections = sections_of([message], encoder)
    assert encoder.statistics()["paths"] > 4000
    decoder = native.Decoder(PRESET)
    decoder.read(sections, len(message), skips=SKIP_TIMES | SKIP_VALUES)
    assert decoder.skipped == 0
    assert decoder.parts() == ([message], [False])


@pytest.mark.parametrize("backend", [native, reference])
def test_what_was_left_unread_cannot_be_used(backend: type) -> None:
    messages = ordinary_messages(3)
    sections, n_bytes = sections_of(messages), sum(map(len, messages))
    decoder = backend.Decoder(PRESET)
    decoder.read(sections, n_bytes, 1)
    with pytest.raises(UsageError, match="left a block unread"):
        decoder.parts()
    with pytest.raises(UsageError, match="left a block unread"):
        decoder.decode(sections, n_bytes)
    decoder.reset()
    assert decoder.decode(sections, n_bytes)[0] == messages


@pytest.mark.parametrize("backend", [native, reference])
def test_wrong_rows_fields_and_columns_are_errors(backend: type) -> None:
    messages = ordinary_messages(3)
    decoder = backend.Decoder(PRESET)
    decoder.read(sections_of(messages), sum(map(len, messages)))
    for rows in ([1 << 20], [1, 1], [2, 1]):
        with pytest.raises(IndexError):
            decoder.records(SPAN, view(rows))
    with pytest.raises(IndexError):
        decoder.atoms(view([1 << 30]))
    with pytest.raises(IndexError):
        decoder.atoms(view([0]))
    for call in (lambda: decoder.records(3, view([0])), lambda: decoder.fields(7, 8), lambda: decoder.columns(["x"])):
        with pytest.raises(ValueError, match=r"kind|place|column"):
            call()
    assert decoder.records(SPAN, view([])) == decoder.atoms(view([])) == []


def test_fields_that_come_twice_or_in_two_resources_are_marked() -> None:
    key_value = field(1, b"k") + field(2, field(1, b"v"))
    span = field(5, b"name") + field(9, key_value)
    odd = [field(5, b"one") + span, span + field(9, field(1, b"k") + field(2, b"\x18\x07")), span + field(9, b"")]
    resource = field(1, field(1, key_value))
    decoders = both(
        [field(1, resource + field(2, b"".join(field(2, one) for one in [span, *odd]))), field(1, resource + resource)]
    )
    for decoder in decoders:
        assert found(decoder, (SPAN, 0x2A, None)) == [field(5, b"name"), FIELD_MANY, *[field(5, b"name")] * 2]
        assert found(decoder, (SPAN, 0x4A, b"k")) == [*[field(9, key_value)] * 2, FIELD_MANY, FIELD_MANY]
        assert found(decoder, (RESOURCE, 0x0A, b"k")) == [field(1, key_value), FIELD_MANY]


@pytest.mark.skipif(not DATA, reason=NO_DATA)
@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_rows_of_recorded_traces_are_what_the_messages_say(path: Path) -> None:
    messages = list(itertools.islice(recorded_messages(path), 40))
    messages = [message for message in messages if len(message) < 300_000 and native.count_spans(message, 0) < 1500]
    sections, decoder = sections_of(messages), native.Decoder(PRESET)
    decoder.read(sections, sum(map(len, messages)))
    assert list(map(meaning, rebuilt(decoder))) == list(map(meaning, messages))
