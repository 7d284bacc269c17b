"""The agent: what services beside it send goes to one endpoint, by way of a queue and of a spool."""

from __future__ import annotations

from typing import Protocol

from tracezip.live.delivery import Delivery
from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.live.receiving import Answer
from tracezip.live.retry import Backoff
from tracezip.live.spool import Spool
from tracezip.live.stats import Stats
from tracezip.relay.bodies import Message
from tracezip.relay.limits import ACCEPT_SECONDS


class Deliverer(Protocol):
    def deliver(self, message: bytes, timeout: float) -> Delivered: ...


class Agent:
    """Takes messages for good when they are delivered or in the spool. It has delivery, link and spool to itself."""

    n_streams = 1

    def __init__(
        self, link: Deliverer, spool: Spool | None, stats: Stats, *, backoff: Backoff | None = None
    ) -> None:
        self.stats = stats
        self._outcomes = _Outcomes(link)
        self._delivery = Delivery(self._outcomes, spool, stats=stats, backoff=backoff)

    def take(self, message: Message) -> Delivered:
        with self._outcomes.awaited(message.data) as outcome:
            is_safe = self._delivery.put(message.data, message.n_spans, ACCEPT_SECONDS)
        if outcome.refused is not None:
            raise Refused(outcome.refused.why)
        if not is_safe:
            raise TryLater(None, "the agent can neither deliver nor keep the message now")
        return outcome.delivered

    def receive(self, stream_id: bytes, body: bytes) -> Answer | None:
        return None

    def do_chores(self) -> None:
        pass

    def close(self, timeout: float) -> bool:
        return self._delivery.shutdown(timeout)


class _Outcome:
    """What the next hop said of a message, if it was asked while the client waited."""

    def __init__(self, outcomes: _Outcomes, message: bytes) -> None:
        self._outcomes = outcomes
        self._key = id(message)  # nobody else has it as long as the client waits
        self.delivered = Delivered()
        self.refused: Refused | None = None

    def __enter__(self) -> _Outcome:
        self._outcomes.expected[self._key] = self
        return self

    def __exit__(self, *_: object) -> None:
        del self._outcomes.expected[self._key]


class _Outcomes:
    """A link that also tells those who wait for a message what came of it: a delivery only tells whether it is safe."""

    def __init__(self, link: Deliverer) -> None:
        self._link = link
        self.expected: dict[int, _Outcome] = {}

    def awaited(self, message: bytes) -> _Outcome:
        return _Outcome(self, message)

    def deliver(self, message: bytes, timeout: float) -> Delivered:
        outcome = self.expected.get(id(message))
        try:
            delivered = self._link.deliver(message, timeout)
        except Refused as error:
            if outcome is not None:
                outcome.refused = error
            raise
        if outcome is not None:
            outcome.delivered = delivered
        return delivered
