"""JSON read value by value from a stream, so that an array of any length is read with one element in memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from tracezip.convert.schema import MAX_MESSAGE_BYTES
from tracezip.errors import InputError

CHUNK_BYTES = 1 << 16
"""The first step of reading; a value that is longer doubles it until it is there."""
_LONGEST_TOKEN = 16
"""An error so close to the end of what was read may come from the cut: of `false`, of an escape, of a number."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonStream:
    """The JSON document in `source`. Every method raises InputError, with line and column, for what is not JSON."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self._n_bytes = 0
        self._lines_before = 0
        self._columns_before = 0

    def next_character(self) -> str:
        """The first character of what comes next, "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill()

    def value(self) -> Any:
        """The next value, whole."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or self._is_certain(error):
                    raise self._malformed(error.msg, error.pos) from None
            except (RecursionError, ValueError) as error:  # ValueError: an integer of absurd length
                reason = "arrays or objects nested too deep" if isinstance(error, RecursionError) else str(error)
                raise self._malformed(reason, self._at) from None
            else:
                if end < len(self._text) or self._ended:  # else a number may go on
                    self._at = end
                    return value
            self._fill()

    def items(self) -> Iterator[Any]:
        """The elements of the array that comes next."""
        for _ in self._parts("[", "]"):
            yield self.value()

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; the value of each must be read before the next key is."""
        for _ in self._parts("{", "}"):
            if self.next_character() != '"':
                raise self._malformed("Expecting property name enclosed in double quotes", self._at)
            key = self.value()
            self._expect(":")
            yield key

    def end(self) -> None:
        """Checks that nothing follows."""
        if self.next_character():
            raise self._malformed("Extra data", self._at)

    def _parts(self, begin: str, end: str) -> Iterator[None]:
        self._expect(begin)
        if self.next_character() == end:
            self._at += 1
            return
        while True:
            yield
            if self._expect(",", end) == end:
                return

    def _expect(self, *characters: str) -> str:
        character = self.next_character()
        if character not in characters:
            raise self._malformed(f"Expecting {' or '.join(map(repr, characters))}", self._at)
        self._at += 1
        return character

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Whether more text cannot make this right. An unterminated string has its error at its start."""
        return not error.msg.startswith("Unterminated") and error.pos < len(self._text) - _LONGEST_TOKEN

    def _fill(self) -> None:
        """Forgets what was read, and reads as much again as is left, so that a long value takes linear time."""
        self._forget()
        chunk = self._source.read(max(CHUNK_BYTES, len(self._text)))
        self._ended = not chunk
        try:
            self._text += self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            offset = self._n_bytes + error.start
            raise InputError(f"not JSON: not UTF-8 near byte {offset}", offset=offset) from None
        self._n_bytes += len(chunk)
        if len(self._text) > MAX_MESSAGE_BYTES:
            raise self._malformed(f"a value of more than {MAX_MESSAGE_BYTES} characters", 0)

    def _forget(self) -> None:
        read = self._text[: self._at]
        n_lines = read.count("\n")
        self._lines_before += n_lines
        self._columns_before = len(read) - read.rfind("\n") - 1 if n_lines else self._columns_before + len(read)
        self._text = self._text[self._at :]
        self._at = 0

    def _malformed(self, what: str, at: int) -> InputError:
        self._at = at
        self._forget()
        place = f"line {self._lines_before + 1}, column {self._columns_before + 1}"
        return InputError(f"not JSON: {what} at {place}; the file is damaged or cut off")
