"""What a client of OTLP is told: success, partial success, or a google.rpc.Status, in protobuf or JSON.

Source: "OTLP/HTTP Response" and "OTLP/gRPC Throttling" of the OTLP specification; google/rpc/status.proto and
error_details.proto.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tracezip.live.errors import Delivered, Refused, TryLater
from tracezip.relay import limits
from tracezip.varint import pack_varint

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED = 3, 8, 12, 14, 16
DEADLINE_EXCEEDED, UNKNOWN = 4, 2
_CODES = {
    400: INVALID_ARGUMENT,
    401: UNAUTHENTICATED,
    404: UNIMPLEMENTED,
    405: UNIMPLEMENTED,
    408: DEADLINE_EXCEEDED,
    413: RESOURCE_EXHAUSTED,
    415: INVALID_ARGUMENT,
    429: RESOURCE_EXHAUSTED,
    503: UNAVAILABLE,
}
_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


class RejectionError(Exception):
    """A request is not taken. `status` is HTTP's; `seconds` is set if it may come again, after that time."""

    def __init__(self, status: int, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.seconds = seconds

    @property
    def code(self) -> int:
        """The status of gRPC."""
        return _CODES.get(self.status, UNKNOWN)


def rejection_of(error: TryLater | Refused) -> RejectionError:
    """What the client is told when its message is not delivered."""
    if isinstance(error, Refused):
        return RejectionError(400, error.why)
    return RejectionError(503, error.why, limits.AWAY_SECONDS if error.seconds is None else error.seconds)


def success(media_type: str, delivered: Delivered) -> bytes:
    """An ExportTraceServiceResponse. It says something only if the backend did not take all spans, or warns."""
    n_rejected, message = delivered.rejected_spans, delivered.message
    if media_type == JSON:
        partial: dict[str, Any] = {"rejectedSpans": str(n_rejected)} if n_rejected else {}
        partial |= {"errorMessage": message} if message else {}
        return json.dumps({"partialSuccess": partial} if partial else {}).encode()
    inside = _number(1, n_rejected) + _text(2, message)
    return _bytes(1, inside) if inside else b""


def failure(media_type: str, rejection: RejectionError) -> bytes:
    """The google.rpc.Status of a rejection."""
    if media_type == JSON:
        return json.dumps({"code": rejection.code, "message": rejection.why}).encode()
    status = _number(1, rejection.code) + _text(2, rejection.why)
    if rejection.seconds is None:
        return status
    delay = _number(1, whole_seconds(rejection.seconds))
    return status + _bytes(3, _bytes(1, _RETRY_INFO) + _bytes(2, _bytes(1, delay)))


def whole_seconds(seconds: float) -> int:
    """As Retry-After has them."""
    return max(1, math.ceil(seconds))


def _number(number: int, value: int) -> bytes:
    return pack_varint(number << 3) + pack_varint(value) if value else b""


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode("utf-8", "replace")) if value else b""


def _bytes(number: int, value: bytes) -> bytes:
    return pack_varint(number << 3 | 2) + pack_varint(len(value)) + value
