"""Ids from a sequence that begins at random, and that an archive stores in a fraction of a byte instead of eight."""

from __future__ import annotations

import os
import threading

try:
    from opentelemetry.sdk.trace.id_generator import IdGenerator as _SdkIdGenerator
except ImportError as error:
    raise ImportError("tracezip.IdGenerator needs the OpenTelemetry SDK: pip install 'tracezip[otel]'") from error

_MASK64 = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15

_n_forks = 0
"""How often this process, or one that it was forked from, was forked: a child must not go on where its parent is."""


def _count_fork() -> None:
    global _n_forks
    _n_forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class _Sequence(threading.local):
    """Where a thread is in its own sequence."""

    state = 0
    n_forks = -1


class IdGenerator(_SdkIdGenerator):
    """An id generator for the OpenTelemetry SDK: `TracerProvider(id_generator=tracezip.IdGenerator())`.

    With the entry point `tracezip` it needs no code: OTEL_PYTHON_ID_GENERATOR=tracezip.

    Each thread of each process draws from a SplitMix64 sequence of its own (G. Steele, D. Lea, C. Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014), whose beginning are 64 bits from `os.urandom`; a forked
    child begins anew. No id comes twice from one sequence, and each bit is uniform, so that samplers may rely on it;
    but a trace id has the 64 bits of its sequence to be unlike others, not 128: of K sequences of L ids some two
    overlap with a probability of about K² × L / 2^64 (10^6 threads of 10^6 ids each: one in 18). Ids of other
    generators are not affected. As with the SDK's own generator, whoever sees ids can foretell later ones: they are no
    secrets.
    """

    def __init__(self) -> None:
        self._sequence = _Sequence()

    def generate_span_id(self) -> int:
        """64 bits, not 0."""
        return self._draw()

    def generate_trace_id(self) -> int:
        """128 bits, neither half 0."""
        return self._draw() << 64 | self._draw()

    def is_trace_id_random(self) -> bool:
        return True

    def _draw(self) -> int:
        sequence = self._sequence
        if sequence.n_forks != _n_forks:
            sequence.state, sequence.n_forks = int.from_bytes(os.urandom(8), "big"), _n_forks
        z = sequence.state = sequence.state + _STEP & _MASK64
        z = (z ^ z >> 33) * 0xFF51AFD7ED558CCD & _MASK64
        z = (z ^ z >> 33) * 0xC4CEB9FE1A85EC53 & _MASK64
        return z ^ z >> 33 or self._draw()
