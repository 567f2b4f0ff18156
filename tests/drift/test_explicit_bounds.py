"""Plain histograms, with bounds that nobody chose for the reference, compared with a baseline."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from histogram_samples import SDK_BOUNDS

from otel_ml.baseline import Baseline
from otel_ml.drift import create, distributions
from otel_ml.drift.quality import data_quality
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters as Rows
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

KEY = FeatureKey(FeatureRole.FEATURE, "latency")
ALPHA = 0.05
TRIALS = 200
METHODS = ("ks", "psi", "wasserstein", "jensen_shannon")


def latencies(rng, n, *, longer=0.0):
    """Milliseconds, most of them between 30 and 250."""
    return rng.lognormal(4.5 + longer, 1.0, n)


def baseline_of(values):
    return Baseline.build({"latency": values}, model="shop", version="1")


def histogram_of(values, *, bounds=SDK_BOUNDS, is_exponential=False):
    """What the processor makes of a plain histogram: no variance, and nothing said of missing values."""
    moments = Moments(len(values), float(values.mean()), np.inf, float(values.min()), float(values.max()))
    content = NumericSummary(moments)
    if is_exponential:
        content.histogram = ExponentialHistogram.of(values)
    else:
        layout = BinLayout(np.array(bounds, float))
        content.bins[layout.hash] = AnchoredBins.of(layout, values)
    return FeatureSummary(KEY, content, Rows(rows=len(values), unchecked=len(values)))


def pair_of(baseline, summary):
    return distributions(baseline.features[KEY], summary, baseline.layout(KEY))


@cache
def rejections(form, longer):
    """By method, the share of windows of 1,000 values in which it finds a significant difference."""
    rng, detectors, found = np.random.default_rng(5), {name: create(name) for name in METHODS}, Counter()
    for trial in range(TRIALS):
        if trial % 50 == 0:
            baseline = baseline_of(latencies(rng, 20_000))
        values = latencies(rng, 1000, longer=longer)
        if form == "values":
            content = NumericSummary.anchored(baseline.layout(KEY))
            content.update(values)
            summary = FeatureSummary(KEY, content, Rows(rows=len(values)))
        else:
            summary = histogram_of(values, is_exponential=form == "exponential")
        pair = pair_of(baseline, summary)
        found.update(name for name, detector in detectors.items() if detector.compare(*pair).p_value < ALPHA)
    return {name: found[name] / TRIALS for name in METHODS}


def test_a_function_is_compared_only_where_bounds_are():
    """Between two bounds mass may lie anywhere: no detector sees a point there."""
    rng = np.random.default_rng(1)
    baseline = baseline_of(latencies(rng, 5000))
    values = latencies(rng, 5000)

    _, current = pair_of(baseline, histogram_of(values))

    assert current.points.tolist() == list(SDK_BOUNDS)
    at_or_below = [(values <= bound).sum() for bound in SDK_BOUNDS]
    assert current.cumulative.tolist() == at_or_below


@pytest.mark.parametrize("form", ["explicit", "exponential"])
@pytest.mark.parametrize("method", METHODS)
def test_without_drift_the_level_holds(method, form):
    """No more false positives than the level allows (0.05, and three standard errors of 200 trials)."""
    assert rejections(form, 0.0)[method] <= 0.05 + 3 * 0.0155


@pytest.mark.parametrize("method", METHODS)
def test_the_bounds_of_sdks_see_nearly_as_much_as_the_values(method):
    """Latencies that grow by a tenth: at least four fifths of the power of the baseline's own bins."""
    assert rejections("explicit", 0.1)[method] >= 0.8 * rejections("values", 0.1)[method] > 0.0


def test_bounds_that_hide_most_values_give_no_answer():
    """Rates from 0 to 1 all lie below an SDK's first bounds: rather no answer than "no drift"."""
    rng = np.random.default_rng(2)
    baseline = baseline_of(rng.uniform(0.0, 1.0, 5000))

    assert pair_of(baseline, histogram_of(rng.uniform(0.4, 0.6, 1000))) is None
    assert pair_of(baseline_of(rng.uniform(1e5, 2e5, 5000)), histogram_of(rng.uniform(1e5, 2e5, 1000))) is None


def test_a_frequent_value_between_bounds_hides_nothing():
    """Nine of ten values are zero: the bucket that holds them is no reason to give up."""
    rng = np.random.default_rng(3)
    values = np.where(rng.random(5000) < 0.9, 0.0, latencies(rng, 5000))

    assert pair_of(baseline_of(values), histogram_of(values)) is not None


def test_two_sets_of_bounds_are_compared_where_both_are_known():
    """A rolling update changes the bounds: what they have in common remains."""
    rng = np.random.default_rng(4)
    baseline = baseline_of(latencies(rng, 5000))
    window = histogram_of(latencies(rng, 1000))
    window.merge(histogram_of(latencies(rng, 1000), bounds=(0, 20, 50, 100, 300, 1000)))

    _, current = pair_of(baseline, window)

    assert current.points.tolist() == [0, 50, 100, 1000]
    assert current.total == 2000


def test_bounds_without_a_common_one_give_no_answer():
    """Neither is known where the other is."""
    rng = np.random.default_rng(4)
    window = histogram_of(latencies(rng, 1000))
    window.merge(histogram_of(latencies(rng, 1000), bounds=(20, 60, 300)))

    assert pair_of(baseline_of(latencies(rng, 5000)), window) is None


def test_nothing_is_said_of_missing_values():
    """A histogram counts what is there: what is not, nobody knows. Values out of range it does show."""
    rng = np.random.default_rng(6)
    baseline = baseline_of(rng.uniform(0.0, 90.0, 5000))

    found = data_quality(baseline.features[KEY], histogram_of(rng.uniform(0.0, 200.0, 1000)), baseline.layout(KEY))

    assert (found.missing, found.infinite, found.type_mismatch) == (None, None, None)
    assert found.out_of_range_ratio == pytest.approx(0.5, abs=0.06)
