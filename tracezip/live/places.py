"""Where spools are when nobody says where."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from tracezip.errors import InputError


def spool_folder(endpoint: str) -> Path:
    """A folder of this user alone for what waits for an endpoint. Raises InputError if others could read it."""
    top = Path(tempfile.gettempdir()) / f"tracezip-{os.getuid()}"
    try:
        top.mkdir(mode=0o700, exist_ok=True)
        facts = top.lstat()
    except OSError as error:
        raise InputError(f"cannot make the folder {top} for the spool: {error.strerror}; name another one") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise InputError(f"{top} is not a folder of this user alone: name another one for the spool, or remove it")
    return top / "spool" / hashlib.sha256(endpoint.encode()).hexdigest()[:16]
