from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from otel_ml.baseline import Baseline
from otel_ml.drift.comparison import distributions
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import ModelKey

ROWS = 2_000


@pytest.fixture
def frame():
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "amount": np.where(random.random(ROWS) < 0.05, np.nan, random.lognormal(size=ROWS)),
            "store": random.integers(0, 50, ROWS),
            "member": random.random(ROWS) < 0.2,
            "country": pd.Series(random.choice(["NZ", "DE", "FR"], ROWS)).mask(random.random(ROWS) < 0.1),
        }
    )


def served(baseline, model, features, predictions, scores):
    accumulator = ModelAccumulator(model.key, baseline=baseline)
    accumulator.add([Inference(model, "predict", features, predictions, scores)])
    return {drained.summary.key: drained.summary for drained in accumulator.drain().columns}


@pytest.mark.parametrize("rows", ["frame", "dicts"])
def test_serving_the_training_data_again_shows_the_training_data(frame, rows):
    """Recording and baseline agree on names, kinds, gaps and counts, so that only a change of the data is one."""
    labels = np.where(frame["amount"].to_numpy() > 1, "high", "low").astype(object)
    probabilities = np.column_stack([np.full(ROWS, 0.25), np.full(ROWS, 0.75)])
    baseline = Baseline.build(frame, model="m", predictions=labels, scores=probabilities, categorical=["store"])
    model = ModelInfo(ModelKey("m"), classes=("high", "low"))
    features = frame if rows == "frame" else frame.astype(object).where(frame.notna(), None).to_dict("records")

    columns = served(baseline, model, features, labels, probabilities)

    assert list(columns) == list(baseline.features)
    for key, summary in columns.items():
        reference = baseline.features[key]
        assert summary.kind is reference.kind
        assert summary.counters == reference.counters
        expected, found = distributions(reference, summary, baseline.layout(key))
        if key in baseline.layouts:
            assert found.cumulative.tolist() == expected.cumulative.tolist()
        else:
            assert found == expected


@pytest.mark.parametrize("rows", ["frame", "dicts"])
def test_serving_texts_moments_and_vectors_again_shows_them_again(rows):
    """Lengths, hours and norms are measured alike on both sides, to the last digit."""
    random = np.random.default_rng(7)
    data = {
        "question": ["why " * int(size) + str(size) for size in random.integers(0, 30, ROWS)],
        "asked": [datetime(2024, 1, 1) + timedelta(seconds=float(at)) for at in random.uniform(0, 1e7, ROWS)],  # noqa: DTZ001 - as pandas has them
        "meaning": random.normal(size=(ROWS, 6)).tolist(),
    }
    for column in data.values():
        column[::50] = [None] * (ROWS // 50)
    baseline = Baseline.build(data, model="m")
    records = [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]

    columns = served(baseline, ModelInfo(ModelKey("m")), pd.DataFrame(data) if rows == "frame" else records, None, None)

    assert list(columns) == list(baseline.features)
    for key, summary in columns.items():
        reference = baseline.features[key]
        assert (summary.kind, summary.counters) == (reference.kind, reference.counters)
        expected, found = distributions(reference, summary, baseline.layout(key))
        if key in baseline.layouts:
            assert found.cumulative.tolist() == expected.cumulative.tolist()
        else:
            assert found == expected
