"""Golden files: what is on disk is read, by both backends and by a decoder that a stranger wrote from FORMAT.md."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import independent_decoder
import pytest
from archives import Read, read
from backends import BACKENDS, running

import tracezip

GOLDEN = Path(__file__).parent / "golden"
ERRORS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "errors.json").read_text())
"""By file: the error, its code, and its offset."""
WORDS = {
    "FormatError": "(?:format|damaged)",
    "TruncatedError": "truncated",
    "ChecksumError": "checksum",
    "LimitError": "limit",
    "UnsupportedError": "unsupported",
}
"""The errors as FORMAT.md calls them."""

good = pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "good").glob("*.tzip")))
taught = pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "taught").glob("*.tzip")))
refused = pytest.mark.parametrize("name", sorted(ERRORS))
backends = pytest.mark.parametrize("backend", BACKENDS)


def data_of(name: str) -> bytes:
    return (GOLDEN / f"{name}.tzip").read_bytes()


def messages_of(name: str, folder: str = "good") -> list[bytes]:
    """The messages that were recorded beside a good file."""
    source, messages = io.BytesIO((GOLDEN / f"{folder}/{name}.messages").read_bytes()), []
    while size := source.read(4):
        messages.append(source.read(int.from_bytes(size, "big")))
    return messages


@good
@backends
def test_a_good_file_decodes_to_the_recorded_messages(name: str, backend: str) -> None:
    data, messages = data_of(f"good/{name}"), messages_of(name)
    with running(backend):
        assert read(data) == Read(messages, None)
        assert read(data, skip_damage=True) == Read(messages, None)
        assert tracezip.decompress(data) == b"".join(messages)
        facts = tracezip.info(io.BytesIO(data))
    assert facts["complete"]
    assert (facts["messages"], facts["raw_bytes"]) == (len(messages), sum(map(len, messages)))
    assert facts["compressed_bytes"] == sum(facts["bytes_by_part"].values()) == len(data)


@good
def test_a_decoder_written_from_format_md_alone_reads_every_good_file(name: str) -> None:
    assert independent_decoder.decode(data_of(f"good/{name}")) == messages_of(name)


@taught
@backends
def test_a_file_decodes_with_its_dictionary_to_the_recorded_messages(name: str, backend: str) -> None:
    with running(backend):
        dictionary = tracezip.Dictionary(data_of("good/dictionary"))
        assert read(data_of(f"taught/{name}"), dictionary=dictionary) == Read(messages_of(name, "taught"), None)


@taught
def test_a_decoder_written_from_format_md_alone_reads_every_file_with_its_dictionary(name: str) -> None:
    found = independent_decoder.decode(data_of(f"taught/{name}"), dictionary=data_of("good/dictionary"))
    assert found == messages_of(name, "taught")


@refused
@backends
def test_a_bad_file_ends_in_the_recorded_error(name: str, backend: str) -> None:
    with running(backend):
        error = read(data_of(name)).error
    assert error is not None
    assert {"error": type(error).__name__, "code": error.code, "offset": error.offset} == ERRORS[name]


@refused
def test_both_backends_say_the_same_about_a_bad_file_after_the_same_messages(name: str) -> None:
    said = []
    for backend in BACKENDS:
        with running(backend):
            messages, error = read(data_of(name))
            said.append((messages, str(error)))
    assert said[0] == said[1]


@refused
def test_a_decoder_written_from_format_md_alone_refuses_every_bad_file_for_the_same_reason(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{WORDS[ERRORS[name]['error']]}\b.*\b{ERRORS[name]['offset']}\b"):
        independent_decoder.decode(data_of(name))


def test_what_a_newer_version_may_read_is_called_unsupported_and_nothing_else_is() -> None:
    assert {name.partition("/")[0] for name in ERRORS} == {"bad", "unsupported"}
    for name, expected in ERRORS.items():
        assert (expected["error"] == "UnsupportedError") == name.startswith("unsupported/")


def test_every_golden_file_has_a_sentence_and_every_sentence_a_file() -> None:
    on_disk = [path.relative_to(GOLDEN).with_suffix("") for path in GOLDEN.glob("*/*.tzip")]
    sentences = re.findall(r"^\| (\w+) \| [\d,]+ \| [A-Z].*\. \|$", (GOLDEN / "README.md").read_text(), re.MULTILINE)
    assert sorted(sentences) == sorted(path.name for path in on_disk)
    assert {str(path) for path in on_disk if path.parts[0] not in ("good", "taught")} == set(ERRORS)
    assert len(on_disk) >= 24


def test_golden_files_are_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*.tzip")) < 80_000


def test_the_golden_files_use_every_section_and_both_ways_to_store_one() -> None:
    used: set[str] = set()
    for path in (GOLDEN / "good").glob("*.tzip"):
        parts = tracezip.info(path)["bytes_by_part"]
        used |= {part for part, n_bytes in parts.items() if n_bytes}
    from tracezip.block import SECTIONS

    assert set(SECTIONS) <= used
