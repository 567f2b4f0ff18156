"""What the errors of sampling sketches are like."""

import numpy as np
import pytest
from drift_samples import exact, kll

from otel_ml.drift.columns import Columns
from otel_ml.drift.rank_noise import RankNoise, lift_of_supremum, own_presence, presence, within_reach
from otel_ml.sketch.quantiles import QuantileSketch

RANKS = np.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])


def errors(n, replicas=1, windows=150):
    """Of the ranks of sketches, (windows, ranks), and the first of them."""
    rng = np.random.default_rng(n)
    found, sketches = [], []
    for _ in range(windows):
        values = rng.random(n)
        whole = QuantileSketch()
        for part in np.split(values, replicas):
            whole.merge(kll(part))
        sketches.append(whole.distribution())
        found.append(sketches[-1].cdf(RANKS) - (values[:, np.newaxis] <= RANKS).mean(axis=0))
    return np.array(found), sketches[0]


@pytest.mark.parametrize(("n", "replicas"), [(1_000, 1), (10_000, 1), (30_000, 1), (20_000, 8)])
def test_the_errors_of_sketches_have_the_assumed_covariance(n, replicas):
    """One variance at all ranks but the outermost, half of it common."""
    found, sketch = errors(n, replicas)

    noise = Columns([(exact(np.arange(10.0)), sketch)]).noise

    assert found.std(axis=0).mean() == pytest.approx(np.sqrt(noise.variance[0]), rel=0.2)
    correlations = np.corrcoef(found.T)[np.triu_indices(len(RANKS), k=2)]
    assert correlations.mean() == pytest.approx(0.5, abs=0.12)


def test_two_sketches_err_independently():
    """Their variances add up, and counts have none."""
    sketch = kll(np.arange(5_000.0)).distribution()
    counts = exact(np.arange(5_000.0))

    one, both, none = (Columns([pair]).noise for pair in ((counts, sketch), (sketch, sketch), (counts, counts)))

    assert both.variance[0] == pytest.approx(2 * one.variance[0])
    assert not none.any()


def test_there_is_no_error_where_there_are_no_values():
    """Below the smallest and above the largest one; both parts set in together, and stay."""
    shares = np.array([0.0, 1e-4, 0.01, 0.5, 1.0])

    assert presence(shares)[[0, -1]] == pytest.approx(0.0)
    assert presence(shares)[3] == pytest.approx(1.0)
    assert (own_presence(shares) >= presence(shares)).all()


def test_sums_within_reach_are_those_over_all_pairs():
    """One pass over the points."""
    rng = np.random.default_rng(1)
    shares, weights = np.sort(rng.random((1, 40))), rng.random((1, 40))
    kernel = np.exp(-np.abs(shares.T - shares) / 0.0027)

    assert within_reach(weights, shares)[0] == pytest.approx(float((weights @ kernel @ weights.T)[0, 0]))


def test_more_ranks_lift_the_supremum_higher():
    """And none without noise."""
    half, size = np.full(1, 4e-6), np.full(1, 1e-4)
    few, many = (np.arange(1, points)[np.newaxis] / points for points in (10, 300))

    lifts = [lift_of_supremum(RankNoise(half, half), size, shares)[0] for shares in (few, many)]

    assert 0 < lifts[0] < lifts[1] < 0.01
    assert lift_of_supremum(RankNoise(half * 0, half * 0), size, many)[0] == 0
