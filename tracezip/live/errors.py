"""How a delivery ends: each error says whether the same message is worth sending again."""

from __future__ import annotations

from typing import NamedTuple

from tracezip.errors import TracezipError


class Delivered(NamedTuple):
    """What the receiver said of a message that it took; it may have taken only a part of the spans, for good."""

    rejected_spans: int = 0
    message: str = ""


class TryLater(TracezipError):
    """The receiver cannot take the message now: send the same one again, after `seconds` if that is known."""

    code = "try-later"

    def __init__(self, seconds: float | None, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.why = why


class SetupError(TryLater):
    """Nothing will be taken until somebody mends a token, a header or a URL: keep the message, and tell the user."""

    code = "setup"


class Refused(TracezipError):
    """The receiver will never take this message: drop it and count it."""

    code = "refused"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Unreachable(TracezipError):
    """No answer came: whether the message arrived is not known. Send it again later."""

    code = "unreachable"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SpoolFull(TracezipError):
    """The spool has no room for the message: drop it and count it, or wait until something was delivered."""

    code = "spool-full"
