"""Predictions and scores, in whatever shape models give them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import FeatureRole, ModelKey

KEY = ModelKey("m")


def summaries(output, role, rows=2, classes=None):
    """Columns of one role by name, of a call with that output."""
    info = ModelInfo(KEY, classes=classes)
    accumulator = ModelAccumulator(KEY)
    outputs = {"predictions": output} if role is FeatureRole.PREDICTION else {"scores": output}
    accumulator.add([Inference(info, "predict", np.ones((rows, 1)), **outputs)])
    return {
        column.summary.key.name: column.summary
        for column in accumulator.drain().columns
        if column.summary.key.role is role
    }


@pytest.mark.parametrize(
    "output",
    [
        np.array([1.0, 3.0]),
        np.array([[1.0], [3.0]]),
        [1.0, 3.0],
        [[1.0], [3.0]],
        (1.0, 3.0),
        pd.Series([1.0, 3.0]),
        pl.Series([1.0, 3.0]),
        pa.array([1.0, 3.0]),
        pa.chunked_array([[1.0], [3.0]]),
        pd.DataFrame({"prediction": [1.0, 3.0]}),
        [{"prediction": 1.0}, {"prediction": 3.0}],
        {"prediction": [1.0, 3.0]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_only_output_is_called_prediction(output):
    """By that name the baseline knows it, too."""
    found = summaries(output, FeatureRole.PREDICTION)

    assert list(found) == ["prediction"]
    assert found["prediction"].content.moments.mean == 2.0
    assert found["prediction"].counters.rows == 2


@pytest.mark.parametrize("output", [7.5, np.float64(7.5), np.array(7.5), [7.5], np.array([7.5])])
def test_one_row_may_have_a_bare_output(output):
    """A number is a prediction of one row."""
    found = summaries(output, FeatureRole.PREDICTION, rows=1)

    assert found["prediction"].content.moments.mean == 7.5


def test_several_outputs_of_one_row_are_columns():
    """A list as long as a row is wide is no batch."""
    found = summaries([1.0, 2.0, 3.0], FeatureRole.PREDICTION, rows=1)

    assert [found[name].content.moments.mean for name in ("0", "1", "2")] == [1.0, 2.0, 3.0]


def test_several_outputs_are_told_apart():
    """By position, where they have no names."""
    found = summaries(np.array([[1.0, 10.0], [3.0, 30.0]]), FeatureRole.PREDICTION)

    assert found["0"].content.moments.mean == 2.0
    assert found["1"].content.moments.mean == 20.0


def test_two_classes_have_one_score():
    """That of the second: the first is one minus it."""
    found = summaries(np.array([[0.9, 0.1], [0.7, 0.3]]), FeatureRole.SCORE, classes=("no", "yes"))

    assert list(found) == ["score"]
    assert found["score"].content.moments.mean == pytest.approx(0.2)


def test_more_classes_have_a_score_each_by_name():
    """The names of the classes say more than their positions."""
    found = summaries(np.full((2, 3), 1 / 3), FeatureRole.SCORE, classes=("a", "b", "c"))

    assert set(found) == {"a", "b", "c"}


def test_a_classifier_of_several_outputs_has_scores_for_each():
    """scikit-learn gives a list of matrices then."""
    found = summaries([np.full((2, 2), 0.5), np.full((2, 3), 1 / 3)], FeatureRole.SCORE)

    assert len(found) == 5
    assert all(summary.counters.valid == 2 for summary in found.values())


def test_text_is_counted_by_label():
    """A list of labels is a categorical prediction."""
    found = summaries(["yes", "no"], FeatureRole.PREDICTION)

    assert found["prediction"].content.categories.counts == {"yes": 1, "no": 1}


def test_outputs_of_a_run_of_calls_are_read_as_each_would_be():
    """Reading them together is an optimisation and nothing else."""
    info = ModelInfo(KEY)
    accumulator = ModelAccumulator(KEY)
    outputs = [0.5, None, np.array([1.5, 2.5]), [3.5, 4.5], np.float32(5.5)]

    accumulator.add([Inference(info, "predict", np.ones((2, 1)), output) for output in outputs])

    (summary,) = [c.summary for c in accumulator.drain().columns if c.summary.key.role is FeatureRole.PREDICTION]
    assert summary.content.moments.count == 6
    assert summary.content.moments.mean == 3.0
