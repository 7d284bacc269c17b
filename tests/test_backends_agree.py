"""Both backends are one codec: the same sections, the same messages, the same errors."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest
import zstandard
from archives import field, varint
from hypothesis import example, given, settings
from hypothesis import strategies as st
from otlp_maker import Maker

import tracezip
from tracezip import _native as native
from tracezip import reference
from tracezip.block import SECTIONS
from tracezip.errors import FormatError, LimitError, TracezipError
from tracezip.reference import define
from tracezip.reference import ids as reference_ids

PRESET = resources.files("tracezip").joinpath("_preset.txt").read_bytes().split(b"\n")[:-1]
DATA = sorted(Path(os.environ.get("TRACEZIP_DATA", "/nonexistent")).glob("*.otlp.zst"))
SLICE_BYTES = 150_000
UNITS = (0x0A, 0x12, 0x12)
"""By level: the tag of what a message, resource spans and scope spans consist of."""

seeds = st.integers(0, 2**32)
Part = tuple[bytes, bytes, int, bool]


def plain(*messages: bytes) -> list[Part]:
    return [(message, b"", 0, False) for message in messages]


class Twins:
    """An encoder and a decoder of each backend, for one restart group."""

    def __init__(self, preset: Sequence[bytes] = PRESET, threshold: int = 2) -> None:
        self.encoders = [backend.Encoder(preset, threshold, 3) for backend in (native, reference)]
        self.decoders = [backend.Decoder(preset) for backend in (native, reference)]

    def encode(self, parts: list[Part]) -> tuple[bytes, ...]:
        """The sections of a block, which both must agree on."""
        for part in parts:
            for encoder in self.encoders:
                encoder.add(*part)
        self._same_pending()
        sections, other = [encoder.encode() for encoder in self.encoders]
        assert dict(zip(SECTIONS, sections, strict=True)) == dict(zip(SECTIONS, other, strict=True))
        assert self.encoders[0].statistics() == self.encoders[1].statistics()
        return sections

    def _same_pending(self) -> None:
        one, two = self.encoders
        assert (one.n_rows, one.n_spans, one.n_messages) == (two.n_rows, two.n_spans, two.n_messages)
        assert one.columns() == two.columns()
        assert [one.span(i) for i in range(one.n_spans)] == [two.span(i) for i in range(two.n_spans)]

    def round_trip(self, parts: list[Part]) -> tuple[bytes, ...]:
        sections = self.encode(parts)
        expected = [prefix + message[skip:] for message, prefix, skip, _ in parts]
        for decoder in self.decoders:
            decoded, continues = decoder.decode(sections, sum(map(len, expected)))
            assert decoded == expected
            assert continues == [part[3] for part in parts]
        assert self.decoders[0].statistics() == self.decoders[1].statistics()
        return sections

    def outcomes(self, sections: Sequence[bytes], n_bytes: int) -> list[object]:
        """What each decoder makes of sections: data, or an error."""
        return [outcome(decoder, sections, n_bytes) for decoder in self.decoders]


def outcome(decoder: native.Decoder | reference.Decoder, sections: Sequence[bytes], n_bytes: int) -> object:
    try:
        return decoder.decode(sections, n_bytes)
    except TracezipError as error:
        return type(error), str(error), error.code, error.offset


def blocks_of(maker: Maker) -> Iterator[list[Part]]:
    """Blocks of one restart group, some empty."""
    for _ in range(maker.r.choice([1, 2, 5])):
        yield plain(*(maker.message() for _ in range(maker.r.choice([0, 1, 2, 4, 12]))))


@given(seeds, st.sampled_from([0, 2, 10, 30]), st.integers(0, 4))
@settings(max_examples=120, deadline=None)
def test_same_bytes_for_generated_messages(seed: int, oddity: int, threshold: int) -> None:
    twins = Twins(threshold=threshold)
    for parts in blocks_of(Maker(seed, oddity)):
        twins.round_trip(parts)


@given(st.lists(st.binary(max_size=40), max_size=4))
@example([b""])
@example([b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00"])
@settings(max_examples=80, deadline=None)
def test_same_bytes_for_any_bytes(messages: list[bytes]) -> None:
    twins = Twins([])
    twins.round_trip(plain(*messages))
    twins.round_trip(plain(*(field(1, field(2, field(2, message))) for message in messages)))


@given(seeds, st.binary(max_size=8), st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_too_many_spans_leave_nothing_behind(seed: int, tail: bytes, most_spans: int) -> None:
    twins = Twins()
    for message in [Maker(seed, 5).message() for _ in range(4)]:
        for data in (message, message + tail):
            n_spans = native.count_spans(data, 0)
            added = [encoder.add(data, b"pre", 0, False, most_spans) for encoder in twins.encoders]
            assert added == [n_spans <= most_spans] * 2
            twins._same_pending()
    twins.encode([])


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_same_bytes_for_parts_of_messages(seed: int) -> None:
    maker = Maker(seed, 5)
    parts = []
    for _ in range(4):
        message = maker.message()
        parts.append((message, maker.r.randbytes(3), maker.r.randrange(len(message) + 1), bool(maker.r.randrange(2))))
    Twins().round_trip(parts)


def test_same_bytes_in_a_group_of_300_blocks() -> None:
    twins, maker = Twins(), Maker(1)
    first = field(1, field(2, field(2, field(5, "rare") + b"\x39" + struct.pack("<Q", 10**18))))
    twins.round_trip(plain(first))
    for _ in range(300):
        twins.round_trip(plain(maker.message()))
    twins.round_trip(plain(first[:-8] + struct.pack("<Q", 10**18 + 1)))


def records(kind: str, n_fields: int) -> bytes:
    """A message with a record of so many attributes."""
    attributes = [field(1, b"key %d" % (7919 * i % n_fields)) for i in range(n_fields)]
    if kind == "resource":
        return field(1, field(1, b"".join(field(1, attribute) for attribute in attributes)))
    if kind == "span":
        return field(1, field(2, field(2, b"".join(field(9, attribute) for attribute in attributes))))
    return field(1, field(2, field(2, field(11, b"".join(field(3, attribute) for attribute in attributes)))))


@pytest.mark.parametrize(
    ("kind", "n_fields"),
    [(kind, n + i) for kind, n in (("resource", 250), ("span", 1024), ("event", 64)) for i in (-1, 0, 1, 2, 60)],
)
def test_same_bytes_at_the_limits_of_fields(kind: str, n_fields: int) -> None:
    Twins().round_trip(plain(records(kind, n_fields), records(kind, n_fields)))


def test_same_bytes_beyond_the_reach_of_references() -> None:
    span_ids = [struct.pack(">Q", i) for i in range(1, 600)]
    spans = [field(1, bytes(16)) + field(2, span_id) + field(4, span_ids[-1 - i]) for i, span_id in enumerate(span_ids)]
    Twins().round_trip(plain(field(1, field(2, b"".join(field(2, span) for span in spans)))))


@pytest.mark.slow
def test_same_bytes_when_contexts_are_shared() -> None:
    """So many paths that the room for contexts runs out."""
    r, twins = random.Random(7), Twins()
    n_contexts = []
    for _ in range(6):
        spans = []
        for _ in range(6000):
            value = field(2, b"\x18" + varint(r.getrandbits(40)))
            name = b"%d" % r.randrange(20_000)
            attributes = b"".join(field(9, field(1, key + name) + value) for key in (b"k", b"l", b"m"))
            spans.append(field(2, field(1, r.randbytes(16)) + b"\x39" + r.randbytes(8) + attributes))
        twins.round_trip(plain(field(1, field(2, b"".join(spans)))))
        n_contexts.append(twins.encoders[1].statistics()["contexts"])
    assert n_contexts[5] - n_contexts[4] < 100 < n_contexts[1] - n_contexts[0]


@pytest.mark.parametrize("path", DATA, ids=[path.name.split(".")[0] for path in DATA])
def test_same_bytes_for_recorded_traces(path: Path) -> None:
    twins = Twins()
    for message in recorded(path):
        sections = twins.round_trip(plain(message))
        assert len(sections[SECTIONS.index("prefixes")]) < len(message) / 2


def recorded(path: Path) -> Iterator[bytes]:
    """The first messages of a file; of the last one, the spans that are whole."""
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()))
    data = reader.read(SLICE_BYTES)
    at = 0
    while at + 4 < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield shortened(data[at + 4 : at + 4 + size]) if size > len(data) - at - 4 else data[at + 4 : at + 4 + size]
        at += 4 + size


def shortened(data: bytes, level: int = 0) -> bytes:
    """A message, resource spans or scope spans that was cut off, without its last span, which is not whole."""
    kept, at = b"", 0
    while at < len(data):
        size, after = length_at(data, at + 1)
        if after + size > len(data):
            inner = shortened(data[after:], level + 1) if data[at] == UNITS[level] and level < 2 else b""
            return kept + data[at : at + 1] + varint(len(inner)) + inner if inner else kept
        kept += data[at : after + size]
        at = after + size
    return kept


def length_at(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            break
    return value, at


# --- errors -----------------------------------------------------------------------------------------------------------


def damaged(r: random.Random, sections: Sequence[bytes], names: Sequence[str] = SECTIONS) -> list[bytes]:
    """Sections of which one, of these names, was changed, cut, lengthened, or became noise."""
    result = list(sections)
    i = r.choice([i for i, section in enumerate(sections) if section and SECTIONS[i] in names] or [0])
    data = bytearray(result[i])
    how = r.randrange(6)
    if how < 3 and data:
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    elif how == 3:
        del data[r.randrange(len(data) + 1) :]
    elif how == 4:
        data += r.randbytes(r.randrange(1, 5))
    else:
        data = bytearray(r.randbytes(r.randrange(30)))
    result[i] = bytes(data)
    return result


@given(seeds, st.integers(0, 2**32))
@settings(max_examples=250, deadline=None)
def test_same_errors_for_damaged_sections(seed: int, damage: int) -> None:
    maker, r = Maker(seed, 5), random.Random(damage)
    twins, blocks = Twins(), [plain(*(maker.message() for _ in range(3))) for _ in range(2)]
    n_bytes = [sum(len(part[0]) for part in parts) for parts in blocks]
    sections = [twins.encode(parts) for parts in blocks]
    if r.randrange(2):
        twins.outcomes(sections[0], n_bytes[0])
        sections, n_bytes = sections[1:], n_bytes[1:]
    one, two = twins.outcomes(damaged(r, sections[0]), n_bytes[0])
    assert one == two


GENERATORS = sorted((Path(__file__).parent / "golden" / "good").glob("ids_of_*.tzip"))


@pytest.mark.parametrize("path", GENERATORS, ids=lambda path: path.stem)
def test_same_errors_for_damaged_generators(path: Path) -> None:
    encoder, blocks = native.Encoder(PRESET, 2, 5), []
    for message in tracezip.open(path):
        encoder.add(message, b"", 0, False)
        blocks.append((encoder.encode(), len(message)))
    assert len(blocks[-1][0][SECTIONS.index("ids")]) < 3_000, "no generator was found"
    r, failed = random.Random(path.stem), 0
    for _ in range(40):
        twins, (*whole, (sections, n_bytes)) = Twins(), blocks
        for before in whole:
            twins.outcomes(*before)
        one, two = twins.outcomes(damaged(r, sections, ("tree", "structure", "ids")), n_bytes)
        assert one == two
        failed += isinstance(one, tuple) and isinstance(one[0], type)
    assert failed > 10


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"skip": (1 << 23) + 1}, "limit"),
        ({"skip": 1 << 62}, "limit"),
        ({"skip": (1 << 64) - 1}, "limit"),
        ({"seed": (1 << 31) - 1}, "damaged"),
        ({"seed": (1 << 32) - 1}, "damaged"),
    ],
)
def test_seeds_and_skips_of_go_are_checked(told: dict[str, int], error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code_go = define._code_go
    path = Path(__file__).parent / "golden" / "good" / "ids_of_go.tzip"
    with tracezip.open(path) as file:
        message = next(file)
    with monkeypatch.context() as patch:
        patch.setattr(define, "MAX_SKIPPED", 1 << 64)
        patch.setattr(define, "GO_SEED_MOST", 1 << 32)
        patch.setattr(define, "_code_go", lambda s, kind, given: code_go(s, kind, replace(given, **told)))
        encoder = reference.Encoder(PRESET, 2, 3)
        encoder.add(message, b"", 0, False)
        sections = encoder.encode()
    one, two = Twins().outcomes(sections, len(message))
    assert one == two
    assert isinstance(one, tuple)
    assert one[0] is (LimitError if error == "limit" else FormatError)
    assert "tree" in str(one[1])


def test_a_trace_is_no_nearer_for_going_round_2_to_the_64th(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = b"".join(field(2, field(1, bytes([trace]) * 16)) for trace in (1, 2, 1))
    message = field(1, field(2, spans))
    encoder = reference.Encoder(PRESET, 2, 3)
    with monkeypatch.context() as patch:
        patch.setattr(reference_ids, "_traces_since", lambda *_: (1 << 64) + 1)
        patch.setattr(reference_ids, "_trace_before", lambda s, back: s.last_trace)
        encoder.add(message, b"", 0, False)
        sections = encoder.encode()
    one, two = Twins().outcomes(sections, len(message))
    assert one == two
    assert isinstance(one, tuple)
    assert "structure" in str(one[1])


@given(st.lists(st.binary(max_size=60), min_size=11, max_size=11), st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_same_errors_for_sections_of_noise(sections: list[bytes], n_bytes: int) -> None:
    one, two = Twins().outcomes(sections, n_bytes)
    assert one == two


def test_a_wrong_size_is_the_same_error() -> None:
    twins = Twins()
    sections = twins.encode(plain(Maker(3).message()))
    one, two = twins.outcomes(sections, 1 << 20)
    assert one == two
    assert isinstance(one, tuple)
    assert "size" in one[1]


# --- indexes ----------------------------------------------------------------------------------------------------------


@given(seeds, st.lists(st.integers(0, 400), max_size=4), st.integers(0, 12), st.integers(0, 8), st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_same_filter_of_trace_ids(seed: int, sizes: list[int], high_bits: int, low_bits: int, place_bits: int) -> None:
    r = random.Random(seed)
    known = [r.getrandbits(64) for _ in range(50)]
    blocks, before = [], 0
    for size in sizes:
        hashes = [r.choice(known) if r.randrange(2) else r.getrandbits(64) >> r.choice([0, 60]) for _ in range(size)]
        rows = [r.randrange(2 * size) for _ in hashes]
        blocks.append((before, struct.pack(f"={size}Q", *hashes), struct.pack(f"={size}I", *rows)))
        before += 2 * size
    one, two = (backend.make_filter(blocks, before, high_bits, low_bits, place_bits) for backend in (native, reference))
    assert one == two


@given(seeds, st.binary(max_size=40), st.integers(0, 40), st.integers(0, 6), st.integers(0, 12), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_same_places_in_filters_and_in_what_is_none(
    seed: int, noise: bytes, n: int, high_bits: int, low_bits: int, place_bits: int
) -> None:
    r = random.Random(seed)
    hashes = [r.getrandbits(64) for _ in range(n)]
    block = (0, struct.pack(f"={n}Q", *hashes), struct.pack(f"={n}I", *range(n)))
    bits = high_bits, low_bits, place_bits
    n_entries, data = native.make_filter([block], n, *bits)
    for some in (data, noise, r.randbytes(len(data))):
        for looked_for in [*hashes, r.getrandbits(64), 0]:
            one, two = (backend.find_in_filter(some, n_entries, *bits, looked_for) for backend in (native, reference))
            assert one == two
    last = {hash_ >> 64 - high_bits - low_bits: row for row, hash_ in enumerate(hashes)}
    for hash_ in hashes:
        row = last[hash_ >> 64 - high_bits - low_bits]
        assert native.find_in_filter(data, n_entries, *bits, hash_) == (row << place_bits) // n + 1


@pytest.mark.parametrize("backend", [native, reference])
def test_a_filter_of_a_span_that_is_not_there_is_refused(backend: ModuleType) -> None:
    with pytest.raises(ValueError, match="span"):
        backend.make_filter([(3, bytes(8), struct.pack("=I", 2))], 5, 1, 2, 0)


@given(seeds, st.integers(0, 300), st.binary(max_size=6), st.integers(0, 50))
@settings(max_examples=80, deadline=None)
def test_same_runs_of_fields(seed: int, most: int, tail: bytes, at: int) -> None:
    data = Maker(seed, 5).message() + tail
    at = min(at, len(data))
    while True:
        one, two = (backend.run_end(data, at, most) for backend in (native, reference))
        assert one == two
        if one == at:
            break
        at = one


# --- which one runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["native", "reference"])
def test_the_environment_names_the_backend_that_runs(name: str) -> None:
    code = "import tracezip, tracezip._backend as b; print(tracezip.backend, b.Encoder.__module__.split('.')[1])"
    environment = {**os.environ, "TRACEZIP_BACKEND": name}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [name, {"native": "_native", "reference": "reference"}[name]]


def test_both_backends_offer_the_same() -> None:
    def public(module: ModuleType | type) -> set[str]:
        return {name for name in vars(module) if not name.startswith("_")}

    assert native.NAME == "native"
    assert reference.NAME == "reference"
    for name in ("Encoder", "Decoder"):
        assert public(getattr(native, name)) == public(getattr(reference, name))
