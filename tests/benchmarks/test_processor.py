"""The benchmark of the processor: what its generator sends is merged, what its sink is told it does, and it runs."""

import math
import sqlite3
from contextlib import closing

import pytest

from benchmarks.processor import bodies, pass_through, restart, snapshots, soak
from benchmarks.processor.programs import NoProgramsError, folder_of_programs, generate, running_sink
from benchmarks.processor.servers import Processor, running_processor, wait_until
from otel_ml.sketch.feature import ModelKey


@pytest.mark.slow
def test_every_generated_snapshot_is_merged_once(tmp_path, programs):
    """No producer and number comes twice, and every checksum is right: all rows that were sent are in the window."""
    start = 11 * bodies.SECOND * 160_000_000
    prepared = [bodies.snapshot_body(bodies.snapshot(ModelKey(name, "1"), 5, None, start)) for name in ("a", "b")]
    bodies.write(tmp_path / "bodies", prepared)

    with (
        running_sink() as sink,
        running_processor(Processor(tmp_path, sink.otlp, drift={"window": "11s", "lateness": "3s"})) as server,
    ):
        load = generate(server.target, tmp_path / "bodies", requests=300, producers=7)
        state = tmp_path / "store" / "state.db"
        wait_until(lambda: len(rows_by_model(state)) == 2, 30, lambda: f"windows: {rows_by_model(state)}")

    assert load.acked == 300
    assert load.refused == {}
    assert rows_by_model(state) == {"a": 150 * bodies.ROWS, "b": 150 * bodies.ROWS}


@pytest.mark.slow
def test_the_sink_counts_and_misbehaves_as_told(tmp_path, programs):
    """Refused is not counted, forgotten is, and whoever is down answers nothing until it is up again."""
    bodies.write(tmp_path / "bodies", [bodies.logs_body(10)])

    def send():
        return generate(sink.otlp, tmp_path / "bodies", requests=2, connections=1, streams=1)

    with running_sink() as sink:
        accepted = send()
        sink.behave("unavailable")
        refused = send()
        sink.behave("forgetful")
        forgotten = send()
        sink.behave("down")
        gone = send()
        sink.behave("ok")
        back = send()
        counts = sink.counts()

    assert (accepted.acked, back.acked) == (2, 2)
    assert refused.refused == forgotten.refused == gone.refused == {"Unavailable": 2}
    assert counts["items"] == {"logs": 60}
    assert counts["refused"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (
            snapshots,
            {"processor.snapshots.cpu", "processor.snapshots.half_load.p99", "processor.snapshots.2_models.cpu"},
        ),
        (pass_through, {"processor.pass_through.100_records.otel_ml.cpu"}),
        (restart, {"processor.restart.empty", "processor.restart.full"}),
        (soak, {"processor.memory.growth", "processor.memory.most"}),
    ],
    ids=["snapshots", "pass_through", "restart", "soak"],
)
def test_the_quickest_run_has_its_figures(monkeypatch, programs, part, wanted):
    """Costs, latency, restart and memory are numbers; no timing is judged here."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")
    monkeypatch.setattr(snapshots, "SHAPES", {"2_models": snapshots.Shape(models=2)})
    monkeypatch.setattr(pass_through, "RECORDS", (100,))

    figures = part.measure()

    assert wanted <= set(figures)
    assert all(math.isfinite(figure.value) for figure in figures.values())


@pytest.fixture(scope="module")
def programs():
    try:
        return folder_of_programs()
    except NoProgramsError as error:
        pytest.skip(str(error))


def rows_by_model(state):
    try:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT model, rows FROM window JOIN subject ON id = subject").fetchall())
    except sqlite3.OperationalError:
        return {}
