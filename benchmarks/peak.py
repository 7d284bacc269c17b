"""The most memory that a process has used since a given moment, from Linux's own counter.

This is the counter behind ``ru_maxrss`` (``VmHWM``). It is read from /proc, because ``ru_maxrss`` of a child begins
with that of the process which started it, and because only this one can be set back.
"""

from __future__ import annotations

import re
from pathlib import Path

PROCESS = Path("/proc/self")


def reset() -> int | None:
    """Forget the peak so far; bytes in use now, None where the system does not say."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return None
    return status_bytes("VmRSS")


def since(before: int | None) -> int | None:
    """Bytes by which the peak has risen over what was in use at ``before``."""
    highest = status_bytes("VmHWM")
    return None if before is None or highest is None else max(highest - before, 0)


def status_bytes(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB$", (PROCESS / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None
