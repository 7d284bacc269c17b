"""The traces of a sequence of messages, over which their spans are spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count

MAX_BYTES = 1 << 28
"""As much OTLP is kept while waiting for more spans of its traces."""


def gather(
    messages: Iterable[dict[bytes, bytes]], max_bytes: int = MAX_BYTES, given_early: Callable[[], None] = lambda: None
) -> Iterator[bytes]:
    """Each trace as one OTLP message, in the order in which they begin.

    messages: each as one message for each of its traces, by trace id (`tracezip.convert.select.by_trace`).

    In one pass: all is kept until the messages end, so that no trace is given in parts, but at most `max_bytes`. Above
    that, traces are given of which no span has come for longest (and `given_early` is called); if more of such a trace
    comes later, it is given as another part. One trace is kept however large it is.
    """
    parts: dict[bytes, list[bytes]] = {}  # those that had a span most recently last
    n_bytes = 0
    began: dict[bytes, int] = {}
    numbers = count()
    for message in messages:
        for trace_id, part in message.items():
            began.setdefault(trace_id, next(numbers))
            parts[trace_id] = pieces = parts.pop(trace_id, [])
            pieces.append(part)
            n_bytes += len(part)
        while n_bytes > max_bytes and len(parts) > 1:
            oldest = next(iter(parts))
            given_early()
            trace = b"".join(parts.pop(oldest))
            n_bytes -= len(trace)
            del began[oldest]
            yield trace
    for trace_id in sorted(parts, key=began.__getitem__):
        yield b"".join(parts.pop(trace_id))
