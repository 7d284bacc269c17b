"""Messages to a receiver of plain OTLP/HTTP."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any, Literal

from tracezip._backend import count_spans
from tracezip.convert.wire import read_varint
from tracezip.errors import TracezipError
from tracezip.live.cutting import halves
from tracezip.live.errors import Delivered, Refused, SetupError, TryLater
from tracezip.live.http import HttpClient, Response, check_endpoint, check_url, shown
from tracezip.live.limits import MAX_OTLP_BYTES, MAX_REASON_CHARS, REQUEST_SECONDS
from tracezip.live.retry import parse_retry_after
from tracezip.walk import fields

PATH = "/v1/traces"
"""Behind the base URL."""
LATER = (429, 502, 503, 504)
"""The statuses after which the same request is worth sending again."""
NOT_ALLOWED = (401, 403)

_GZIP_LEVEL = 6
_TOO_LARGE = b"request body too large"
_SETUP_HINTS = {
    401: "; check the token or the headers",
    403: "; check the token or the headers",
    404: "; check the URL: nothing takes OTLP there",
    405: "; check the URL: nothing takes OTLP there",
}


def traces_url(url: str) -> str:
    """Where the receiver whose base URL this is takes traces; the whole URL is fine, too. Raises InputError."""
    return check_endpoint(url).removesuffix(PATH) + PATH


class OtlpSender:
    """Sends OTLP protobuf messages to one URL, gzipped. Threads may share it.

    A message of more than `max_bytes`, or one that the receiver calls too large, goes in halves, cut between
    spans. If a later half is to be tried again, the next `send` of the message sends the earlier ones a second time.
    """

    def __init__(
        self,
        url: str,
        client: HttpClient,
        *,
        compression: Literal["gzip", "none"] = "gzip",
        max_bytes: int = MAX_OTLP_BYTES,
        deadline: float = REQUEST_SECONDS,
    ) -> None:
        self._url = check_url(url)
        self._client = client
        self._compresses = compression == "gzip"
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._headers = {"Content-Type": "application/x-protobuf"}
        if self._compresses:
            self._headers["Content-Encoding"] = "gzip"

    def send(self, message: bytes, timeout: float | None = None) -> Delivered:
        """What the receiver said of it, in `timeout` seconds (else `deadline`).

        Raises TryLater, Unreachable, and Refused if the receiver will not take any of it.
        """
        until = time.monotonic() + (self._deadline if timeout is None else timeout)
        return self._send(message, until)

    def _send(self, message: bytes, until: float) -> Delivered:
        cut = halves(message) if len(message) > self._max_bytes else None
        if cut is None:
            seconds = until - time.monotonic()
            if seconds <= 0:
                raise TryLater(None, f"{shown(self._url)} took too long for a message in parts")
            body = gzip.compress(message, _GZIP_LEVEL, mtime=0) if self._compresses else message
            response = self._client.post(self._url, body, self._headers, seconds)
            cut = halves(message) if _is_too_large(response) else None
            if cut is None:
                return outcome(response, self._url)
        return self._send_both(cut, until)

    def _send_both(self, cut: tuple[bytes, bytes], until: float) -> Delivered:
        """One half that is refused counts as rejected spans, as long as the other one arrives."""
        n_rejected, texts, refused = 0, [], []
        for half in cut:
            try:
                delivered = self._send(half, until)
            except Refused as error:
                refused.append(error)
                delivered = Delivered(count_spans(half, 0), error.why)
            n_rejected += delivered.rejected_spans
            texts.append(delivered.message)
        if len(refused) == len(cut):
            raise refused[0]
        return Delivered(n_rejected, "; ".join(dict.fromkeys(text for text in texts if text)))


def _is_too_large(response: Response) -> bool:
    """413, or what the Collector answers, with the words of Go's HTTP server."""
    return response.status == 413 or (response.status == 400 and _TOO_LARGE in response.body)


def outcome(response: Response, url: str) -> Delivered:
    """What an answer to an OTLP/HTTP request means. Raises TryLater, SetupError or Refused."""
    status = response.status
    if 200 <= status < 300:
        return _partial_success(response)
    said = _said(response)
    text = f"{shown(url)} answered {status}{f' ({said})' if said else ''}"
    if status in LATER:
        raise TryLater(parse_retry_after(response.headers.get("Retry-After")), text)
    if 300 <= status < 400:
        text += f" and names {response.headers.get('Location', 'no place')}: give the URL that is meant"
    if 300 <= status < 400 or status in _SETUP_HINTS:
        raise SetupError(None, text + _SETUP_HINTS.get(status, ""))
    raise Refused(text)


def _partial_success(response: Response) -> Delivered:
    """What an ExportTraceServiceResponse says; a body that is none says that all is well."""
    try:
        if _is_json(response):
            said = json_object(response.body).get("partialSuccess") or {}
            n_rejected, text = int(said.get("rejectedSpans") or 0), str(said.get("errorMessage") or "")
        else:
            n_rejected, text = _read_partial_success(b"".join(_values(response.body, 0x0A)))
    except (ValueError, AttributeError, TypeError, OverflowError, TracezipError):
        return Delivered()
    return Delivered(max(n_rejected, 0), text[:MAX_REASON_CHARS])


def _read_partial_success(data: bytes) -> tuple[int, str]:
    n_rejected, text = 0, ""
    for tag, _, value, end in fields(data, 0, len(data)):
        if tag == 0x08:
            n_rejected = read_varint(data, value, end)[0]
        elif tag == 0x12:
            text = data[value:end].decode(errors="replace")
    return n_rejected if n_rejected < 1 << 63 else 0, text


def _said(response: Response) -> str:
    """The text of an error: of a google.rpc.Status in protobuf or JSON, of a tracezip server, or plain text."""
    kind = response.headers.get("Content-Type", "")
    text = ""
    if _is_json(response):
        said = json_object(response.body)
        text = str(said.get("message") or said.get("error") or "")
    elif "protobuf" in kind:
        text = b" ".join(_values(response.body, 0x12)).decode(errors="replace")
    elif kind.startswith("text/plain"):
        text = response.body.decode(errors="replace")
    return " ".join(text.split())[:MAX_REASON_CHARS]


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body is in JSON; an empty one if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_json(response: Response) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _values(data: bytes, wanted: int) -> list[bytes]:
    return [data[value:end] for tag, _, value, end in fields(data, 0, len(data)) if tag == wanted]
