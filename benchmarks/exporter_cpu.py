"""What a span costs an application until its bytes can be sent: tracezip beside OpenTelemetry's own OTLP/HTTP exporter.

``python -m benchmarks.exporter_cpu``: batches of 512 `ReadableSpan`s, what a BatchSpanProcessor exports at a time, of a
recorded file and of a small instrumented web application. The stock exporter runs as it is, with gzip, down to the call
that would send; ours is `encode_spans` and the exporter's stream at its default level, told each time that the batch
has arrived. CPU time of this process; all by turns, so that they meet the same moments of the machine, and the
fastest of several turns of each. Before anything is timed, the bytes are decoded and compared.
"""

from __future__ import annotations

import argparse
import gc
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.data import BATCH_SPANS, children, file_name, find_files, read_file, spans_of
from benchmarks.measure import NotExactError, time_once
from benchmarks.report import RESULTS, machine, write_csv
from benchmarks.report_tables import table
from tracezip.convert.sdk import encode_spans

FILE = "astronomy"
N_REQUESTS = 8_000
TURNS = 7
RESOURCE, SCOPE, SCHEMA_URL = 1, 1, 3  # fields of ResourceSpans and ScopeSpans
HEADER = ("spans of", "", "CPU µs/span", "× stock", "bytes/span")

Batches = list[Sequence[Any]]


@dataclass(frozen=True)
class ExporterCost:
    """One way for all batches of one source. CPU seconds, and bytes to be sent, without HTTP's headers."""

    source: str
    way: str
    n_spans: int
    batch_spans: int
    cpu_s: float
    sent_bytes: int

    @property
    def us_per_span(self) -> float:
        return self.cpu_s * 1e6 / self.n_spans


# --- spans ------------------------------------------------------------------------------------------------------------


def batches_of_file(name: str) -> Batches:
    from tracezip.convert.to_sdk import readable_span

    paths = {file_name(path): path for path in find_files()}
    if name not in paths:
        raise SystemExit(f"benchmarks: no file {name}; there are: {', '.join(paths) or 'none'}")
    spans = [
        readable_span(span, *head(resource, RESOURCE), *head(scope, SCOPE))
        for message in read_file(paths[name]).messages
        for resource, scope, span in spans_of(message)
    ]
    return in_batches(spans)


def head(message: bytes, number: int) -> tuple[bytes, bytes]:
    """The resource or scope of the rest of a ResourceSpans or ScopeSpans message, and its schema URL."""
    return b"".join(children(message, number)[0]), b"".join(children(message, SCHEMA_URL)[0])


def batches_of_app() -> Batches:
    from benchmarks import web_app

    return in_batches(web_app.spans_of(N_REQUESTS))


def in_batches(spans: list[Any]) -> Batches:
    return [spans[at : at + BATCH_SPANS] for at in range(0, len(spans), BATCH_SPANS)]


# --- ways -------------------------------------------------------------------------------------------------------------


class Stock:
    """OpenTelemetry's exporter, with a session that keeps what should be sent."""

    def __init__(self) -> None:
        import requests
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        answer = requests.Response()
        answer.status_code = 200
        self.sent: list[bytes] = []
        sent = self.sent

        class Session(requests.Session):
            def request(self, *_: Any, data: Any = None, **__: Any) -> requests.Response:
                sent.append(data)
                return answer

        self._exporter = OTLPSpanExporter("http://localhost/v1/traces", compression=Compression.Gzip, session=Session())

    def run(self, batches: Batches) -> list[bytes]:
        self.sent.clear()
        for batch in batches:
            self._exporter.export(batch)
        return self.sent


def encoded(batches: Batches) -> list[bytes]:
    return [encode_spans(batch) for batch in batches]


def tracezip_bodies(batches: Batches) -> list[bytes]:
    from tracezip.live.sending import SendingStream

    stream, bodies = SendingStream(), []
    for batch in batches:
        bodies.append(stream.frame(encode_spans(batch)))
        stream.acknowledged()
    return bodies


def ways() -> dict[str, Callable[[Batches], list[bytes]]]:
    return {"stock, gzip": Stock().run, "tracezip": tracezip_bodies, "tracezip, encode_spans alone": encoded}


def check(source: str, batches: Batches) -> None:
    """Both send the same spans, and ours are what `encode_spans` made of them."""
    import tracezip
    from tracezip.live import protocol

    decompressor, stock = tracezip.Decompressor(), Stock().run(batches)
    for batch, ours, theirs in zip(batches, tracezip_bodies(batches), stock, strict=True):
        message = decompressor.decompress(protocol.unpack(ours).frames)
        if message != encode_spans(batch) or ids_of(message) != ids_of(gzip.decompress(theirs)):
            raise NotExactError(f"the exporters do not send the same spans of {source}")


def ids_of(message: bytes) -> list[bytes]:
    """Trace ids and span ids, which stand first."""
    return sorted(span[:28] for _, _, span in spans_of(message))


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(source: str, batches: Batches, turns: int) -> list[ExporterCost]:
    check(source, batches)
    n_spans = sum(map(len, batches))
    best: dict[str, tuple[float, int]] = {}
    by_name = ways()
    for _ in range(turns):
        for name, run in by_name.items():
            sent, seconds = without_collector(partial(run, batches))
            best[name] = min(best.get(name, (seconds, 0))[0], seconds), sum(map(len, sent))
    return [ExporterCost(source, name, n_spans, BATCH_SPANS, *cost) for name, cost in best.items()]


def without_collector(run: Callable[[], list[bytes]]) -> tuple[list[bytes], float]:
    """It would go through all the spans that wait here, which no application keeps."""
    gc.collect()
    gc.disable()
    try:
        return time_once(run)
    finally:
        gc.enable()


def rows(costs: list[ExporterCost]) -> Iterator[list[str]]:
    for cost in costs:
        stock = next(one for one in costs if one.source == cost.source)
        numbers = (
            f"{cost.us_per_span:.2f}",
            f"{cost.cpu_s / stock.cpu_s:.3f}",
            f"{cost.sent_bytes / cost.n_spans:.1f}",
        )
        yield [f"{cost.source} ({cost.n_spans:,})", cost.way, *numbers]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporter_cpu", description=__doc__)
    parser.add_argument("file", nargs="?", default=FILE, help=f"name of a file in TRACEZIP_DATA; default: {FILE}")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"best of so many; default: {TURNS}")
    arguments = parser.parse_args()
    costs = measure(arguments.file, batches_of_file(arguments.file), arguments.turns)
    costs += measure("web application", batches_of_app(), arguments.turns)
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print("", table(HEADER, rows(costs)), sep="\n")
    RESULTS.mkdir(exist_ok=True)
    write_csv([asdict(cost) for cost in costs], RESULTS / "exporter-cpu.csv")


if __name__ == "__main__":
    main()
