import math

import numpy as np
import pytest
from drift_samples import binned, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.columns import Columns
from otel_ml.drift.explanation import attribute_prediction_drift, effect_sizes

sizes = st.floats(0, 2)
weights = st.floats(0, 1e308)


def sizes_of(before, after):
    """Effect sizes of the columns of two matrices."""
    pairs = []
    for was, now in zip(before.T, after.T, strict=True):
        layout = layout_of(was)
        pairs.append((binned(was, layout), binned(now, layout)))
    return effect_sizes(Columns(pairs)).tolist()


@given(sizes, st.dictionaries(st.text(max_size=3), st.tuples(sizes, weights), min_size=1, max_size=8), st.booleans())
def test_shares_and_what_is_unexplained_make_a_whole(prediction, features, is_weighted):
    """Whatever moved, nothing is negative and nothing is told twice."""
    attribution = attribute_prediction_drift(
        prediction,
        {name: size for name, (size, _) in features.items()},
        {name: weight for name, (_, weight) in features.items()} if is_weighted else None,
    )

    assert all(share >= 0 for share in attribution.shares.values())
    assert attribution.unexplained >= 0
    total = math.fsum(attribution.shares.values()) + attribution.unexplained
    assert total == pytest.approx(1 if prediction > 0 else 0)


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [([0.3, 0.0, 0.0], [1.0, 0.0, 0.0]), ([0.2, 0.2, 0.2], [0.5, 0.33, 0.17]), ([0.1, 0.0, 0.3], [0.5, 0.0, 0.5])],
)
def test_of_a_linear_model_the_shares_are_those_of_oaxaca_and_blinder(shifts, expected):
    """coefficient · shift of the mean, over the shift of the prediction, where features are uncorrelated."""
    coefficients = np.array([3.0, 2.0, 1.0])
    chance = np.random.default_rng(1)
    before, after = chance.normal(size=(100_000, 3)), chance.normal(shifts, size=(100_000, 3))
    terms = coefficients * shifts
    *features, prediction = sizes_of(
        np.column_stack((before, before @ coefficients)), np.column_stack((after, after @ coefficients))
    )

    attribution = attribute_prediction_drift(
        prediction, dict(zip("abc", features, strict=True)), dict(zip("abc", coefficients, strict=True))
    )

    assert expected == pytest.approx(terms / terms.sum(), abs=0.01)
    assert list(attribution.shares.values()) == pytest.approx(expected, abs=0.06)
    assert attribution.unexplained < 0.06


def test_a_model_that_changed_is_not_blamed_on_its_features():
    """What moved without them is unexplained."""
    attribution = attribute_prediction_drift(0.5, {"a": 0.0, "b": 0.1}, {"a": 4, "b": 3})

    assert attribution.shares == pytest.approx({"a": 0.0, "b": 0.12})
    assert attribution.unexplained == pytest.approx(0.88)


def test_a_prediction_that_did_not_move_has_nothing_to_attribute():
    """Features that drift without an effect get no share."""
    attribution = attribute_prediction_drift(0.0, {"a": 1.0, "b": 0.0})

    assert attribution.shares == {"a": 0.0, "b": 0.0}
    assert attribution.unexplained == 0.0


def test_importances_of_features_that_were_not_measured_count():
    """A feature that makes up little of the model cannot account for much, whether or not the rest was measured."""
    importances = {"a": 1.0, "b": 100.0}

    alone = attribute_prediction_drift(0.5, {"a": 0.4}, importances)
    together = attribute_prediction_drift(0.5, {"a": 0.4, "b": 0.0}, importances)

    assert alone.shares["a"] == together.shares["a"] < 0.01


def test_where_nothing_is_known_all_features_count_the_same():
    """Without importances the shares are in proportion to how far the features moved."""
    without = attribute_prediction_drift(0.1, {"a": 0.4, "b": 0.2})
    elsewhere = attribute_prediction_drift(0.1, {"a": 0.4, "b": 0.2}, {"c": 1.0})

    assert without.shares == elsewhere.shares == pytest.approx({"a": 2 / 3, "b": 1 / 3})


@pytest.mark.parametrize("size", [-0.1, math.nan, math.inf])
def test_a_size_that_makes_no_sense_is_refused(size):
    """The error names what it is about."""
    with pytest.raises(ValueError, match=r"^effect size of feature 'a': .* \(must be a finite number of at least 0\)$"):
        attribute_prediction_drift(0.1, {"a": size})
    with pytest.raises(ValueError, match=r"^effect size of the prediction: "):
        attribute_prediction_drift(size, {"prediction": 0.1})
