"""tracezip.IdGenerator: uniform ids, others in each thread and forked child, that cost an archive almost nothing."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

import tracezip

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the OpenTelemetry SDK is not installed")


class Random(tracezip.IdGenerator):
    """Ids that nothing foretells, as the SDK's own are not: after a thousand spans its MT19937 is known."""

    def generate_span_id(self) -> int:
        return secrets.randbits(64)

    def generate_trace_id(self) -> int:
        return secrets.randbits(128)


def drawn(generator: tracezip.IdGenerator, n: int) -> list[int]:
    return [generator.generate_span_id() for _ in range(n)]


def test_the_sdk_takes_it_and_spans_have_its_ids() -> None:
    tracer = sdk.TracerProvider(id_generator=tracezip.IdGenerator()).get_tracer("tests")
    with tracer.start_as_current_span("parent") as parent, tracer.start_as_current_span("child") as child:
        one, two = parent.get_span_context(), child.get_span_context()
    assert one.trace_id == two.trace_id
    assert one.is_valid
    assert two.is_valid
    assert one.span_id != two.span_id


def test_an_environment_variable_is_enough() -> None:
    code = (
        "from opentelemetry.sdk._configuration import _get_id_generator, _import_id_generator\n"
        "print(_import_id_generator(_get_id_generator()).__module__)"
    )
    environment = {**os.environ, "OTEL_PYTHON_ID_GENERATOR": "tracezip"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "tracezip.otel.id_generator"


def test_every_bit_is_set_in_half_of_the_ids() -> None:
    n = 4_000
    generator = tracezip.IdGenerator()
    for draw, n_bits in ((generator.generate_span_id, 64), (generator.generate_trace_id, 128)):
        ones = Counter(bit for _ in range(n) for value in [draw()] for bit in range(n_bits) if value >> bit & 1)
        assert all(abs(ones[bit] - n / 2) < 6 * (n / 4) ** 0.5 for bit in range(n_bits))


def test_trace_ids_say_that_they_are_random() -> None:
    assert tracezip.IdGenerator().is_trace_id_random()


def test_threads_draw_different_ids() -> None:
    generator, ids = tracezip.IdGenerator(), []
    threads = [threading.Thread(target=lambda: ids.extend(drawn(generator, 500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 4_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_draws_different_ids() -> None:
    code = (
        "import os, sys, tracezip\n"
        "g = tracezip.IdGenerator(); g.generate_span_id()\n"
        "sys.stdout.flush()\n"
        "child = os.fork()\n"
        "os.write(1, b''.join(b'%d\\n' % g.generate_span_id() for _ in range(100)))\n"
        "child and os.waitpid(child, 0)\n"
    )
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    ids = process.stdout.split()
    assert len(ids) == len(set(ids)) == 200


def test_an_id_costs_less_than_half_a_byte() -> None:
    tracer = sdk.TracerProvider(id_generator=tracezip.IdGenerator()).get_tracer("tests")
    random_tracer = sdk.TracerProvider(id_generator=Random()).get_tracer("tests")

    def size_of(tracer: Any) -> int:
        spans = []
        for _ in range(300):
            with tracer.start_as_current_span("parent") as parent:
                for _ in range(3):
                    spans.append(tracer.start_span("child"))
                    spans[-1].end()
            spans.append(parent)
        return len(tracezip.compress(spans))

    size_of(random_tracer)
    saved = size_of(random_tracer) - size_of(tracer)
    assert saved > 1_200 * 7.5 + 300 * 15
