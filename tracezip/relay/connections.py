"""Connections that wait for a request, and those that have waited long enough."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from tracezip.relay import limits


class Connections:
    """Ends connections whose client sends the head of a request too slowly, or nothing: each costs a file descriptor.

    Not all versions of aiohttp do. To be used by the thread of the event loop.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.BaseProtocol, float] = {}
        """When the time of each is over."""

    @contextmanager
    def request(self, connection: asyncio.BaseProtocol) -> Iterator[None]:
        """Around the work on a request, whose head is there; the time of the next one begins with its end."""
        self._ends[connection] = math.inf
        try:
            yield
        finally:
            self._ends[connection] = asyncio.get_running_loop().time() + limits.KEEP_ALIVE_SECONDS

    def end_late(self, connections: Sequence[web.RequestHandler]) -> None:
        """Of those that are open ends those whose time is over; that of a new one begins when it is first seen here."""
        now = asyncio.get_running_loop().time()
        first = now + limits.HEAD_SECONDS
        self._ends = {connection: self._ends.get(connection, first) for connection in connections}
        for connection in connections:
            if self._ends[connection] <= now:
                connection.force_close()
