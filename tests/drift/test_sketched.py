"""Histograms compared in matrices say what histograms compared one by one say."""

from dataclasses import replace

import numpy as np
import pytest
from drift_samples import kll, moments_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.columns import Columns
from otel_ml.drift.comparison import distributions
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.drift.sketched import SketchedReferences
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.sketched_columns import packed_sketches
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary, NumericSummary

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(
    st.lists(finite, min_size=1, max_size=30),
    st.lists(st.floats(-10, 10), min_size=1, max_size=60),
    st.lists(st.floats(0.5, 10), min_size=12, max_size=60),
    st.lists(st.sampled_from([0.0, 1.0, -2.0]), min_size=1, max_size=9),
)


def key(name):
    return FeatureKey(FeatureRole.FEATURE, name)


def sketched(name, values):
    values = np.asarray(values, dtype=np.float64)
    content = NumericSummary(moments_of(values), histogram=ExponentialHistogram.of(values), quantiles=kll(values))
    return FeatureSummary(key(name), content, Counters(rows=len(values)))


def of_baseline(*columns):
    """The references of a baseline that holds these columns, without bins."""
    return SketchedReferences({column.key: column for column in columns}, {})


def block_of(*columns):
    ((block,), _) = packed_sketches(columns)
    return block


def normal(seed, size=2_000, *, mean=0.0, deviation=1.0):
    return np.random.default_rng(seed).normal(mean, deviation, size)


def functions_one_by_one(was, now):
    pair = distributions(was, now)
    return None if pair is None else Columns([pair]).functions


def assert_same_functions(found, row, expected):
    """The same numbers; what is filled up repeats the last point."""
    width = expected.points.shape[1]
    for name in ("points", "reference", "current"):
        of_row = getattr(found, name)[row]
        assert of_row[:width].tolist() == getattr(expected, name)[0].tolist()
        assert (of_row[width:] == of_row[width - 1]).all()
    for name in ("is_step", "error_reference", "error_current"):
        assert getattr(found, name)[row] == getattr(expected, name)[0]


@given(pairs=st.lists(st.tuples(values, values), min_size=1, max_size=6))
def test_functions_are_those_of_each_column_alone_to_the_bit(pairs):
    """Whatever scales, signs and ranges the columns have; what does not fit into the matrices is left out."""
    was = [sketched(f"f{place}", reference) for place, (reference, _) in enumerate(pairs)]
    now = [sketched(f"f{place}", current) for place, (_, current) in enumerate(pairs)]

    keys, columns = of_baseline(*was).columns(block_of(*now))

    for row, found in enumerate(keys):
        place = [column.key for column in was].index(found)
        assert_same_functions(columns.functions, row, functions_one_by_one(was[place], now[place]))


def test_columns_of_likely_data_are_all_compared_as_matrices():
    """Of any offset and scale, with negative values or zeros or without, drifted or not."""
    zeros = np.zeros(100)
    was = [
        sketched("normal", normal(1)),
        sketched("large", normal(2, mean=5.0, deviation=1.0) * 1e6),
        sketched("positive", np.exp(normal(3))),
        sketched("with zeros", np.append(np.abs(normal(4)), zeros)),
        sketched("drifted", normal(5)),
    ]
    now = [
        sketched("normal", normal(6)),
        sketched("large", normal(7, mean=5.0, deviation=1.0) * 1e6),
        sketched("positive", np.exp(normal(8))),
        sketched("with zeros", np.append(np.abs(normal(9)), zeros)),
        sketched("drifted", normal(10, mean=3.0)),
    ]

    keys, columns = of_baseline(*was).columns(block_of(*now))

    assert keys == [column.key for column in was]
    for row, (reference, current) in enumerate(zip(was, now, strict=True)):
        assert_same_functions(columns.functions, row, functions_one_by_one(reference, current))


@pytest.mark.parametrize("name", sorted(name for name, kind in BUILTIN_DETECTORS.items() if kind.on_numbers))
def test_every_detector_says_the_same(name):
    """Sums over rows that were filled up differ in the last digit at most."""
    detector = BUILTIN_DETECTORS[name]()
    was = [sketched("a", normal(1)), sketched("b", np.exp(normal(2)))]
    now = [sketched("a", normal(3, mean=0.2)), sketched("b", np.exp(normal(4)))]

    _, columns = of_baseline(*was).columns(block_of(*now))

    for place, result in enumerate(detector.results(columns)):
        expected = detector.compare(*distributions(was[place], now[place]))
        assert result.score == pytest.approx(expected.score, rel=1e-9, abs=1e-12, nan_ok=True)
        assert (result.n_reference, result.n_current) == (expected.n_reference, expected.n_current)
        if expected.p_value is not None:
            assert result.p_value == pytest.approx(expected.p_value, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param(normal(1), np.abs(normal(2)), id="negative values of one side"),
        pytest.param(normal(1), np.append(normal(2), 0.0), id="zeros of one side"),
        pytest.param(np.exp(normal(1)), np.exp(normal(2)) * 1e60, id="ranges far from each other"),
        pytest.param(np.append(normal(1, mean=1000.0), 0.01), normal(2, mean=1000.0), id="all in one bucket"),
        pytest.param(np.append(normal(1), np.finfo(float).max), normal(2), id="the largest double"),
        pytest.param(np.append(normal(1), 5e-324), normal(2), id="the smallest double"),
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(reference, current):
    """And the columns beside it are not."""
    was = [sketched("a", normal(3)), sketched("b", reference), sketched("c", normal(4))]
    now = [sketched("a", normal(5)), sketched("b", current), sketched("c", normal(6))]

    keys, columns = of_baseline(*was).columns(block_of(*now))

    assert keys == [key("a"), key("c")]
    assert len(columns) == 2
    for row, place in enumerate((0, 2)):
        assert_same_functions(columns.functions, row, functions_one_by_one(was[place], now[place]))


def test_columns_the_baseline_cannot_say_anything_about_are_left_out():
    """Unknown to it, of another kind, without a histogram, or without a value."""
    baseline = of_baseline(
        FeatureSummary(key("boolean"), BooleanSummary(1, 2)),
        FeatureSummary(key("none"), NumericSummary()),
        sketched("empty", []),
        sketched("a", normal(1)),
    )
    block = block_of(*(sketched(name, normal(2)) for name in ("boolean", "none", "empty", "unknown", "a")))

    keys, columns = baseline.columns(block)

    assert keys == [key("a")]
    assert columns.n.tolist() == columns.m.tolist() == [2_000.0]


def test_a_block_of_unknown_columns_has_nothing_to_compare():
    """A window of another version of the model."""
    keys, columns = of_baseline(sketched("a", normal(1))).columns(block_of(sketched("b", normal(2))))

    assert keys == []
    assert len(columns) == 0


def test_columns_with_too_few_values_are_left_out():
    """A window without a value has nothing to compare, whatever the minimum."""
    baseline = of_baseline(*(sketched(name, normal(1)) for name in "abc"))
    block = block_of(sketched("a", normal(2)), sketched("b", normal(3, 50)), sketched("c", []))

    assert baseline.columns(block, 100)[0] == [key("a")]
    assert baseline.columns(block, 0)[0] == [key("a"), key("b")]


def test_references_are_those_of_the_block_that_is_asked_about():
    """Blocks of different columns take turns."""
    baseline = of_baseline(sketched("a", normal(1)), sketched("b", normal(2)))
    one, other = block_of(sketched("a", normal(3)), sketched("b", normal(4))), block_of(sketched("b", normal(5)))

    counts = [len(baseline.columns(block)[0]) for block in (one, other, one, other)]

    assert counts == [2, 1, 2, 1]


def test_a_window_that_grew_is_compared_as_it_is_now():
    """References are kept, windows are not."""
    baseline, block = of_baseline(sketched("a", normal(1))), block_of(sketched("a", normal(2)))
    baseline.columns(block)

    block.merge(block_of(sketched("a", normal(3, 500))))

    (m,) = baseline.columns(block)[1].m
    assert m == 2_500


def test_pairs_and_moments_are_those_of_the_column():
    """For who asks for one column: an explanation, a test of means."""
    was, now = sketched("a", normal(1)), sketched("a", normal(2))
    other = sketched("b", normal(3))

    _, columns = of_baseline(other, was).columns(block_of(other, now))

    pair = columns.pairs[1]
    assert np.array_equal(pair[1].cumulative, distributions(was, now)[1].cumulative)
    assert columns.moments.reference_mean[1] == was.content.moments.mean
    assert columns.moments.current_m2[1] == now.content.moments.m2


def test_moments_of_other_values_are_not_known():
    """A baseline may hold a histogram of a part only."""
    was = sketched("a", normal(1))
    was.content.moments = replace(was.content.moments, count=9_999)

    _, columns = of_baseline(was).columns(block_of(sketched("a", normal(2))))

    assert np.isnan(columns.moments.reference_mean[0])
    assert not np.isnan(columns.moments.current_mean[0])
