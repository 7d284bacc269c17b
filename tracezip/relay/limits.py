"""The limits and defaults of the relay's servers; those of messages and streams are in tracezip/live/limits.py."""

from __future__ import annotations

AGENT_ADDRESS = "127.0.0.1:4318"
AGENT_GRPC_ADDRESS = "127.0.0.1:4317"
GATEWAY_ADDRESS = "127.0.0.1:4319"

N_THREADS = 64
"""Requests that are worked on at a time; the others wait."""
MAX_REQUESTS = 256
"""That are there at a time, whether they are worked on or wait. More are told to come again."""
MAX_CALLS = 1024
"""Of gRPC at a time; it refuses more in a way that clients take for final, so that MAX_REQUESTS must come first."""
MAX_HELD_BYTES = 256 << 20
"""Of all requests that are there: bodies as they came, and messages as they are decoded."""
JSON_EXPANSION = 10
"""The memory that JSON takes while it is parsed, in multiples of its text."""
MAX_JSON_BYTES = 16 << 20
"""Of a JSON document; protobuf messages may be as large as tracezip/live/limits.py says."""
STREAM_EXPANSION = 4
"""The memory that the body of a request of a stream takes while it is decoded, in multiples of itself."""
STEP_BYTES = 1 << 20
"""A body is decompressed in steps of this size."""
MAX_TOKEN_BYTES = 4096

HEAD_SECONDS = 30.0
"""The time in which the head of the first request of a connection must have come in."""
BODY_SECONDS = 30.0
"""The time in which a request must have come in completely."""
ACCEPT_SECONDS = 5.0
"""So long an agent lets a client wait for the delivery, then it spools. Clients give up after 10 seconds."""
FORWARD_SECONDS = 8.0
"""So long a gateway waits for its backend."""
KEEP_ALIVE_SECONDS = 75.0
"""So long a connection may be without a request."""
AWAY_SECONDS = 5.0
"""After which a client may come again when the archive or the backend behind the gateway fails."""
DRAIN_SECONDS = 30.0
"""The default of --drain-timeout."""
CLOSE_SECONDS = 0.25
"""So long of that each of the two steps may take that end connections."""
CHORE_SECONDS = 5.0
"""Between two looks for archives that are old, and for streams and connections that are idle."""
N_ARCHIVED = 4096
"""Messages that an archive has and the backend has not yet; of older ones it is forgotten."""
