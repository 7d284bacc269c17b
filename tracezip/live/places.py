"""Where spools are when nobody says where."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path


def spool_folder(endpoint: str) -> Path:
    """A folder of this user and endpoint. Raises OSError if it is not, or may not be, this user's alone."""
    top = Path(tempfile.gettempdir()) / f"tracezip-{os.getuid()}"
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = top.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise PermissionError(f"{top} is not a folder of this user alone: remove it, or name another one for the spool")
    return top / "spool" / hashlib.sha256(endpoint.encode()).hexdigest()[:16]


def prepared(folder: Path) -> Path:
    """The folder, which is there now. Raises OSError if this user cannot make files in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"this user may not make files in {folder}")
    return folder
