"""What every detector of multivariate drift promises; to be registered is to be tested here."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_samples import layout_of, over_the_wire, summary_of, with_sums

from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, VectorPair, compare_vectors
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.embedding import EmbeddingSummary

DETECTORS = [detector() for detector in BUILTIN_MULTIVARIATE.values()]
any_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)

matrices = st.tuples(
    st.integers(0, 60),
    st.sampled_from([0.0, 1e-300, 1e-30, 1e-3, 1.0, 1e6, 1e150, 1e300]),
    st.sampled_from([0.0, 1.0, 1e-200, -1e9, 1e300]),
    st.integers(0, 99),
)


def matrix_of(rows, scale, offset, seed, dimensions):
    normal = np.random.default_rng(seed).normal(size=(rows + 1, dimensions))
    with np.errstate(over="ignore"):
        return np.nan_to_num(normal * scale + offset)


def vectors(seed, rows, dimensions=6, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, dimensions)) @ np.random.default_rng(99).normal(size=(dimensions, dimensions))
    return scale * mixed + shift


def anchored_to(reference):
    """Whatever a detector may ask for beyond sums that need no baseline."""
    layout = layout_of(reference)
    return lambda matrix: summary_of(matrix, layout)


@functools.cache
def clean_pairs(n, m, dimensions):
    """120 pairs of samples of the same distribution."""
    summarise = anchored_to(vectors(0, 2_000, dimensions))
    return [
        VectorPair(summarise(vectors(seed, n, dimensions)), summarise(vectors(1_000 + seed, m, dimensions)))
        for seed in range(1, 121)
    ]


def is_sound(result):
    return (
        isinstance(result.score, float)
        and math.isfinite(result.score)
        and result.score >= 0
        and (result.p_value is None or (isinstance(result.p_value, float) and 0 <= result.p_value <= 1))
    )


@any_detector
def test_a_detector_is_registered_under_its_own_name(detector):
    """The name is the metric's suffix, the configuration's key and the result's method."""
    assert BUILTIN_MULTIVARIATE[detector.name] is type(detector)


@any_detector
def test_a_detector_is_an_immutable_value(detector):
    """Equal settings make equal detectors, which can be shared between threads."""
    assert detector == type(detector)()
    assert not hasattr(detector, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.threshold = 1.0


@any_detector
@pytest.mark.parametrize("threshold", [0, -1, math.nan, "0.1", None, True])
def test_a_threshold_that_makes_no_sense_is_refused_by_name(detector, threshold):
    """The error says which setting, what it was and what would be valid."""
    with pytest.raises(ConfigurationError) as raised:
        type(detector)(threshold=threshold)

    assert str(raised.value).startswith(f"{detector.name}::threshold: {threshold!r} is not valid (a number above 0")


@any_detector
@settings(max_examples=50)
@given(matrices, st.sampled_from([1, 2, 5]))
def test_equal_vectors_have_not_drifted(detector, matrix, dimensions):
    """The same summary on both sides scores 0, whatever it holds."""
    drawn = matrix_of(*matrix, dimensions)
    summary = anchored_to(drawn)(drawn)

    result = detector.compare(summary, summary)

    assert result.score == 0
    assert not result.drifted
    assert result.p_value is None or result.p_value >= 0.05


@any_detector
@settings(max_examples=50)
@given(matrices, matrices, st.sampled_from([1, 2, 5]))
def test_any_vectors_give_a_finite_answer(detector, reference, current, dimensions):
    """Single vectors, constants, sums that overflowed and sums that vanished included."""
    matrices = [matrix_of(*drawn, dimensions) for drawn in (reference, current)]
    was, now = map(anchored_to(matrices[0]), matrices)

    result = detector.compare(was, now)

    assert is_sound(result)
    assert (result.n_reference, result.n_current) == (was.count, now.count)


@any_detector
@pytest.mark.parametrize("hostile", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("place", ["total", "products", "cubes", "fourth"])
def test_sums_that_are_no_numbers_give_a_finite_answer(detector, hostile, place):
    """What is infinite counts as the largest float."""
    sound, broken = summary_of(vectors(1, 200)), summary_of(vectors(2, 200))
    sums = getattr(broken, place)
    broken = with_sums(broken, **{place: hostile if place == "fourth" else np.full_like(sums, hostile)})

    assert is_sound(detector.compare(sound, broken))
    assert is_sound(detector.compare(broken, sound))


@any_detector
@settings(max_examples=50)
@given(st.integers(0, 9), st.lists(st.integers(0, 400), min_size=1, max_size=8), st.randoms())
def test_replicas_and_their_order_do_not_matter(detector, seed, sizes, random):
    """But for the rounding of sums of doubles."""
    reference = vectors(50, 2_000)
    summarise = anchored_to(reference)
    current = vectors(seed, 500, shift=0.3, scale=1.3)
    parts = [summarise(part) for part in np.split(current, np.minimum(np.cumsum(sizes), 500))]
    random.shuffle(parts)
    merged = summarise(current[:0])
    for part in parts:
        merged.merge(part)

    whole, in_parts = (detector.compare(summarise(reference), side) for side in (summarise(current), merged))

    assert in_parts.score == pytest.approx(whole.score, rel=1e-6, abs=1e-6)
    assert in_parts.p_value == pytest.approx(whole.p_value, rel=1e-4, abs=1e-12)


@any_detector
def test_it_makes_no_difference_that_summaries_travelled(detector):
    """Floats hold what a detector needs, about the mean, also where vectors are far from 0."""
    reference = vectors(1, 5_000, shift=50.0)
    summarise = anchored_to(reference)
    current = vectors(2, 1_000, shift=50.2, scale=1.1)

    here = detector.compare(summarise(reference), summarise(current))
    # The reference is a baseline's, which brings its layout.
    there = detector.compare(summarise(reference), over_the_wire(summarise(current)))

    assert there.score == pytest.approx(here.score, rel=1e-3, abs=1e-4)
    assert there.p_value == pytest.approx(here.p_value, rel=0.05, abs=1e-9)


@any_detector
@pytest.mark.parametrize(("n", "m", "dimensions"), [(500, 60, 3), (1_000, 400, 8), (1_000, 1_000, 8), (1_000, 200, 20)])
def test_without_drift_one_test_in_twenty_is_below_five_percent(detector, n, m, dimensions):
    """Nominal or fewer false positives, and scores that are seldom big where there are some vectors a dimension."""
    results = [detector.result(pair) for pair in clean_pairs(n, m, dimensions)]

    # Three standard deviations of 120 fair draws around 5 %.
    assert np.mean([result.p_value < 0.05 for result in results]) <= 0.11
    assert m < 100 * dimensions or np.mean([result.drifted for result in results]) <= 0.05


@any_detector
def test_vectors_that_have_nothing_in_common_do_not_compare(detector):
    """A side without vectors, or vectors of two lengths."""
    some, longer = summary_of(vectors(1, 10)), summary_of(vectors(1, 10, dimensions=7))

    assert compare_vectors(some, longer, [detector]) == []
    assert compare_vectors(some, EmbeddingSummary(), [detector]) == []
    assert VectorPair.of(EmbeddingSummary(), some) is None


@any_detector
def test_a_reference_that_never_varied_is_a_reference_all_the_same(detector):
    """Vectors that were all the same, and now are not, give a finite answer and no warning."""
    constant = np.tile([1.0, -2.0, 0.0, 7.0, 1e-9, 3e8], (400, 1))
    moved = constant + np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0])

    for current in (moved, vectors(3, 400)):
        assert is_sound(detector.compare(summary_of(constant), summary_of(current)))
        assert is_sound(detector.compare(summary_of(current), summary_of(constant)))
