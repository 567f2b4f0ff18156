"""Rows that servers send, from snapshots to an alert that says by which features they tell a window apart."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from otlp_sink import OtlpSink, attributes
from processor_samples import MINUTE, MODEL, SECOND, START, Producer, numeric
from reference_samples import Shelf
from running_service import alerts, gauge, running, until

from collector_processor.processors import checkpoint
from collector_processor.processors.alerts import AlertBook, AlertSettings
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation import CLASSIFIER_DRIFT, WindowEvaluation
from collector_processor.processors.evaluation.classifier import SUBJECT, ClassifierSettings, RowClassifier
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.windows import Window, WindowSettings, WindowStore
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.sketch.row_sample import EVERY_ROW, MAX_ROWS, RowSample, SampledColumn
from otel_ml.sketch.snapshot import Segment

ROWS = 300


def rows_of(seed, correlation, rows=ROWS):
    """Two columns that go along as much as they are told to; each alone is always the same."""
    chance = np.random.default_rng(seed)
    first, second = chance.normal(size=(2, rows))
    return {"a": first, "b": correlation * first + (1 - correlation**2) ** 0.5 * second, "c": chance.normal(size=rows)}


def sample_of(seed, columns, **bounds):
    priorities = np.random.default_rng([99, seed]).integers(EVERY_ROW, size=len(columns["a"]), dtype=np.uint64)
    return RowSample.of(
        priorities, {SampledColumn(name, is_numeric=True): values for name, values in columns.items()}, **bounds
    )


BASELINE = Baseline.build(rows_of(0, 0.95, rows=2_000), model=MODEL.name, version=MODEL.version, sample_rows=ROWS)


def sent(producer, seed, correlation, number=0):
    columns = rows_of(seed, correlation)
    layouts = {key.name: layout for key, layout in BASELINE.layouts.items()}
    summaries = [numeric(name, values, layout=layouts[name]) for name, values in columns.items()]
    snapshot = producer.snapshot(*summaries, rows=ROWS, start=START + number * MINUTE)
    return replace(snapshot, row_sample=sample_of(seed, columns))


async def test_columns_that_no_longer_go_along_are_found_by_their_rows(tmp_path):
    """No column drifts, the alert names the two that do so together, and it resolves with the fix."""
    BASELINE.save(tmp_path / "fraud-3.baseline")
    producer = Producer()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, tmp_path / "fraud-3.baseline") as service:
            for number in range(10):
                await service.snapshots(sent(producer, 10 + number, 0.95 if number < 1 or number > 4 else 0.0, number))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) >= 9, 60.0)
            await until(lambda: sum(alert[1] == CLASSIFIER_DRIFT for alert in alerts(sink)) >= 2, 60.0)

        found = [attributes(record) for record in sink.log_records("ml.alert")]
        told = [event for event in found if event["ml.alert.name"] == CLASSIFIER_DRIFT]
        assert [event["ml.alert.state"] for event in told] == ["firing", "resolved"]
        assert sorted(told[0]["ml.alert.features"]) == ["a", "b"]
        assert "DOMAIN_CLASSIFIER" in told[0]["ml.alert.reason"]
        assert "AUC 0." in told[0]["ml.alert.reason"]
        assert "ml.feature.name" not in told[0]
        assert not [event for event in found if event["ml.alert.name"] == "drift"]
        aucs = gauge(sink, "ml.model.drift.classifier", ml_model_name="fraud")
        assert max(aucs[1:5]) > 0.75
        assert aucs[0] < 0.6
        shares = gauge(sink, "ml.feature.drift.importance", ml_feature_name="a")
        assert shares
        assert all(0.2 < share < 0.8 for share in shares[:3])


def store():
    return WindowStore(WindowSettings(), lambda: 1000.0, lambda: START + 365 * 86_400 * SECOND)


def test_a_window_holds_the_merged_rows_of_its_replicas():
    """At most 2,000, and none of segments, whose rows are in the whole already."""
    windows, samples = store(), []
    for place in range(10):
        producer = Producer(bytes([place]) * 16)
        samples.append(sample_of(place, rows_of(place, 0.0)))
        windows.merge(replace(producer.snapshot(rows=ROWS), row_sample=samples[-1]))
        windows.merge(replace(producer.snapshot(rows=ROWS), row_sample=samples[-1], segment=Segment("country", "NO")))

    by_segment = {window.segment: window for window in windows.close_all()}
    whole = by_segment[None].row_sample
    priorities = sorted(np.concatenate([part.priorities for part in samples]).tolist())
    assert whole.priorities.tolist() == priorities[:MAX_ROWS]
    assert by_segment[Segment("country", "NO")].row_sample is None


def test_a_restart_keeps_the_rows_of_open_windows():
    """And what comes after is merged with them."""
    shelf, before, after = Shelf(), store(), store()
    producer = Producer()
    first, second = (sample_of(seed, rows_of(seed, 0.0)) for seed in (1, 2))
    before.merge(replace(producer.snapshot(numeric("a", [1.0, 2.0])), row_sample=first))
    others = Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 1_000)
    shelf.sections.update(checkpoint.sections(before, *others, 0))

    checkpoint.restore(shelf, after, *others)
    after.merge(replace(producer.snapshot(numeric("a", [3.0])), row_sample=second))

    [window] = after.close_all()
    assert window.row_sample == first.merged(second)
    assert window.rows == 3


def window_of(sample):
    return Window(MODEL, START, START + MINUTE, rows=ROWS, row_sample=sample)


def evaluation(outcome="evaluated"):
    return WindowEvaluation(MODEL, START, START + MINUTE, ROWS, False, outcome)


def judged(sample, *, baseline=BASELINE, outcome="evaluated", telemetry=None, **settings):
    classifier = RowClassifier(
        ClassifierSettings(**settings), lambda _: baseline, Correction(0.05, 1_000), telemetry or SelfTelemetry()
    )
    return classifier.judged(window_of(sample), evaluation(outcome))


def test_a_classification_comes_with_a_check():
    """Its score is the Gini coefficient of the AUC, so that 0 says no drift; its note what people should know."""
    result = judged(sample_of(5, rows_of(5, 0.0)))

    [feature] = result.features
    [check] = feature.checks
    assert feature.key == SUBJECT
    assert (check.name, check.method) == (CLASSIFIER_DRIFT, "domain_classifier")
    assert check.score == pytest.approx(2 * result.classification.auc - 1)
    assert check.threshold == pytest.approx(0.1)
    assert check.breaches(0.05)
    assert check.note.startswith(f"AUC {result.classification.auc:.2f}, by ")


def test_clean_rows_breach_nothing():
    """The rows of the training data themselves, drawn anew."""
    result = judged(sample_of(6, rows_of(6, 0.95)))

    assert not result.features[0].checks[0].breaches(0.05)
    assert result.classification.importances == {}


@pytest.mark.parametrize(
    ("sample", "settings"),
    [
        (None, {}),
        (sample_of(5, rows_of(5, 0.0, rows=99)), {}),
        (sample_of(5, rows_of(5, 0.0)), {"enabled": False}),
        (sample_of(5, rows_of(5, 0.0)), {"min_rows": 301}),
        (sample_of(5, rows_of(5, 0.0)), {"baseline": None}),
        (sample_of(5, rows_of(5, 0.0)), {"outcome": "insufficient_rows"}),
    ],
)
def test_nothing_is_classified_without_rows_enough(sample, settings):
    """The evaluation stays as it was."""
    assert judged(sample, **settings) == evaluation(settings.get("outcome", "evaluated"))


def test_rows_without_a_baseline_to_compare_them_with_are_told_once(caplog):
    """Someone pays for sending rows that nobody looks at."""
    telemetry = SelfTelemetry()
    for _ in range(3):
        judged(sample_of(5, rows_of(5, 0.0)), baseline=replace(BASELINE, row_sample=None), telemetry=telemetry)

    [told] = [record.message for record in caplog.records if "--sample-rows" in record.message]
    assert told.startswith("model fraud: its servers send rows, but its baseline has none to compare them with")


def test_without_scikit_learn_one_line_says_what_to_install(caplog, monkeypatch):
    """Windows are evaluated all the same."""
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    telemetry = SelfTelemetry()
    for _ in range(3):
        assert judged(sample_of(5, rows_of(5, 0.0)), telemetry=telemetry) == evaluation()

    assert len([record for record in caplog.records if "otel-ml[classifier]" in record.message]) == 1
