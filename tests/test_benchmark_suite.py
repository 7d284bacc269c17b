"""The benchmark suite measures what it says: fresh spans, single traces, memory, its reports, and what it skips."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

import tracezip
from benchmarks import __main__ as program
from benchmarks import ablation, child, edge, figures, fresh, growth, peak, peers, plots, report, single_traces, threads
from benchmarks.ablations import ABLATIONS, Ablation
from benchmarks.codecs import BASELINE, CODECS, Codec
from benchmarks.data import SAMPLES, TraceFile, read_file
from benchmarks.measure import Measurement, NotExactError, measure_prepared

SAMPLE = read_file(SAMPLES / "astronomy.otlp")
SMALL = SAMPLE.prefix(100_000)


def spans(messages: Iterable[bytes]) -> list[Span]:
    return [
        span
        for message in messages
        for resource in TracesData.FromString(message).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def codec(name: str, unit: str) -> Codec:
    return next(codec for codec in CODECS if (codec.name, codec.unit) == (name, unit))


def measurement(name: str, unit: str = "file", **changed: Any) -> Measurement:
    return replace(Measurement("a", name, unit, 500, 50_000, 5_000, 0.5, 0.1, is_prefix=False), **changed)


def a_report() -> report.FileReport:
    made = report.FileReport("a", 1, 500, 50_000, 125_000, id_bytes=1_000)
    made.measurements = [measurement("zstd -3"), measurement("tracezip -3", compress_peak=2_000_000)]
    made.measurements += [measurement("STEF + zstd", "512", parse_s=0.1)]
    made.growth = [growth.Growth("a", "tracezip -3", n, 1, n * 10, n * 1e-6, n * 1e-6, 5, 5) for n in (10, 100)]
    return made


class TestFreshSpans:
    base = tuple(fresh.base_of(SMALL))
    grown = tuple(fresh.grow([*base], 2 * SMALL.n_spans))
    first, second = grown[: len(grown) // 2], grown[len(grown) // 2 :]

    def test_are_as_many_as_asked_for_in_whole_messages(self) -> None:
        assert len(spans(self.grown)) == 2 * SMALL.n_spans
        assert len(list(fresh.grow([*self.base], 1))) == 1

    def test_share_no_id_with_the_file_or_with_each_other(self) -> None:
        ids = [{span.span_id for span in spans(part)} for part in (SMALL.messages, self.first, self.second)]
        assert len(set.union(*ids)) == sum(map(len, ids))

    def test_have_the_parents_that_they_had(self) -> None:
        original, copies = spans(SMALL.messages), spans(self.second)
        renamed = {old.span_id: new.span_id for old, new in zip(original, copies, strict=True)}
        for old, new in zip(original, copies, strict=True):
            assert renamed.get(old.parent_span_id, new.parent_span_id) == new.parent_span_id
            assert bool(old.parent_span_id) == bool(new.parent_span_id)

    def test_come_later_and_last_as_long(self) -> None:
        original, copies = spans(SMALL.messages), spans(self.second)
        shift = fresh.duration_ns([*self.base])
        for old, new in zip(original, copies, strict=True):
            assert new.start_time_unix_nano - old.start_time_unix_nano == shift
            assert new.end_time_unix_nano - old.end_time_unix_nano == shift
        assert min(s.start_time_unix_nano for s in copies) >= max(s.end_time_unix_nano for s in original) - shift

    def test_keep_everything_else(self) -> None:
        for old, new in zip(spans(SMALL.messages), spans(self.first), strict=True):
            assert (old.name, old.kind, len(old.attributes)) == (new.name, new.kind, len(new.attributes))
            assert [pair.key for pair in old.attributes] == [pair.key for pair in new.attributes]

    def test_keep_ids_equal_that_were_equal_and_zero_halves_zero(self) -> None:
        low = bytes(range(1, 9))
        message = TracesData()
        message.resource_spans.add().scope_spans.add().spans.add(trace_id=bytes(8) + low, span_id=low)
        (made,) = spans(list(fresh.grow([fresh.Message.of(message.SerializeToString())], 1)))
        assert made.trace_id == bytes(8) + made.span_id
        assert made.span_id != low

    def test_change_uuids_in_text_and_leave_them_uuids(self) -> None:
        message = TracesData()
        span = message.resource_spans.add().scope_spans.add().spans.add(name="GET", start_time_unix_nano=1)
        uuid = "0b8f3a52-9f31-4c1e-8a44-0123456789ab"
        for _ in range(2):
            span.attributes.add(key="id").value.string_value = f"user {uuid}"
        (made,) = spans(list(fresh.grow([fresh.Message.of(message.SerializeToString())], 1)))
        first, second = (pair.value.string_value for pair in made.attributes)
        assert first == second != f"user {uuid}"
        assert fresh.TEXT_IDS.fullmatch(first.removeprefix("user ").encode())
        assert (first[5 + 14], first[5 + 19]) == ("4", "8")


def test_growth_is_measured_on_what_comes_back() -> None:
    base = fresh.base_of(SMALL)
    for name in growth.CODECS:
        found = growth.one_measurement(base, name, 50)
        assert 50 <= found["n_spans"] <= SMALL.n_spans
        assert 0 < found["stored_bytes"] < found["raw_bytes"]


def test_growth_refuses_a_codec_that_gives_back_something_else() -> None:
    stored = io.BytesIO()
    growth.compress("tracezip -3", iter([b"", b""]), stored)
    for expected in ([b""], [b"", b"", b""], [b"", b"x"]):
        stored.seek(0)
        with pytest.raises(NotExactError):
            growth.decompress("tracezip -3", stored, iter(expected))


def test_single_traces_are_whole_and_not_trained_on() -> None:
    traces, others, n_spans = single_traces.sample(SAMPLE, 1000)
    ids = [{span.trace_id for span in spans([trace])} for trace in traces]
    assert all(len(of_one) == 1 for of_one in ids)
    assert set.union(*ids).isdisjoint(span.trace_id for span in spans(others))
    expected = Counter(span.trace_id for span in spans(SAMPLE.messages))
    assert n_spans == sum(expected[id_] for (id_,) in ids) == len(spans(traces))


def test_single_traces_are_no_more_than_asked_for() -> None:
    assert len(single_traces.sample(SAMPLE, 10)[0]) <= 10


def test_trace_id_is_found_wherever_it_is_written() -> None:
    assert single_traces.trace_id(b"\x2a\x01x\x0a\x10" + bytes(range(16))) == bytes(range(16))


def test_peak_counts_what_was_freed_again() -> None:
    before = peak.reset()
    if before is None:
        pytest.skip("this system does not tell the peak of a process's memory")
    with mmap(-1, 40_000_000) as fresh:  # what malloc gives may have been in use before
        fresh.write(b"\1" * 40_000_000)
    assert 39_000_000 < (peak.since(before) or 0) < 160_000_000


@pytest.mark.parametrize("unit", ["message", "512", "8192"])
def test_a_stream_is_decoded_from_its_beginning(unit: str) -> None:
    name = "tracezip -3, stream"
    measured = codec(name, unit)
    data = measured.prepare(SMALL)
    assert measured.decompress(measured.compress(data)) == data


def test_a_dictionary_is_not_counted() -> None:
    trained = codec("zstd -3, dictionary", "512")
    data = trained.prepare(SAMPLE)
    stored = trained.compress(data)
    assert stored[0] == data.dictionary
    assert trained.stored_bytes(stored) == sum(map(len, stored)) - len(data.dictionary)


def test_a_codec_that_is_not_exact_is_not_timed() -> None:
    broken = Codec("broken", "file", lambda file: [file.stream], lambda parts: parts, lambda parts: [])
    with pytest.raises(NotExactError, match="broken per file"):
        measure_prepared(broken, broken.prepare(SMALL), 1)


def test_a_measurement_in_a_process_of_its_own_is_of_the_same_bytes(tmp_path: Path) -> None:
    found = child.Workshop(SMALL, tmp_path, full=False).measure(BASELINE, 1)
    stored = BASELINE.compress(BASELINE.prepare(SMALL))
    assert (found.stored_bytes, found.n_spans, found.raw_bytes) == (len(stored[0]), SMALL.n_spans, SMALL.n_bytes)
    assert found.compress_s > 0


def test_results_are_written_for_people_and_for_programs(tmp_path: Path) -> None:
    report.write_results([a_report()], ["Skipped: nothing."], tmp_path)
    found = json.loads((tmp_path / "latest.json").read_text())
    assert found["skipped"] == ["Skipped: nothing."]
    assert [m["codec"] for m in found["files"][0]["measurements"]] == ["zstd -3", "tracezip -3", "STEF + zstd"]
    text = (tmp_path / "latest.md").read_text()
    assert "Of tracezip -3's 10.00 bytes per span, 2.00 are its sections `ids` and `binary`" in text
    assert "Skipped: nothing." in text
    with (tmp_path / "measurements.csv").open(newline="") as source:
        rows = list(csv.DictReader(source))
    assert [(row["codec"], row["unit"], row["stored_bytes"]) for row in rows][2] == ("STEF + zstd", "512", "5000")
    assert (tmp_path / "growth.csv").read_text().count("\n") == 3
    assert not (tmp_path / "traces.csv").exists()


def test_readme_gets_the_figures_between_its_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n")
    figures.fill_readme([a_report()], readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{figures.END}\nafter\n")
    assert "old" not in text
    assert "| a    | 500 spans |" in text


def test_plots_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        folder.mkdir()
        plots.draw([a_report()], print, folder)
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(made[0]) == {"size-a.svg", "growth.svg"}
    assert made[0] == made[1]


def test_plots_without_matplotlib_are_skipped_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(plots.importlib.util, "find_spec", lambda name: None)
    plots.draw([a_report()], said.append, tmp_path)
    assert said == ["Skipped: plots, matplotlib is not installed."]


def test_peers_without_go_are_skipped_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    skipped: list[str] = []
    assert program.attempt(peers.build, skipped) is None
    (line,) = skipped
    assert line == "Skipped: STEF and OTel-Arrow could not be built: Go is not installed (1.24 or newer is needed)."


def test_a_peer_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    failing = tmp_path / "peer"
    failing.write_text("#!/bin/sh\necho much; echo 'first' >&2; echo 'peers: refused: too large.' >&2; exit 1\n")
    failing.chmod(0o755)
    found = list(peers.measure_all(failing, SMALL, tmp_path, 1))
    assert len(found) == 9
    assert found[0] == "STEF + zstd per message on astronomy: refused: too large."


def test_a_peers_figures_are_read_as_it_writes_them(tmp_path: Path) -> None:
    written = {
        "codec": "stef", "n_spans": SMALL.n_spans, "stored_bytes": 7, "unmarshal_s": 0.25, "encode_s": 0.5,
        "decode_s": 0.125, "compress_peak_bytes": 3, "decompress_peak_bytes": 4,
    }  # fmt: skip
    found = peers.measurement(SMALL, "512", written)
    assert (found.codec, found.unit, found.compress_s, found.parse_s) == ("STEF + zstd", "512", 0.75, 0.25)
    with pytest.raises(peers.PeerError, match="took 1 of"):
        peers.measurement(SMALL, "512", written | {"n_spans": 1})


def test_the_program_for_the_peers_is_built_anew_when_its_sources_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "SOURCE", tmp_path)
    (tmp_path / "main.go").write_text("package main")
    before = peers.fingerprint()
    (tmp_path / "main.go").write_text("package main // changed")
    assert peers.fingerprint() != before


def test_versions_of_the_peers_are_named() -> None:
    assert set(peers.versions()) == {"STEF", "OTel-Arrow"}


def test_threads_are_measured_beside_those_of_zstd() -> None:
    found = list(threads.measure_threads(SMALL, 1))
    assert [speedup.codec for speedup in found] == ["zstd -3", "tracezip -3"]
    assert found[1].one_bytes == found[1].two_bytes


def test_no_codec_is_measured_twice() -> None:
    assert len({(codec.name, codec.unit) for codec in CODECS}) == len(CODECS)


def test_batches_of_every_size_hold_all_spans() -> None:
    for unit in ("message", "512", "8192"):
        assert len(spans(peers.batches_of(SAMPLE, unit))) == SAMPLE.n_spans
    assert len(TraceFile("a", SAMPLE.messages).large_batches) == 1


@pytest.mark.parametrize("source", ["otlp", "spans"])
def test_edge_sends_below_a_limit_what_its_receiver_gets(source: str, tmp_path: Path) -> None:
    batches, frames = tmp_path / "batches", tmp_path / "frames"
    edge.write_frames(batches, iter(SAMPLE.batches[:2]))
    sent = edge.send(source, "4MB", str(batches), str(frames))
    assert 0 < sent.stored_bytes == frames.stat().st_size
    assert 0 < sent.memory < 4_000_000
    if source == "otlp":
        assert 0 < edge.receive(str(frames), str(batches)).memory < 4_000_000


@pytest.mark.parametrize("left_out", ABLATIONS, ids=lambda left_out: left_out.idea)
def test_each_idea_can_still_be_left_out(left_out: Ablation, tmp_path: Path) -> None:
    path = tmp_path / left_out.file
    path.parent.mkdir()
    before = (child.ROOT / left_out.file).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    left_out.apply(tmp_path)
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(ValueError, match="0 times"):
        left_out.apply(tmp_path)


def test_ids_cost_little_where_a_generator_foretells_them() -> None:
    archive = child.ROOT / "tests/golden/good/ids_of_java.tzip"
    found = child.run_module("benchmarks.id_costs", "--read", str(archive))
    bytes_each = {(what, told): bits / 8 / n for what, told, n, bits in found}
    assert bytes_each["span ids", "splitmix"] < 2 < 8 < bytes_each["states", "splitmix"]
    n_spans = sum(record.count("span_id") for record in map(str, spans(tracezip.open(archive))))
    assert sum(n for what, _, n, _ in found if what == "span ids") == n_spans


def test_what_an_idea_saves_is_told_beside_what_all_of_them_cost() -> None:
    idea = ABLATIONS[0].idea
    text = ablation.report([ablation.Size("one", "", 10, 100), ablation.Size("one", idea, 10, 125)])
    assert re.search(r"^\| nothing +\| +\| 10\.00 \| +\+0\.0% \|$", text, re.M)
    assert re.search(rf"^\| {idea} +\| csrc/plan_ids\.h +\| 12\.50 \| \+25\.0% \|$", text, re.M)
