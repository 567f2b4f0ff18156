"""What chance alone adds to distances over cells, and that it is taken off."""

import functools

import numpy as np
import pytest
from drift_samples import binned, layout_of

from otel_ml.drift import create
from otel_ml.drift.columns import Columns
from otel_ml.sketch.distribution import CategoricalDistribution

OVER_CELLS = ["psi", "kl", "jensen_shannon", "hellinger", "chi_squared", "g_test", "total_variation", "l_infinity"]


@functools.cache
def clean(kind, n, m, columns=600):
    """Columns of two samples of the same distribution."""
    rng = np.random.default_rng(n + m)
    if kind == "numbers":
        pairs = []
        for _ in range(columns):
            reference = rng.normal(size=n)
            layout = layout_of(reference)
            pairs.append((binned(reference, layout), binned(rng.normal(size=m), layout)))
        return Columns(pairs)
    shares = 1 / np.arange(1, kind + 1)
    drawn = [rng.multinomial(size, shares / shares.sum(), size=columns).tolist() for size in (n, m)]
    names = [f"c{place}" for place in range(kind)]
    return Columns(
        [
            tuple(CategoricalDistribution(dict(zip(names, side, strict=True))) for side in pair)
            for pair in zip(*drawn, strict=True)
        ]
    )


@pytest.mark.parametrize("name", OVER_CELLS)
@pytest.mark.parametrize("kind", ["numbers", 2, 10, 100])
@pytest.mark.parametrize(("n", "m"), [(100, 100), (10_000, 100), (1_000, 1_000)])
def test_clean_data_are_at_no_distance_on_average(name, kind, n, m):
    """What is taken off is what chance adds, at every size."""
    detector, columns = create(name), clean(kind, n, m)
    cells = columns.cells(10)

    added = detector.distance(cells, columns.n, columns.m)
    taken = detector.by_chance(cells, columns.n, columns.m)

    # Three standard errors of the mean, and what the expansion leaves.
    assert abs(np.mean(added - taken)) <= 3 * np.std(added - taken) / np.sqrt(len(added)) + 0.04 * np.mean(taken)


@pytest.mark.parametrize("kind", ["numbers", 2, 10, 100])
@pytest.mark.parametrize("n", [100, 10_000])
def test_a_hundred_clean_values_stay_below_the_threshold(kind, n):
    """Where PSI without correction is above 0.2 in every second window."""
    columns = clean(kind, n, 100)

    assert np.mean(create("psi").measure(columns).score > 0.2) <= 0.05


@pytest.mark.parametrize("name", OVER_CELLS)
def test_thresholds_correspond_to_the_same_shift(name):
    """Of 0.46 standard deviations: a third less is below all of them, a third more above."""
    rng = np.random.default_rng(7)
    reference, current = rng.normal(size=50_000), rng.normal(size=50_000)
    layout = layout_of(reference)
    detector = create(name)

    below, above = (
        detector.compare(binned(reference, layout), binned(current + shift, layout)) for shift in (0.31, 0.61)
    )

    assert not below.drifted
    assert above.drifted


@pytest.mark.parametrize("name", OVER_CELLS)
def test_taking_off_chance_hardly_changes_what_many_values_say(name):
    """With a hundred thousand values there is next to none."""
    rng = np.random.default_rng(8)
    reference, current = rng.normal(size=100_000), rng.normal(0.5, size=100_000)
    layout = layout_of(reference)
    pair = binned(reference, layout), binned(current, layout)

    corrected, plain = create(name).compare(*pair), create(name, {"bias_corrected": False}).compare(*pair)

    assert corrected.score == pytest.approx(plain.score, rel=0.005)


@pytest.mark.parametrize("setting", ["yes", 1, None])
def test_a_correction_is_on_or_off(setting):
    """Anything else is told by name."""
    from otel_ml.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=f"psi::bias_corrected: {setting!r} is not valid"):
        create("psi", {"bias_corrected": setting})
