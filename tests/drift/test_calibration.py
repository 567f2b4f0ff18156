"""Sketches corrected by the means that come with them."""

from dataclasses import replace

import numpy as np
import pytest
from drift_samples import exact, kll, moments_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift import create
from otel_ml.drift.calibration import calibrated
from otel_ml.drift.columns import Columns
from otel_ml.drift.functions import functions_of
from otel_ml.sketch.moments import Moments

values = st.lists(st.floats(-1e300, 1e300), min_size=300, max_size=400)


def sketch_of(numbers):
    return kll(numbers).distribution(moments_of(numbers))


def errors(seed, draw):
    """Of the median's rank, as the sketch has it, and corrected."""
    numbers = draw(np.random.default_rng(seed), 20_000)
    pair = exact(numbers), sketch_of(numbers)
    before = functions_of([pair])
    after, _ = calibrated(before, [pair])
    middle = np.searchsorted(before.reference[0], 0.5)
    return [(functions.current - before.reference)[0, middle] for functions in (before, after)]


def test_the_mean_tells_most_of_the_common_error():
    """Of light tails more than half of what the median's rank is off by is common, and known."""
    found = np.array([errors(seed, lambda rng, n: rng.normal(size=n)) for seed in range(60)])

    assert found[:, 1].std() < 0.85 * found[:, 0].std()


def test_a_few_values_far_away_do_not_spoil_the_others():
    """Of 20 outliers a sketch has an item too many or none, which moves its mean, and says nothing of other ranks."""

    def draw(rng, n):
        return np.where(np.arange(n) < 20, 0.0, rng.normal(1_000.0, 1.0, size=n))[rng.permutation(n)]

    found = np.array([errors(seed, draw) for seed in range(40)])

    assert found[:, 1].std() < 1.05 * found[:, 0].std()


@pytest.mark.parametrize("moments", [None, Moments(5_000, 0.0, float("inf"), -1.0, 1.0)])
def test_without_a_mean_nothing_is_corrected(moments):
    """Nothing is known, or nothing finite."""
    numbers = np.random.default_rng(1).normal(size=5_000)
    pair = exact(numbers), replace(sketch_of(numbers), moments=moments)
    functions = functions_of([pair])

    found, left = calibrated(functions, [pair])

    assert np.array_equal(found.current, functions.current)
    assert left.tolist() == [[1.0], [1.0]]


@given(numbers=values)
def test_a_corrected_function_is_a_distribution_function(numbers):
    """Increasing from 0 to 1, whatever the values."""
    sketch = kll(numbers).distribution(moments_of(numbers))
    columns = Columns([(exact(numbers), sketch)])

    found = columns.functions.current[0]

    assert (np.diff(found) >= 0).all()
    assert 0 <= found[0] <= found[-1] == 1
    assert np.isfinite(columns.noise.variance).all()


def test_tests_of_sketches_are_honest():
    """Without drift five in a hundred, or fewer, are below 5 %, of windows beside windows."""
    rng = np.random.default_rng(7)
    sketches = [sketch_of(rng.lognormal(size=5_000)) for _ in range(120)]
    pairs = [(sketches[place], sketches[place - 1]) for place in range(120)]

    rates = [
        np.mean(create(name).measure(Columns(pairs)).p_value < 0.05)
        for name in ("ks", "cramer_von_mises", "anderson_darling", "energy", "wasserstein", "levene", "psi")
    ]

    assert max(rates) <= 0.12
