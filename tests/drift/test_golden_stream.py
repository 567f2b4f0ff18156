"""A fixed stream of windows, drifting halfway: every detector's scores, to the digit."""

import numpy as np
import pytest
from drift_samples import numeric_baseline, numeric_window
from scipy import stats

from otel_ml.drift import benjamini_hochberg, create, distributions

GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def evenly_drawn(start, n):
    """Normal values without a random generator, whose streams may change with a version."""
    return stats.norm.ppf((np.arange(start, start + n) * GOLDEN_RATIO + 0.25) % 1)


GOLDEN = {
    "psi": [0.0, 0.0, 0.0, 0.0, 0.011, 0.0745, 0.1838, 0.326],
    "ks": [0.0015, 0.0012, 0.0015, 0.0015, 0.0603, 0.1192, 0.1788, 0.236],
    "jensen_shannon": [0.0, 0.0, 0.0, 0.0, 0.0447, 0.1157, 0.1807, 0.2392],
    "wasserstein": [0.0, 0.0, 0.0, 0.0, 0.142, 0.2938, 0.4462, 0.5878],
    "hellinger": [0.0, 0.0, 0.0, 0.0, 0.0372, 0.0966, 0.1512, 0.2008],
    "chi_squared": [0.0, 0.0, 0.0, 0.0, 0.0525, 0.1356, 0.2107, 0.2773],
    "g_test": [0.0, 0.0, 0.0, 0.0, 0.002, 0.0134, 0.0327, 0.0572],
    "kl": [0.0, 0.0, 0.0, 0.0, 0.0056, 0.0374, 0.0918, 0.1626],
    "l_infinity": [0.0, 0.0, 0.0, 0.0, 0.0193, 0.0571, 0.0974, 0.141],
    "total_variation": [0.0, 0.0, 0.0, 0.0, 0.0425, 0.1115, 0.1741, 0.2312],
}


def scores():
    baseline, layout = numeric_baseline(evenly_drawn(1, 10_000))
    detectors = [create(name) for name in GOLDEN]
    found = {detector.name: [] for detector in detectors}
    p_values = []
    for window in range(8):
        values = evenly_drawn(20_000 + 1_000 * window, 1_000) + (0.0 if window < 4 else 0.15 * (window - 3))
        pair = distributions(baseline, numeric_window(bins=values, layout=layout), layout)
        for detector in detectors:
            found[detector.name].append(detector.compare(*pair).score)
        p_values.append(detectors[0].compare(*pair).p_value)
    return found, p_values


def test_the_scores_of_a_known_stream():
    """Nobody changes a number that users compare with last month's by accident."""
    found, _ = scores()

    assert {name: pytest.approx(values, abs=5e-5) for name, values in found.items()} == GOLDEN


def test_drift_is_discovered_from_the_window_it_starts_in():
    """Four quiet windows, then four significant ones."""
    _, p_values = scores()

    assert [q < 0.05 for q in benjamini_hochberg(p_values)] == [False] * 4 + [True] * 4
