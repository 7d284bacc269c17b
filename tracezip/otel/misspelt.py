"""Variables that nobody reads, since their names are not quite right."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping

_log = logging.getLogger(__name__)

_FAMILY = "TRACEZIP_"
_OTHERS = ("TRACEZIP_BACKEND",)
"""Variables of the family that others read."""
_NEAR = 0.9
"""As similar, from 0 to 1, is a name that is surely meant for another: the rest of the family may be anybody's, such as
what Kubernetes sets for a service of that name."""


def warn_of_misspelt(environment: Mapping[str, str], prefix: str, known: Mapping[str, str]) -> None:
    """Logs each variable that looks like one of the exporter and is none, once in a process.

    known: by what may follow the prefix, or a wrong one, the variable that is read.
    """
    ours = (prefix, f"OTEL_EXPORTER_{_FAMILY}")
    names = {start + rest: variable for rest, variable in known.items() for start in (*ours, _FAMILY)}
    for name in environment:
        if name.startswith((_FAMILY, ours[1])) and name not in {*known.values(), *_OTHERS}:
            _warn(name, _closest(name, names, 0.0 if name.startswith(ours) else _NEAR))


def _closest(name: str, names: Mapping[str, str], cutoff: float) -> str | None:
    import difflib  # here, since hardly anybody needs it

    found = difflib.get_close_matches(name, names, 1, cutoff)
    return names[found[0]] if found else None


@functools.cache
def _warn(name: str, variable: str | None) -> None:
    if variable is not None:
        _log.warning("%s is no variable of the exporter, it is passed over; the closest is %s", name, variable)
