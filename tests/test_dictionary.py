"""Dictionaries: small messages become smaller and stay exact, and the wrong one is never used."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from backends import BACKENDS, running
from otlp_maker import Maker

import tracezip
from benchmarks.data import SAMPLES, join_spans, read_file, spans_of
from tracezip import limits
from tracezip.dictionary import Dictionary, train_dictionary


def single_traces() -> list[bytes]:
    """A message for each trace of the sample."""
    traces: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
    for message in read_file(SAMPLES / "astronomy.otlp").messages:
        for span in spans_of(message):
            traces.setdefault(span[2][2:18], []).append(span)
    return [join_spans(spans) for spans in traces.values()]


TRACES = single_traces()
SAMPLE, OTHERS = TRACES[::2], TRACES[1::2][:40]


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return train_dictionary(SAMPLE)


def test_small_messages_take_a_third_and_come_back(dictionary: Dictionary) -> None:
    without, with_it = 0, 0
    for message in OTHERS:
        blob = tracezip.compress(message, dictionary=dictionary)
        assert tracezip.decompress(blob, dictionary=dictionary) == message
        without += len(tracezip.compress(message))
        with_it += len(blob)
    assert with_it < without / 3


def test_both_backends_write_the_same_with_a_dictionary(dictionary: Dictionary) -> None:
    blobs = {}
    for backend in BACKENDS:
        with running(backend):
            same = train_dictionary(SAMPLE)
            assert same.data == dictionary.data
            blobs[backend] = [tracezip.compress(message, dictionary=same) for message in OTHERS[:8]]
            assert [tracezip.decompress(blob, dictionary=same) for blob in blobs[backend]] == OTHERS[:8]
    assert blobs["native"] == blobs["reference"]


@pytest.mark.parametrize("seed", range(12))
def test_any_messages_come_back_with_a_dictionary_of_any_others(seed: int) -> None:
    maker = Maker(seed, oddity=5)
    samples, messages = ([maker.message() for _ in range(6)] for _ in range(2))
    blobs = {}
    for backend in BACKENDS:
        with running(backend):
            try:
                learned = train_dictionary(samples)
            except tracezip.InputError:
                return  # no spans in any of them
            blobs[backend] = [tracezip.compress(message, dictionary=learned) for message in messages]
            assert [tracezip.decompress(blob, dictionary=learned) for blob in blobs[backend]] == messages
    assert blobs["native"] == blobs["reference"]


def test_streams_and_files_begin_with_a_dictionary(dictionary: Dictionary) -> None:
    compressor, decompressor = (
        tracezip.Compressor(dictionary=dictionary),
        tracezip.Decompressor(dictionary=dictionary),
    )
    frames = [compressor.compress(message) for message in OTHERS[:5]]
    assert [decompressor.decompress(frame) for frame in frames] == OTHERS[:5]
    file = io.BytesIO()
    with tracezip.open(file, "wb", dictionary=dictionary, threads=2) as writer:
        for message in OTHERS:
            writer.write(message)
            writer.flush()
    assert list(tracezip.open(io.BytesIO(file.getvalue()), dictionary=dictionary)) == OTHERS


def test_a_threshold_and_a_level_are_free_to_differ_from_those_of_the_training(dictionary: Dictionary) -> None:
    for level, threshold in ((1, 1), (9, 5)):
        blob = tracezip.compress(OTHERS[0], level, dictionary_threshold=threshold, dictionary=dictionary)
        assert tracezip.decompress(blob, dictionary=dictionary) == OTHERS[0]


def test_a_dictionary_is_kept_as_bytes(dictionary: Dictionary) -> None:
    again = Dictionary(bytearray(dictionary.data))
    assert again.id == dictionary.id
    assert tracezip.compress(OTHERS[0], dictionary=again) == tracezip.compress(OTHERS[0], dictionary=dictionary)


def test_without_its_dictionary_or_with_another_one_nothing_is_decoded(dictionary: Dictionary) -> None:
    blob = tracezip.compress(OTHERS[0], dictionary=dictionary)
    other = train_dictionary(SAMPLE[:20])
    with pytest.raises(tracezip.UnsupportedError, match=dictionary.id.hex()):
        tracezip.decompress(blob)
    with pytest.raises(tracezip.UnsupportedError, match=other.id.hex()) as caught:
        tracezip.decompress(blob, dictionary=other)
    assert caught.value.code == "dictionary"


def test_what_needs_no_dictionary_can_be_read_with_one(dictionary: Dictionary) -> None:
    assert tracezip.decompress(tracezip.compress(OTHERS[0]), dictionary=dictionary) == OTHERS[0]


def test_streams_with_and_without_a_dictionary_can_be_joined(dictionary: Dictionary) -> None:
    blobs = [tracezip.compress(OTHERS[0], dictionary=dictionary), tracezip.compress(OTHERS[1])]
    assert tracezip.decompress(b"".join(blobs), dictionary=dictionary) == b"".join(OTHERS[:2])
    assert tracezip.decompress(b"".join(blobs[::-1]), dictionary=dictionary) == b"".join(OTHERS[1::-1])


@pytest.mark.parametrize("data", [b"", b"junk", tracezip.compress(TRACES[0])[:-9], tracezip.compress(TRACES[0]) * 2])
def test_what_is_no_dictionary_is_refused(data: bytes) -> None:
    with pytest.raises(tracezip.InputError, match="not a dictionary"):
        Dictionary(data)


def test_a_file_of_several_restart_groups_is_no_dictionary() -> None:
    file = io.BytesIO()
    with tracezip.open(file, "wb") as writer:
        for message in TRACES[:2]:
            writer.write(message)
            writer.flush()
    with pytest.raises(tracezip.InputError, match="more than one restart group"):
        Dictionary(file.getvalue())


def test_a_dictionary_that_would_be_written_otherwise_today_is_for_reading_only(dictionary: Dictionary) -> None:
    blob = tracezip.compress(OTHERS[0], dictionary=dictionary)
    old = Dictionary(dictionary.data)
    with (
        mock.patch.object(limits, "DEFAULT_DICTIONARY_THRESHOLD", 40),
        pytest.raises(tracezip.InputError, match="another version"),
    ):
        tracezip.compress(OTHERS[0], dictionary=old)
    assert tracezip.decompress(blob, dictionary=old) == OTHERS[0]


def test_samples_without_spans_teach_nothing() -> None:
    with pytest.raises(tracezip.InputError, match="no spans"):
        train_dictionary([b"", b""])


def test_no_more_is_learned_than_asked_for() -> None:
    small = train_dictionary(SAMPLE, max_spans=50)
    assert 25 <= sum(1 for _ in spans_of(tracezip.decompress(small.data))) <= 50
    with pytest.raises(tracezip.InputError, match="max_spans"):
        train_dictionary(SAMPLE, max_spans=0)


def test_a_sample_with_too_many_spans_is_taken_apart() -> None:
    learned = train_dictionary([b"".join(TRACES)], max_spans=100)
    assert 50 <= sum(1 for _ in spans_of(tracezip.decompress(learned.data))) <= 100


def test_threads_share_a_dictionary(dictionary: Dictionary) -> None:
    fresh = Dictionary(dictionary.data)

    def there_and_back(message: bytes) -> bytes:
        return tracezip.decompress(tracezip.compress(message, dictionary=fresh), dictionary=fresh)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(there_and_back, OTHERS * 5)) == OTHERS * 5
