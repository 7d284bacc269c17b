"""Numbers of the entropy coder: FORMAT.md's examples, and every length and sign of a number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from archives import field
from backends import BACKENDS, running

import tracezip
from tracezip.reference.coder import Coder, CoderReader, CoderWriter
from tracezip.reference.contexts import MASK64, Context, code_number, code_small

Code = Callable[[Coder, Context, int], int]
LENGTHS = [sign * (1 << n) + near for n in range(64) for sign in (1, -1) for near in (-1, 0, 1)]


def section_of(code: Code, numbers: Sequence[int]) -> bytes:
    writer, context = CoderWriter(), Context(16)
    for number in numbers:
        code(writer, context, number)
    return writer.end()


@pytest.mark.parametrize(
    ("code", "numbers", "example"),
    [
        (code_number, [300], "2C 28"),
        (code_number, [300, 2**64 - 300, 1, 0], "EC 2F 90 20 5B 5B"),
        (code_number, [5, 2**40, 2**64 - 2**40], "74 8E FA C1 00 40 00 00 80 20"),
        (code_small, [0, 3, 20, 0], "4F 86 FC 05"),
    ],
)
def test_the_examples_of_the_specification_hold(code: Code, numbers: list[int], example: str) -> None:
    assert section_of(code, numbers) == bytes.fromhex(example)


def test_a_number_of_any_length_and_sign_comes_back() -> None:
    numbers = [number & MASK64 for number in LENGTHS]
    reader, context = CoderReader(section_of(code_number, numbers)), Context(16)
    assert [code_number(reader, context, 0) for _ in numbers] == numbers
    assert reader.is_used_up


def test_both_backends_tell_a_duration_of_any_length_and_sign_alike() -> None:
    spans = [
        field(1, bytes(15) + b"\x01") + field(2, struct.pack(">Q", i + 1)) + b"\x39" + struct.pack("<Q", 2**62)
        + b"\x41" + struct.pack("<Q", 2**62 + length & MASK64)
        for i, length in enumerate(LENGTHS)
    ]  # fmt: skip
    message = field(1, field(2, b"".join(field(2, span) for span in spans)))
    archives = []
    for backend in BACKENDS:
        with running(backend):
            archives.append(tracezip.compress(message))
            assert tracezip.decompress(archives[-1]) == message
    assert archives[0] == archives[1]
