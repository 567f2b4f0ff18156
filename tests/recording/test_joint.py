"""Numeric features of a baseline, looked at together where they are served."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.config import Settings
from otel_ml.recording import guard
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.privacy import PrivacyPolicy
from otel_ml.recording.slots import Slot, Slots
from otel_ml.sketch import codec
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment, Snapshot

KEY = ModelKey("m", "1")
NAMES = ("amount", "income", "age")
MODEL = ModelInfo(KEY, feature_names=NAMES)


def matrix(rows, seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, 3))
    values[:, 1] += values[:, 0]
    values[:, 2] = np.exp(values[:, 2])
    return values


@pytest.fixture(autouse=True)
def no_failure_of_ours():
    """Nothing may have been caught by the last net."""
    guard.reset()
    yield
    assert guard.failures() == {}


@pytest.fixture(scope="module")
def baseline():
    return Baseline.build(dict(zip(NAMES, matrix(2_000, 1).T, strict=True)), model="m", version="1")


def predicted(values, info=MODEL):
    return Inference(info, "predict", values)


def joints(inferences, baseline, **options):
    """Summaries of features together."""
    accumulator = ModelAccumulator(KEY, baseline=baseline, **options)
    accumulator.add(inferences)
    return [column.summary for column in accumulator.drain().columns if column.summary.key.role is FeatureRole.JOINT]


def assert_moments_of(summary, baseline, values):
    expected = EmbeddingSummary()
    expected.update(baseline.joint.layout.standardised(np.asarray(values)))
    assert summary.content.count == expected.count == summary.counters.valid
    np.testing.assert_allclose(summary.content.total, expected.total, atol=1e-9)
    np.testing.assert_allclose(summary.content.products, expected.products, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(summary.content.cubes, expected.cubes, rtol=1e-9, atol=1e-9)
    assert summary.content.fourth == pytest.approx(expected.fourth)


def test_moments_are_those_of_the_rows_as_the_baseline_standardises_them(baseline):
    """However the rows come, and in whatever order their columns stand."""
    values = matrix(3_000, 2)
    frame = pd.DataFrame(values, columns=NAMES)
    ways = {
        "matrix": [predicted(values)],
        "floats": [predicted(values.astype(np.float32).astype(np.float64))],
        "frame": [predicted(frame[["age", "amount", "income"]])],
        "rows": [(MODEL, RECORD, row, None, None) for row in frame.to_dict("records")],
        "columns": [predicted({name: frame[name].tolist() for name in NAMES})],
    }

    found = {way: joints(inferences, baseline) for way, inferences in ways.items()}

    for way, (summary,) in found.items():
        assert summary.key == baseline.joint.layout.key
        assert summary.kind is FeatureKind.EMBEDDING
        assert_moments_of(summary, baseline, values.astype(np.float32) if way == "floats" else values)


def test_numbers_of_other_types_count_as_well(baseline):
    """Single floats, and integers."""
    for values in (matrix(100, 2).astype(np.float32), np.arange(300).reshape(100, 3)):
        (summary,) = joints([predicted(values)], baseline)

        assert_moments_of(summary, baseline, values)


def test_rows_that_lack_a_feature_are_missing(baseline):
    """NaN, infinite, no number, or absent altogether: correlations need all of them."""
    row = {"amount": 1.0, "income": 2.0, "age": 3.0}
    odd = [{**row, "age": value} for value in (None, float("nan"), float("inf"), "old")]
    short = [{"amount": 1.0, "income": 2.0}]

    (summary,) = joints([(MODEL, RECORD, each, None, None) for each in [row, *odd, *short]], baseline)

    assert (summary.counters.rows, summary.counters.missing) == (6, 5)
    assert_moments_of(summary, baseline, [[1.0, 2.0, 3.0]])


def test_other_columns_beside_them_make_no_difference(baseline):
    """Whatever requests hold that the baseline does not know."""
    values = matrix(200, 2)
    frame = pd.DataFrame(values, columns=NAMES).assign(new=1.0, name="x")

    (summary,) = joints([predicted(frame)], baseline)

    assert_moments_of(summary, baseline, values)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(0, 900), min_size=1, max_size=6))
def test_one_replica_or_many_batches_make_no_difference(baseline, seed, cuts):
    """But for the rounding of sums of doubles."""
    values = matrix(900, seed)
    parts = np.split(values, np.sort(cuts))

    (together,) = joints([predicted(values)], baseline)
    (in_batches,) = joints([predicted(part) for part in parts if len(part)], baseline)
    merged = EmbeddingSummary()
    for part in parts:
        for summary in joints([predicted(part)], baseline) if len(part) else ():
            merged.merge(summary.content)

    for found in (in_batches.content, merged):
        assert found.count == together.content.count
        np.testing.assert_allclose(found.products, together.content.products, rtol=1e-9, atol=1e-9)


def test_an_interval_ends_with_a_drain(baseline):
    """Rows are in one snapshot only, and there is none without rows."""
    accumulator = ModelAccumulator(KEY, baseline=baseline)
    counts = []
    for rows in (700, 30, 0):
        if rows:
            accumulator.add([predicted(matrix(rows, rows))])
        columns = [column.summary for column in accumulator.drain().columns]
        counts.append([summary.counters.rows for summary in columns if summary.key.role is FeatureRole.JOINT])

    assert counts == [[700], [30], []]


def test_it_travels(baseline):
    """Moments arrive as floats hold them, and no lengths of vectors with them."""
    (summary,) = joints([predicted(matrix(500, 2))], baseline)
    snapshot = Snapshot(bytes(16), 1, KEY, 1, 2, 500, 0, [summary])

    (found,) = codec.decode(codec.encode(snapshot)).features

    assert found.key == summary.key
    np.testing.assert_allclose(found.content.scatter(), summary.content.scatter(), rtol=1e-5)
    assert found.content.norms.count == 0


def test_without_a_baseline_there_is_none():
    """Nobody knows which features, and in which units."""
    assert joints([predicted(matrix(100, 2))], None) == []


def test_it_can_be_turned_off(baseline):
    """By OTEL_PYTHON_ML_CORRELATIONS."""
    assert joints([predicted(matrix(100, 2))], baseline, correlations=False) == []
    assert not Settings.from_environment({"OTEL_PYTHON_ML_CORRELATIONS": "false"}).correlations


@pytest.mark.parametrize("setting", [{"exclude_features": ("income",)}, {"features": ("amount", "age")}])
def test_a_column_that_may_not_leave_is_in_no_product(baseline, setting):
    """Nor are the others then: the baseline knows them together with it only."""
    privacy = PrivacyPolicy(Settings(**setting))

    assert joints([predicted(matrix(100, 2))], baseline, privacy=privacy) == []


def test_where_values_may_not_leave_a_few_rows_stay(baseline):
    """The sums of one row are the row."""
    privacy = PrivacyPolicy(Settings(sample_values=False))

    few, many = (joints([predicted(matrix(rows, 2))], baseline, privacy=privacy) for rows in (9, 10))

    assert few == []
    assert many[0].counters.rows == 10


def test_segments_have_none(baseline):
    """They are no alarm, and there may be many."""
    slots = Slots(interval_ns=1_000_000_000, max_features=100)
    slots.baselines = {KEY: baseline}
    found = {}
    for slot in (Slot(), Slot(0, Segment("country", "NO"))):
        accumulator = slots.of(KEY, slot)
        accumulator.add([predicted(matrix(100, 2))])
        found[slot] = any(column.summary.key.role is FeatureRole.JOINT for column in accumulator.drain().columns)

    assert list(found.values()) == [True, False]


def test_steps_are_short_however_large_the_batch(baseline):
    """A step for each few hundred rows at least, so that requests can go on in between."""
    accumulator = ModelAccumulator(KEY, baseline=baseline)

    steps = sum(1 for _ in accumulator.steps([predicted(matrix(20_000, 2))]))

    assert steps >= 20_000 / 512
