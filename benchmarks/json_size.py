"""How long a file is as OTLP JSON, the encoding that the literature compares with."""

from __future__ import annotations

from benchmarks.data import TraceFile

PREFIX_BYTES = 16 << 20  # of OTLP protobuf; a longer file's JSON is estimated from its beginning unless --full


def json_bytes(file: TraceFile, full: bool) -> int:
    """Bytes of the file's messages as OTLP JSON, in the specification's form, without white space between tokens."""
    from tracezip.convert.otlp_json import to_json

    part = file if full else file.prefix(PREFIX_BYTES)
    n_bytes = sum(len(to_json(message).encode()) for message in part.messages)
    return n_bytes * file.n_bytes // part.n_bytes
