"""The options of the exporter: from arguments, which must be right, and from the environment, which may be wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tracezip.errors import InputError
from tracezip.limits import (
    DEFAULT_DICTIONARY_THRESHOLD,
    DEFAULT_LEVEL,
    MAX_DICTIONARY_THRESHOLD,
    MAX_LEVEL,
    MIN_LEVEL,
    MIN_MEMORY_LIMIT,
)
from tracezip.live.archives import Fsync, checked_fsync
from tracezip.live.limits import SPOOL_BYTES
from tracezip.live.places import prepared
from tracezip.options import checked_option, checked_size
from tracezip.otel.misspelt import warn_of_misspelt

_log = logging.getLogger(__name__)

PREFIX = "TRACEZIP_EXPORTER_"
"""Of the variable of each option in OPTIONS; its name in capitals follows."""
_OTLP, _OTLP_TRACES = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"
_OTLP_VARIABLES = {
    "headers": "HEADERS",
    "certificate_file": "CERTIFICATE",
    "client_key_file": "CLIENT_KEY",
    "client_certificate_file": "CLIENT_CERTIFICATE",
}
"""What is told to all OTLP exporters in the same way."""
_DEFAULT_ENDPOINT = "http://localhost:4318"
_MAX_SPANS = 1 << 16
_MAX_SECONDS = 366 * 86400
_MAX_BYTES = 1 << 62
_MAX_DIGITS = 20
_MIN_FILE_BYTES = 1 << 12
_BATCH_MEMORY = 4_000_000
"""That the limit of memory leaves to a batch of ordinary size on its way: OTLP, request, connection and spool."""


class Options(NamedTuple):
    """What the exporter was told, checked. Either `endpoint` or `path` is there, but for what `resolve` says."""

    endpoint: str | None
    traces_url: str | None
    """For plain OTLP, if that is not below the endpoint."""
    headers: Mapping[str, str]
    certificate_file: str | None
    client_key_file: str | None
    client_certificate_file: str | None
    path: str | None
    compression_enabled: bool
    dictionary_threshold: int
    delta_encoding: bool
    batch_size: int
    batch_timeout: float
    level: int | Literal["auto"]
    spool_dir: str | None
    spool_max_bytes: int
    fsync: Fsync
    max_file_bytes: int
    max_file_seconds: float
    memory_limit: int | None
    """Bytes by which the exporter may let the process grow."""

    @property
    def stream_memory(self) -> int | None:
        """The part of it that compression may take."""
        return None if self.memory_limit is None else self.memory_limit - _BATCH_MEMORY


def resolve(given: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Options:
    """The options for the arguments `given`; those that are None come from the environment, or are the defaults.

    Raises InputError for an argument that is wrong. A variable that is wrong is logged and passed over, as by the SDK,
    and so is one that looks like a misspelt one.
    """
    warn_of_misspelt(environment, PREFIX, _variables())
    if given.get("endpoint") is not None and given.get("path") is not None:
        raise InputError(
            "give an endpoint or a path, not both: an exporter has one destination; two exporters can have two",
            code="argument",
        )
    own = {name: _own_option(name, given.get(name), environment) for name in OPTIONS}
    if given.get("endpoint") is not None:
        own["path"] = None
    endpoint, traces_url = _endpoint(given.get("endpoint"), environment) if own["path"] is None else (None, None)
    otlp = {name: _otlp_option(name, given.get(name), environment) for name in _OTLP_VARIABLES}
    return Options(endpoint=endpoint, traces_url=traces_url, **otlp, **own)


def _own_option(name: str, value: Any, environment: Mapping[str, str]) -> Any:
    default, check = OPTIONS[name]
    if value is not None:
        return check(name, value)
    variable = PREFIX + name.upper()
    if text := environment.get(variable, "").strip():
        try:
            return check(variable, text)
        except InputError as error:
            _log.warning("%s; it is passed over%s", error, "" if default is None else f", for the default: {default}")
    return default


def _variables() -> dict[str, str]:
    """By what may be taken for the end of their names, the variables that are read."""
    otlp = {end: _OTLP_TRACES + end for end in ("ENDPOINT", *_OTLP_VARIABLES.values())}
    return otlp | {name.upper(): PREFIX + name.upper() for name in OPTIONS}


def _otlp_option(name: str, value: Any, environment: Mapping[str, str]) -> Any:
    if name != "headers":
        return os.fspath(value) if value is not None else _otlp_variable(_OTLP_VARIABLES[name], environment)
    if value is None:
        return _parse_headers(_otlp_variable("HEADERS", environment) or "")
    try:
        return {str(key): str(text) for key, text in dict(value).items()}
    except (TypeError, ValueError):
        text = f"headers must be a dict of names and values, not a {type(value).__name__}"
        raise InputError(text, code="argument") from None


def _otlp_variable(name: str, environment: Mapping[str, str]) -> str | None:
    return environment.get(_OTLP_TRACES + name, "").strip() or environment.get(_OTLP + name, "").strip() or None


def _parse_headers(text: str) -> dict[str, str]:
    """What cannot be parsed is logged there, and passed over."""
    from opentelemetry.util.re import parse_env_headers

    return dict(parse_env_headers(text, liberal=True))


def _endpoint(given: Any, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The base URL, and the URL for plain OTLP if that is told on its own. It is not checked here."""
    if given is not None:
        return str(given), None
    if url := environment.get(f"{_OTLP_TRACES}ENDPOINT", "").strip():
        return url, url
    return environment.get(f"{_OTLP}ENDPOINT", "").strip() or _DEFAULT_ENDPOINT, None


# --- one check for each kind of option --------------------------------------------------------------------------------


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, str) and not (value.isdecimal() and len(value) <= _MAX_DIGITS):
            raise InputError(f"{name} must be a whole number from {low} to {high}, not {value[:64]!r}", code="argument")
        number = int(value) if isinstance(value, str) else value
        return checked_option(name, number, low, high)

    return check


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _MAX_SECONDS:
        raise InputError(f"{name} must be seconds, from 0 on, not {value!r}", code="argument")
    return seconds


def _size(low: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        return checked_size(name, value, low, _MAX_BYTES)

    return check


def _file_size(name: str, value: Any) -> int:
    n_bytes = checked_size(name, value, 0, _MAX_BYTES)
    if 0 < n_bytes < _MIN_FILE_BYTES:
        raise InputError(f"{name} must be 0, for no limit, or at least {_MIN_FILE_BYTES}, not {value}", code="argument")
    return n_bytes


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise InputError(f"{name} must be true or false, not {value!r}", code="argument")


def _level(name: str, value: Any) -> int | str:
    if isinstance(value, str) and value.lower() == "auto":
        return "auto"
    try:
        return _whole(MIN_LEVEL, MAX_LEVEL)(name, value)
    except InputError:
        text = f"{name} must be auto or a whole number from {MIN_LEVEL} to {MAX_LEVEL}, not {value!r}"
        raise InputError(text, code="argument") from None


def _fsync(name: str, value: Any) -> Fsync:
    try:
        return checked_fsync(value)
    except InputError:
        raise InputError(f"{name} must be always, close or never, not {value!r}", code="argument") from None


def _path(name: str, value: Any) -> str:
    try:
        return os.path.abspath(os.fsdecode(value))  # the process may go to another folder later
    except TypeError:
        raise InputError(f"{name} must be a path, not a {type(value).__name__}", code="argument") from None


def _spool_folder(name: str, value: Any) -> str:
    folder = _path(name, value)
    try:
        prepared(Path(folder))
    except OSError as error:
        raise InputError(f"{name}: cannot use the spool {folder}: {error.strerror or error}", code="argument") from None
    return folder


class _Option(NamedTuple):
    default: Any
    check: Callable[[str, Any], Any]


OPTIONS = {
    "path": _Option(None, _path),
    "compression_enabled": _Option(True, _switch),
    "dictionary_threshold": _Option(DEFAULT_DICTIONARY_THRESHOLD, _whole(1, MAX_DICTIONARY_THRESHOLD)),
    "delta_encoding": _Option(True, _switch),
    "batch_size": _Option(1000, _whole(1, _MAX_SPANS)),
    "batch_timeout": _Option(5.0, _seconds),
    "level": _Option(DEFAULT_LEVEL, _level),
    "spool_dir": _Option(None, _spool_folder),
    "spool_max_bytes": _Option(SPOOL_BYTES, _size(0)),
    "fsync": _Option("close", _fsync),
    "max_file_bytes": _Option(256 << 20, _file_size),
    "max_file_seconds": _Option(0.0, _seconds),
    "memory_limit": _Option(None, _size(_BATCH_MEMORY + MIN_MEMORY_LIMIT)),
}
"""The options that have a variable of their own: default and check."""
