"""Snapshots as they leave the process."""

import zlib
from datetime import datetime, timezone

import numpy as np
import pytest

from otel_ml import record, semconv
from otel_ml.recording import queue as queue_module
from otel_ml.recording import slots as slots_module
from otel_ml.recording import worker as worker_module
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.packages import packages_digest
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch.feature import FeatureRole, ModelKey
from otel_ml.testing import captured_telemetry


def test_a_snapshot_is_an_event_with_its_bytes_in_an_attribute():
    """Name, severity, time, a sentence for people, and what a processor needs."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, 2.0, model="m", version="3")

        (event,) = telemetry.events(semconv.EVENT_SKETCH_SNAPSHOT)

    attributes = dict(event.attributes)
    payload = attributes.pop("ml.sketch.payload")
    assert isinstance(payload, bytes)
    assert attributes == {
        "ml.model.name": "m",
        "ml.model.version": "3",
        "ml.sketch.encoding": "otel_ml.v1.Snapshot",
        "ml.sketch.checksum": zlib.crc32(payload),
        "ml.sketch.sequence": 1,
        "ml.sketch.rows": 1,
        "ml.runtime.packages.digest": packages_digest(),
    }
    assert event.severity_number.value == 9
    assert event.body == "1 rows of model m"
    assert event.timestamp > 0


def test_one_snapshot_per_model_and_version():
    """Each with its own rows, numbered within the process."""
    with captured_telemetry() as telemetry:
        for name, version, rows in (("a", "1", 3), ("a", "2", 4), ("b", None, 5)):
            for _ in range(rows):
                record({"x": 1.0}, model=name, version=version)

        snapshots = telemetry.snapshots()

    assert {(*snapshot.model, snapshot.rows) for snapshot in snapshots} == {("a", "1", 3), ("a", "2", 4), ("b", "", 5)}
    assert sorted(snapshot.sequence for snapshot in snapshots) == [1, 2, 3]
    assert len({snapshot.producer_id for snapshot in snapshots}) == 1


def test_snapshots_are_deltas_within_their_interval():
    """Consecutive ones share no moment and no row, and stay inside the aligned interval."""
    hour = 3_600_000_000_000
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, model="m")
        get_recorder().flush()
        record({"a": 2.0}, model="m")

        first, second = telemetry.snapshots()

    assert (first.rows, second.rows) == (1, 1)
    assert first.start_time_unix_nano < first.end_time_unix_nano <= second.start_time_unix_nano
    assert first.start_time_unix_nano // hour == (second.end_time_unix_nano - 1) // hour


def test_intervals_end_on_multiples_of_the_wall_clock():
    """So that a processor's windows hold whole snapshots, of all replicas alike."""
    with captured_telemetry(export_interval_ms=100) as telemetry:
        record({"a": 1.0}, model="m")
        for _ in range(200):
            if telemetry.log_exporter.get_finished_logs():
                break
            worker_module.time.sleep(0.01)

        snapshot = telemetry.snapshots()[0]

    assert snapshot.end_time_unix_nano % 100_000_000 == 0
    assert snapshot.start_time_unix_nano % 100_000_000 == 0


def test_nothing_is_sent_when_nothing_happened():
    """Idle models are silent."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, model="m")
        assert len(telemetry.snapshots()) == 1

        get_recorder().flush()

        assert len(telemetry.snapshots()) == 1


def test_a_large_snapshot_is_split_by_feature():
    """Each part under the limit with a sequence of its own; the rows are stated once."""
    rng = np.random.default_rng(0)
    with captured_telemetry() as telemetry:
        record(rng.normal(size=(3_000, 400)), model="wide")

        events = telemetry.events(semconv.EVENT_SKETCH_SNAPSHOT)
        snapshots = telemetry.snapshots()

    assert len(snapshots) > 1
    assert all(len(event.attributes[semconv.SKETCH_PAYLOAD]) <= 512 * 1024 for event in events)
    assert sum(snapshot.rows for snapshot in snapshots) == 3_000
    assert len({summary.key for snapshot in snapshots for summary in snapshot.features}) == 400
    assert [snapshot.sequence for snapshot in snapshots] == list(range(1, len(snapshots) + 1))


def test_rows_with_a_time_belong_to_the_interval_of_that_time():
    """A backfill is filed where it happened."""
    with captured_telemetry() as telemetry:
        then = datetime(2026, 3, 1, 10, 30, tzinfo=timezone.utc)
        for minutes in range(120):
            record({"a": 1.0}, model="m", timestamp=then.timestamp() + 60 * minutes)
        record({"a": 1.0}, model="m", timestamp=then)

        snapshots = telemetry.snapshots()

    starts = {datetime.fromtimestamp(s.start_time_unix_nano / 1e9, timezone.utc).hour: s.rows for s in snapshots}
    assert starts == {10: 31, 11: 60, 12: 30}


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), -5.0, "yesterday", 1e300])
def test_an_impossible_time_is_now_or_a_counted_failure(timestamp):
    """It costs nobody anything."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, model="m", timestamp=timestamp)
        record({"a": 1.0}, model="m")

        assert sum(snapshot.rows for snapshot in telemetry.snapshots()) >= 1


def test_rows_let_go_are_reported_with_the_model(monkeypatch):
    """In the next snapshot and as a metric, by reason."""
    with captured_telemetry(queue_size=5) as telemetry:
        get_recorder().submit(Inference(ModelInfo(ModelKey("m")), "predict", None))  # starts the worker
        monkeypatch.setattr(worker_module, "_IDLE_S", 1.0)
        get_recorder().flush()
        queue = get_recorder().queue
        monkeypatch.setattr(type(queue), "take", lambda *_: [])
        for _ in range(20):
            record({"a": 1.0}, model="m")
        monkeypatch.undo()

        snapshots = telemetry.snapshots()
        points = telemetry.points("ml.inference.dropped", {"ml.drop.reason": queue_module.QUEUE_FULL})

    assert sum(snapshot.rows for snapshot in snapshots) == 5
    assert sum(snapshot.dropped_rows for snapshot in snapshots) == 15
    assert [point.value for point in points] == [15]


def test_models_beyond_the_bound_are_counted(monkeypatch):
    """A program that makes up model names cannot fill the memory."""
    monkeypatch.setattr(slots_module, "MAX_MODELS", 3)
    with captured_telemetry() as telemetry:
        for index in range(10):
            record({"a": 1.0}, model=f"m{index}")

        snapshots = telemetry.snapshots()
        points = telemetry.points("ml.inference.dropped", {"ml.drop.reason": worker_module.MAX_MODELS_REASON})

    assert len(snapshots) == 3
    assert [point.value for point in points] == [7]


def test_everything_the_metrics_say_the_snapshot_says():
    """Both come from the same drain."""
    values = np.random.default_rng(1).normal(size=(5_000, 2))
    with captured_telemetry() as telemetry:
        record(values, values[:, 0], model="m")
        points = telemetry.points("ml.feature.value")

        (snapshot,) = telemetry.snapshots()

    of_features = [summary for summary in snapshot.features if summary.key.role is FeatureRole.FEATURE]
    assert sorted(point.count for point in points) == sorted(summary.content.moments.count for summary in of_features)
    assert snapshot.rows == 5_000
