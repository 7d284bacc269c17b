"""What a restart group begins with: the preset strings, and what a dictionary knows. FORMAT.md, "State"."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

from tracezip.container import DICTIONARY_ID_BYTES, checksum_of
from tracezip.errors import UnsupportedError

if TYPE_CHECKING:
    from tracezip._backend import BlockDecoder
    from tracezip.dictionary import Dictionary


@functools.cache
def preset() -> tuple[bytes, ...]:
    """The strings every dictionary begins with, those of format version 1."""
    text = resources.files("tracezip").joinpath("_preset.txt").read_bytes()
    return tuple(text.split(b"\n")[:-1])


def dictionary_id(data: bytes) -> bytes:
    """The bytes that name a dictionary: its checksum, little-endian."""
    return checksum_of(data).to_bytes(DICTIONARY_ID_BYTES, "little")


def decoder_to_begin_like(wanted: bytes | None, dictionary: Dictionary | None) -> BlockDecoder | None:
    """That of the dictionary that a stream names; None if it names none. Raises UnsupportedError if it is not there."""
    if wanted is None:
        return None
    if dictionary is None:
        raise UnsupportedError(
            f"the data was compressed with the dictionary {wanted.hex()}: give it (-D on the command line, "
            "dictionary= in Python)",
            code="dictionary",
        )
    if dictionary.id != wanted:
        raise UnsupportedError(
            f"the data was compressed with the dictionary {wanted.hex()} and not with {dictionary.id.hex()}: "
            "give that one to read the data",
            code="dictionary",
        )
    return dictionary.decoder
