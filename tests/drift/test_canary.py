"""A canary beside the stable version in the same minute: no training data needed, and no season in between."""

import numpy as np
import pytest
from drift_samples import categorical_summary, numeric_baseline, numeric_window

from otel_ml.drift import create, distributions
from otel_ml.drift.windows import window_distributions

HOURS = range(24 * 14)
STABLE_ROWS, CANARY_ROWS = 900, 300
KS, PSI, CHI_SQUARED = create("ks"), create("psi"), create("chi_squared")


def season(hour):
    """Noon is two standard deviations above midnight."""
    return np.sin(hour / 24 * 2 * np.pi)


def values(random, hour, rows, shift=0.0):
    return season(hour) + shift + random.normal(size=rows)


def training():
    random = np.random.default_rng(1)
    return numeric_baseline(np.concatenate([values(random, hour, 200) for hour in range(24 * 7)]))


def windows(form, shift=0.0):
    """The two versions' windows, hour by hour."""
    random = np.random.default_rng(11)
    _, layout = training()
    for hour in HOURS:
        sides = values(random, hour, STABLE_ROWS), values(random, hour, CANARY_ROWS, shift)
        yield tuple(numeric_window(**{form: side}, layout=layout) for side in sides), layout


def share(found):
    return np.mean(list(found))


@pytest.mark.parametrize("form", ["bins", "sampled"])
@pytest.mark.parametrize("detector", [KS, CHI_SQUARED], ids=["ks", "chi_squared"])
def test_a_clean_canary_is_significant_in_one_window_of_twenty(form, detector):
    """Two-sample p-values at 5 %, whatever the hour; 336 windows exceed 7.8 % in one of a hundred."""
    found = share(
        detector.compare(*window_distributions(*pair, [layout])).p_value < 0.05 for pair, layout in windows(form)
    )

    assert found < 0.08


def test_the_same_season_trips_the_training_baseline():
    """Which no canary has to do with: most hours of the day are unlike the day."""
    baseline, layout = training()

    tripped = share(
        (result := PSI.compare(*distributions(baseline, canary, layout))).drifted and result.p_value < 0.01
        for (_, canary), _ in windows("bins")
    )
    beside_stable = share(
        (result := PSI.compare(*window_distributions(*pair, [layout]))).drifted and result.p_value < 0.01
        for pair, _ in windows("bins")
    )

    assert tripped > 0.5
    assert beside_stable == 0


@pytest.mark.parametrize("form", ["bins", "sampled"])
def test_a_shifted_canary_is_found_at_once(form):
    """Half a standard deviation, in 300 rows, at any hour."""
    found = share(
        (result := KS.compare(*window_distributions(*pair, [layout]))).drifted and result.p_value < 0.01
        for pair, layout in windows(form, shift=0.5)
    )

    assert found > 0.98


def test_a_clean_canary_of_categories_is_significant_in_one_window_of_twenty():
    """Whose shares change with the hour as well, some of them rare."""
    random = np.random.default_rng(3)
    found = []
    for hour in HOURS:
        weights = np.exp(-np.arange(30) / 6) * (1.5 + np.sin(np.arange(30) + hour / 24 * 2 * np.pi))
        shares = weights / weights.sum()
        pair = (
            categorical_summary({f"c{place}": int(n) for place, n in enumerate(counts) if n})
            for counts in (random.multinomial(STABLE_ROWS, shares), random.multinomial(CANARY_ROWS, shares))
        )
        found.append(CHI_SQUARED.compare(*window_distributions(*pair)).p_value < 0.05)

    assert share(found) < 0.08
