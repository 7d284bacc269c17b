"""A JSON object of a known form: its values by key, checked, with errors that name the path to what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracezip.convert.json_values import SCALARS, WrongValueError, shown, whole_number
from tracezip.convert.wire import UINT64
from tracezip.errors import InputError

MAX_MICROSECONDS = UINT64 // 1000
"""The latest time that is a number of nanoseconds."""


class JsonObject:
    """A parsed object and the way to it. A value that is null is one that is not there; unknown keys are ignored."""

    __slots__ = ("_key", "_parent", "values")

    def __init__(self, values: object, key: str, parent: JsonObject | None = None) -> None:
        self._key = key
        self._parent = parent
        if not isinstance(values, dict):
            raise InputError(f"{self.path}: an object is needed, not {shown(values)}")
        self.values: dict[str, Any] = values

    @property
    def path(self) -> str:
        return self._key if self._parent is None else f"{self._parent.path}.{self._key}"

    def wrong(self, key: str, needed: str) -> InputError:
        """The error for a value that is not what it must be."""
        return InputError(f"{self.path}.{key}: {needed} is needed, not {shown(self.values.get(key))}")

    def scalar(self, key: str, kind: str) -> Any:
        """A value of a kind of `tracezip.convert.schema`, as lenient as OTLP/JSON is read; there must be one."""
        try:
            return SCALARS[kind](self.values.get(key))
        except WrongValueError as wrong:
            raise InputError(f"{self.path}.{key}: {wrong}") from None

    def text(self, key: str) -> str:
        """A string, "" where there is none."""
        return "" if self.values.get(key) is None else str(self.scalar(key, "string"))

    def integer(self, key: str, high: int = UINT64) -> int:
        """A whole number from 0 to `high`; 0 where there is none."""
        value = self.values.get(key)
        if value is None:
            return 0
        number = whole_number(value)
        if number is None or not 0 <= number <= high:
            raise self.wrong(key, f"a whole number from 0 to {high}")
        return number

    def interval_ns(self, start_key: str, duration_key: str) -> tuple[int, int]:
        """Start and end in nanoseconds of what is a start and a duration in microseconds."""
        start_us = self.integer(start_key, MAX_MICROSECONDS)
        return start_us * 1000, (start_us + self.integer(duration_key, MAX_MICROSECONDS - start_us)) * 1000

    def time_ns(self, key: str) -> int:
        """A time in nanoseconds of what is one in microseconds."""
        return self.integer(key, MAX_MICROSECONDS) * 1000

    def identifier(self, key: str, n_bytes: int) -> bytes:
        """An id in hex, filled with zero bytes in front if it is shorter than `n_bytes`; b"" where there is none."""
        value = self.text(key)
        if not value:
            return b""
        try:
            decoded = bytes.fromhex(value.zfill(len(value) + len(value) % 2))
        except ValueError:
            raise self.wrong(key, "an id in hex") from None
        return decoded.rjust(n_bytes, b"\0")

    def objects(self, key: str) -> Iterator[JsonObject]:
        """The objects of an array; none where there is none."""
        value = self.values.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.wrong(key, "an array")
        for index, item in enumerate(value):
            yield JsonObject(item, f"{key}[{index}]", self)

    def child(self, key: str) -> JsonObject:
        """The object of a key, which is empty where there is none."""
        value = self.values.get(key)
        return JsonObject({} if value is None else value, key, self)
