"""A forked child has the memory of its parent, but none of its threads, and must not touch its files."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Protocol

_log = logging.getLogger(__name__)


class ForkAware(Protocol):
    def after_fork(self) -> None:
        """Called in the child, where no other thread runs; locks may be held by threads that are gone."""


_aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def tell_of_forks(one: ForkAware) -> None:
    """From now on, for as long as it lives, its `after_fork` is called in every forked child."""
    _aware.add(one)


def _tell() -> None:
    for one in list(_aware):
        try:
            one.after_fork()
        except Exception:  # the others would be left with locks that nobody gives back
            _log.exception("%s cannot begin anew in a forked child", type(one).__name__)


os.register_at_fork(after_in_child=_tell)
