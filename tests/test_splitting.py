"""Messages that are too large are cut into parts whose concatenation is the message, whatever it is."""

from __future__ import annotations

import random

import pytest
from archives import BLOCK, MESSAGES, archive, field, frames, message, read, span, varint
from hypothesis import given, settings
from hypothesis import strategies as st

import tracezip
from tracezip import _backend, limits
from tracezip.split import Part, cut, split, usual_size

SMALL_LIMITS = {
    "PART_BYTES": 400,
    "MAX_PART_BYTES": 900,
    "MAX_GROUP_SPANS": 9,
    "BLOCK_SPANS": 9,
    "BLOCK_BYTES": 1000,
    "MAX_GROUP_BYTES": 3000,
    "MAX_CONTEXT_BYTES": 100,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL_LIMITS.items():
        monkeypatch.setattr(limits, name, value)


def n_spans_of(data: bytes) -> int:
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    parsed = TracesData.FromString(data)
    return sum(len(scope.spans) for resource in parsed.resource_spans for scope in resource.scope_spans)


def parts_of(data: bytes) -> list[Part]:
    """The parts, those with too many spans cut as well, after checking what is true of all of them."""
    size = usual_size()
    parts = [
        smaller
        for part in split(data, size)
        for smaller in ([part] if _backend.count_spans(part.message, 0) <= limits.MAX_GROUP_SPANS else cut(part, size))
    ]
    assert b"".join(part.prefix + part.message[part.skip :] for part in parts) == data
    assert [part.continues for part in parts] == [True] * (len(parts) - 1) + [False]
    for part in parts:
        assert part.n_bytes <= limits.MAX_PART_BYTES + 100
        assert _backend.count_spans(part.message, 0) <= limits.MAX_GROUP_SPANS
    return parts


resource = field(1, field(1, field(1, "service.name") + field(2, field(1, "checkout"))))
scope = field(1, field(1, "library") + field(2, "1.0"))


def test_a_message_that_is_not_large_is_one_part() -> None:
    assert list(split(MESSAGES[0], usual_size())) == [Part(MESSAGES[0])]
    assert list(split(b"", usual_size())) == [Part(b"")]


def test_a_message_is_cut_between_its_resource_spans() -> None:
    parts = parts_of(b"".join(MESSAGES))
    assert len(parts) == 3
    assert all(not part.prefix and not part.skip for part in parts)


def test_resource_spans_with_too_many_spans_are_cut_between_spans_and_repeat_resource_and_scope() -> None:
    data = field(1, resource + field(2, scope + b"".join(field(2, span(i)) for i in range(50))))
    parts = parts_of(data)
    assert len(parts) > 5
    assert sum(n_spans_of(part.message) for part in parts) == 50
    assert all(resource in part.message for part in parts)
    assert all(scope in part.message for part in parts if n_spans_of(part.message))


def test_resource_spans_with_many_scopes_are_cut_between_them() -> None:
    scopes = b"".join(field(2, scope + field(2, span(i))) for i in range(20))
    parts = parts_of(field(1, resource + scopes + field(3, "https://example.org/schema")))
    assert sum(n_spans_of(part.message) for part in parts) == 20
    assert all(resource in part.message for part in parts)


def test_a_large_resource_is_not_repeated() -> None:
    large = field(1, field(1, field(1, "k" * 200)))
    parts = parts_of(field(1, large + field(2, scope + b"".join(field(2, span(i)) for i in range(50)))))
    assert sum(large in part.message for part in parts) <= 1
    assert sum(n_spans_of(part.message) for part in parts) == 50


def test_a_span_that_is_too_large_is_kept_raw_and_those_beside_it_are_not() -> None:
    spans = [field(2, span(1)), field(2, span(2) + field(9, "v" * 2000)), field(2, span(3))]
    parts = parts_of(field(1, resource + field(2, scope + b"".join(spans))))
    assert sum(n_spans_of(part.message) for part in parts) == 2


@given(st.binary(max_size=3000))
def test_garbage_is_cut_anywhere(data: bytes) -> None:
    parts_of(data)


def wire(rng: random.Random, depth: int) -> bytes:
    """Fields as OTLP has them and as nobody would write them: any order, wasteful varints, unknown ones, cut ones."""
    out = b""
    for _ in range(rng.choice([0, 1, 2, 5, 30])):
        inside = (
            wire(rng, depth - 1) if depth else rng.choice([span(rng.randrange(9)), rng.randbytes(rng.randrange(40))])
        )
        out += rng.choice(
            [
                lambda value: field(1, value),
                lambda value: field(2, value),
                lambda value: b"\x92\x00" + varint(len(value)) + value,
                lambda value: b"\x12" + varint(len(value))[:-1] + bytes([varint(len(value))[-1] | 128, 0]) + value,
                lambda value: field(rng.randrange(1, 30), value),
                lambda value: b"\x18\x05" + b"\x21" + bytes(8) + b"\x2d" + bytes(4),
                lambda value: rng.randbytes(2) if rng.random() < 0.1 else b"",
            ]
        )(inside)
    return out


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_wire_is_cut_into_parts_that_are_the_message(seed: int) -> None:
    parts_of(wire(random.Random(seed), 3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_messages_come_back_from_any_number_of_blocks(seed: int) -> None:
    rng = random.Random(seed)
    messages = [wire(rng, 3) for _ in range(3)]
    data = archive(messages, flush=False)
    assert read(data) == (messages, None)
    compressor = tracezip.Compressor()
    frames_of = [*map(compressor.compress, messages)]
    decompressor = tracezip.Decompressor()
    assert [decompressor.decompress(item) for item in frames_of] == messages
    assert tracezip.decompress(b"".join(frames_of) + compressor.finish()) == b"".join(messages)


def test_no_block_goes_over_the_limits() -> None:
    data = archive([message(i, n_spans=n) for i, n in enumerate([1, 8, 2, 40, 9, 3])], flush=False)
    blocks = [part for part in frames(data) if part.kind == BLOCK]
    assert len(blocks) >= 7
    for part in blocks:
        n_spans = part.body[2]
        assert n_spans <= limits.MAX_GROUP_SPANS
