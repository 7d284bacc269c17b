"""The relay's HTTP server: OTLP/HTTP, streams, health and metrics."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import ClientError, web

from tracezip.errors import FormatError
from tracezip.live import protocol
from tracezip.live.limits import MAX_BODY_BYTES
from tracezip.live.receiving import Answer
from tracezip.relay import limits
from tracezip.relay.answers import JSON, PROTOBUF, RejectionError, failure, whole_seconds
from tracezip.relay.bodies import ENCODINGS
from tracezip.relay.budget import Share
from tracezip.relay.connections import Connections
from tracezip.relay.intake import Intake
from tracezip.relay.metrics import Metrics

TRACES_PATH = "/v1/traces"
HEALTH_PATH = "/healthz"
METRICS_PATH = "/metrics"
_VERSION = {protocol.VERSION_HEADER: str(protocol.VERSION)}
_log = logging.getLogger("tracezip.relay")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """The handlers, around an intake."""

    def __init__(self, intake: Intake, *, takes_streams: bool) -> None:
        self._intake = intake
        self._takes_streams = takes_streams
        self._metrics = Metrics(intake.service)
        self.connections = Connections()
        self.app = web.Application(middlewares=[self._guard])
        self.app.router.add_post(TRACES_PATH, self._export)
        self.app.router.add_get(HEALTH_PATH, self._health)
        self.app.router.add_get(METRICS_PATH, self._show_metrics)
        if takes_streams:
            self.app.router.add_post(protocol.PATH + "{stream}", self._receive)

    def runner(self) -> web.AppRunner:
        """It leaves bodies as they come, so that their size is checked while they are decompressed."""
        return web.AppRunner(
            self.app,
            access_log=None,
            auto_decompress=False,
            handle_signals=False,
            keepalive_timeout=limits.KEEP_ALIVE_SECONDS,
            shutdown_timeout=limits.CLOSE_SECONDS,
        )

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Asks for the token, and gives each rejection the form that the client understands."""
        with self.connections.request(request.protocol):
            return await self._guarded(request, handler)

    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            if request.path != HEALTH_PATH:
                self._intake.check_token(request.headers.get("Authorization"))
            return await handler(request)
        except RejectionError as rejection:
            return self._rejected(request, rejection)
        except web.HTTPException as problem:  # of the router: 404 and 405
            response = self._rejected(request, RejectionError(problem.status, f"{problem.reason}: {request.method}"))
            if "Allow" in problem.headers:
                response.headers["Allow"] = problem.headers["Allow"]
            return response
        except (ClientError, web.RequestPayloadError, ConnectionError) as problem:
            return self._rejected(request, RejectionError(400, f"the body did not come in whole: {problem}"))
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return self._rejected(request, RejectionError(500, "an error in the relay; its log says more"))

    def _rejected(self, request: web.Request, rejection: RejectionError) -> web.Response:
        """In the form of the answers that the client expects there. Who takes no streams does not say a version."""
        if self._takes_streams and request.path.startswith(protocol.PATH):
            response = _of_stream(Answer(rejection.status, {"error": rejection.why}, {}))
        else:
            media_type = PROTOBUF if request.content_type == PROTOBUF else JSON
            response = web.Response(
                status=rejection.status, body=failure(media_type, rejection), content_type=media_type
            )
        if rejection.seconds is not None:
            response.headers["Retry-After"] = str(whole_seconds(rejection.seconds))
        if rejection.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if rejection.status in (408, 413):
            response.force_close()  # nobody reads the rest of the body
        return response

    async def _export(self, request: web.Request) -> web.StreamResponse:
        media_type = request.content_type
        if media_type not in (PROTOBUF, JSON):
            raise RejectionError(415, f"the Content-Type is {media_type}, it must be {PROTOBUF} or {JSON}")
        encoding = request.headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding not in ENCODINGS:
            raise RejectionError(415, f"the Content-Encoding is {encoding}, it must be one of {', '.join(ENCODINGS)}")
        with self._intake.admit() as share:
            body = await read_body(request, share)
            answer = await self._intake.export(body, media_type, encoding, share)
        return web.Response(body=answer, content_type=media_type)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != protocol.CONTENT_TYPE:
            raise RejectionError(415, f"the Content-Type is {request.content_type}, it must be {protocol.CONTENT_TYPE}")
        try:
            stream_id = protocol.parse_stream_id(request.match_info["stream"])
        except FormatError as problem:
            raise RejectionError(400, str(problem)) from None
        with self._intake.admit() as share:
            body = await read_body(request, share)
            share.take(len(body) * (limits.STREAM_EXPANSION - 1))
            answer = await self._intake.in_thread(lambda: self._intake.service.receive(stream_id, body))
        assert answer is not None  # there is no route to a service that takes none
        return _of_stream(answer)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        if self._intake.is_draining:
            return web.Response(status=503, text="draining\n")
        return web.Response(text="ok\n")

    async def _show_metrics(self, request: web.Request) -> web.StreamResponse:
        content, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"Content-Type": content_type})


async def read_body(request: web.Request, share: Share) -> bytes:
    """The body as it comes. Raises RejectionError if it is too large or too slow."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    body = io.BytesIO()  # which gives its bytes out without a copy
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            async for piece in request.content.iter_any():
                if body.tell() + len(piece) > MAX_BODY_BYTES:
                    raise _too_large()
                share.take(len(piece))
                body.write(piece)
    except TimeoutError:
        raise RejectionError(408, f"the body did not come in within {limits.BODY_SECONDS:.0f} s") from None
    return body.getvalue()


def _too_large() -> RejectionError:
    return RejectionError(413, f"the body has more than {MAX_BODY_BYTES} bytes; send smaller batches")


def _of_stream(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        body=json.dumps(answer.body).encode(),
        content_type=JSON,
        headers={**_VERSION, **answer.headers},
    )
