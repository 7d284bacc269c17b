"""The relay's gRPC server: OTLP/gRPC on raw bytes, without generated code, and gRPC's own health service."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from tracezip.live.limits import MAX_BODY_BYTES
from tracezip.relay import limits
from tracezip.relay.answers import PROTOBUF, RejectionError, failure
from tracezip.relay.bodies import sniffed_encoding
from tracezip.relay.intake import Intake

TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
HEALTH_SERVICE = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_BODY_BYTES),
    ("grpc.per_message_decompression", 0),  # gRPC itself would decompress without a limit
    ("grpc.so_reuseport", 0),  # an address that is taken is an error
)


class RpcServer:
    """The handlers, around an intake."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=limits.MAX_CALLS)
        self._server.add_generic_rpc_handlers(
            (
                _service(TRACE_SERVICE, "Export", self._export),
                _service(HEALTH_SERVICE, "Check", self._check),
            )
        )

    async def start(self, address: str, certificate: tuple[bytes, bytes] | None) -> int:
        """Listens there, and says at which port. `certificate`: the key and the chain, in PEM.

        Raises RuntimeError if the address cannot be had.
        """
        if certificate is None:
            port: int = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, grpc.ssl_server_credentials([certificate]))
        await self._server.start()
        return port

    async def stop(self, timeout: float) -> None:
        """Accepts nothing more and ends what is there."""
        await self._server.stop(timeout)

    async def _export(self, request: bytes, context: Any) -> bytes:
        try:
            metadata = dict(context.invocation_metadata() or ())
            self._intake.check_token(metadata.get("authorization"))
            with self._intake.admit() as share:
                share.take(len(request))
                return await self._intake.export(request, PROTOBUF, sniffed_encoding(request), share)
        except RejectionError as rejection:
            details = (("grpc-status-details-bin", failure(PROTOBUF, rejection)),)
            await context.abort(_CODES[rejection.code], rejection.why, details)
            raise AssertionError("abort raises") from None

    async def _check(self, _request: bytes, _context: Any) -> bytes:
        return _NOT_SERVING if self._intake.is_draining else _SERVING


def _service(name: str, method: str, handler: Any) -> Any:
    return grpc.method_handlers_generic_handler(name, {method: grpc.unary_unary_rpc_method_handler(handler)})
