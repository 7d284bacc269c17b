"""What the servers for HTTP and gRPC have in common: who may come in, and how the work on a request is done."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.live.limits import BUSY_SECONDS
from tracezip.live.receiving import Answer
from tracezip.live.stats import Stats
from tracezip.relay import limits
from tracezip.relay.answers import RejectionError, rejection_of, success
from tracezip.relay.bodies import Message, read_message
from tracezip.relay.budget import Budget, Share

_T = TypeVar("_T")


class Service(Protocol):
    """An agent or a gateway. Its methods block; those that take messages are called by many threads at a time."""

    stats: Stats

    @property
    def n_streams(self) -> int:
        """That come in."""

    def take(self, message: Message) -> Delivered:
        """Takes a message for good. Raises TryLater or Refused."""

    def receive(self, stream_id: bytes, body: bytes) -> Answer | None:
        """The answer to a request of a stream; None where streams are not taken."""

    def do_chores(self) -> None:
        """What is due every few seconds."""

    def close(self, timeout: float) -> bool:
        """Ends all; False if something that was acknowledged is lost."""


class Intake:
    """Lets requests in, as many as there is room for, and has a service work on them in threads."""

    def __init__(self, service: Service, token: str | None) -> None:
        self.service = service
        self.is_draining = False
        self._budget = Budget(limits.MAX_REQUESTS, limits.MAX_HELD_BYTES)
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._idle = asyncio.Event()
        self._idle.set()
        self._threads = ThreadPoolExecutor(limits.N_THREADS, "tracezip-relay")

    def check_token(self, authorization: str | None) -> None:
        """Of the header Authorization. Raises RejectionError."""
        if self._authorization is None:
            return
        given = (authorization or "").encode("utf-8", "surrogateescape")
        scheme, _, token = given.partition(b" ")
        if not hmac.compare_digest(scheme.capitalize() + b" " + token.strip(), self._authorization):
            raise RejectionError(401, "the bearer token is missing or wrong")

    @contextmanager
    def admit(self) -> Iterator[Share]:
        """The memory that one request may use. Raises RejectionError if it has to come again."""
        if self.is_draining:
            raise RejectionError(503, "the relay is shutting down", BUSY_SECONDS)
        with self._budget.share() as share:
            self._idle.clear()
            try:
                yield share
            finally:
                if self._budget.n_requests == 1:
                    self._idle.set()

    async def drain(self, timeout: float) -> None:
        """Lets nothing more in, and waits for the end of what was begun."""
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    async def export(self, body: bytes, media_type: str, encoding: str, share: Share) -> bytes:
        """The body of the answer to a request of OTLP. Raises RejectionError."""
        return await self.in_thread(lambda: self._export(body, media_type, encoding, share))

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """What the work returns. If the client goes away meanwhile, which gRPC tells, it ends with the work all the
        same: until then the request has its share of memory.
        """
        future = self._threads.submit(work)
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not future.cancel():
                await asyncio.wait([waiting])
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _export(self, body: bytes, media_type: str, encoding: str, share: Share) -> bytes:
        message = read_message(body, media_type, encoding, share)
        if not message.data:
            return success(media_type, Delivered())
        try:
            return success(media_type, self.service.take(message))
        except (TryLater, Refused) as error:
            raise rejection_of(error) from None
