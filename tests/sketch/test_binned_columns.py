"""Columns in matrices are the same as columns one by one."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.binned_columns import packed
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.summary import FeatureSummary, NumericSummary, OpaqueSummary

LAYOUTS = {"a": BinLayout(np.array([0.0, 1.0])), "b": BinLayout(np.array([-1.0, 5.0])), "c": BinLayout(np.array([2.0]))}
finite = st.floats(allow_nan=False, allow_infinity=False)
batches = st.fixed_dictionaries({name: st.lists(finite, max_size=6) for name in LAYOUTS})


def summary(name, values, *, missing=0, exemplars=()):
    values = np.asarray(values, dtype=np.float64)
    layout = LAYOUTS[name]
    moments = Moments()
    moments.update(values)
    bins = AnchoredBins(layout.hash, layout.count_sorted(np.sort(values)))
    counters = Counters(rows=len(values) + missing, missing=missing)
    key = FeatureKey(FeatureRole.FEATURE, name)
    return FeatureSummary(key, NumericSummary(moments, {layout.hash: bins}), counters, list(exemplars))


def contents(features):
    """Everything that is in them, in an order of no importance."""
    return {
        feature.key: (
            feature.counters,
            feature.content.moments,
            {edges_hash: bins.counts.tolist() for edges_hash, bins in feature.content.bins.items()},
            feature.exemplars,
        )
        for feature in features
    }


def test_columns_are_packed_by_their_number_of_bins():
    """A matrix has one width; columns that hold more than bins stay as they are."""
    exact = summary("a", [1.0])
    exact.content.exact = ExactCounts.of(np.array([2.0]))
    other = FeatureSummary(FeatureKey(FeatureRole.FEATURE, "d"), OpaqueSummary(), Counters())

    blocks, others = packed([summary("a", [1.0]), summary("c", [3.0]), summary("b", []), exact, other])

    assert [[key.name for key in block.keys] for block in blocks] == [["a", "b"], ["c"]]
    assert others == [exact, other]


@given(values=batches)
def test_what_was_packed_comes_out_again(values):
    """Counters, moments, counts and exemplars; an empty column too."""
    exemplar = Exemplar(ExemplarReason.LARGEST, 1, 2, 3)
    features = [summary(name, of_column, missing=2, exemplars=[exemplar]) for name, of_column in values.items()]

    blocks, _ = packed(features)

    assert contents(feature for block in blocks for feature in block.summaries()) == contents(features)


@given(parts=st.lists(batches, min_size=1, max_size=5))
def test_merging_matrices_is_merging_columns_to_the_bit(parts):
    """Whichever way a snapshot came, the window is the same."""
    first, *rest = [[summary(name, part[name], missing=1) for name in LAYOUTS] for part in parts]
    blocks, _ = packed(deepcopy(first))
    for features in rest:
        for mine, theirs in zip(blocks, packed(features)[0], strict=True):
            mine.merge(theirs)
        for mine, theirs in zip(first, features, strict=True):
            mine.merge(theirs)

    assert contents(feature for block in blocks for feature in block.summaries()) == contents(first)


@given(parts=st.lists(batches, min_size=2, max_size=6))
def test_merging_all_at_once_is_merging_one_after_the_other(parts):
    """Counts and extremes to the bit, means and squares but for rounding; what is empty or overflows, too."""
    first, *rest = [packed(summary(name, part[name]) for name in LAYOUTS)[0] for part in parts]
    expected = deepcopy(first)
    for others in rest:
        for mine, theirs in zip(expected, others, strict=True):
            mine.merge(theirs)

    for block, others in zip(first, zip(*rest, strict=True), strict=True):
        block.merge(*others)

    for block, sequential in zip(first, expected, strict=True):
        assert block.counts.tolist() == sequential.counts.tolist()
        assert block.counters.tolist() == sequential.counters.tolist()
        for mine, theirs in zip(block.summaries(), sequential.summaries(), strict=True):
            assert_close(mine.content.moments, theirs.content.moments)


def assert_close(mine, theirs):
    assert (mine.count, mine.minimum, mine.maximum) == (theirs.count, theirs.minimum, theirs.maximum)
    width = max(abs(theirs.minimum), abs(theirs.maximum)) if theirs.count else 0.0
    assert mine.mean == pytest.approx(theirs.mean, rel=1e-9, abs=1e-13 * width, nan_ok=True)
    assert mine.m2 == pytest.approx(theirs.m2, rel=1e-9, abs=1e-13 * width * width, nan_ok=True)


def test_what_varies_little_far_from_zero_loses_nothing_when_merged_at_once():
    """A thousand clocks: seconds since 1970, a millisecond apart."""
    chance = np.random.default_rng(1)
    batches_of = [1.7e9 + chance.normal(size=20) * 1e-3 for _ in range(50)]
    blocks = [packed([summary("a", batch)])[0][0] for batch in batches_of]

    blocks[0].merge(*blocks[1:])

    (merged,) = blocks[0].summaries()
    everything = np.concatenate(batches_of)
    assert merged.content.moments.mean == pytest.approx(everything.mean(), rel=1e-15)
    assert merged.content.moments.variance == pytest.approx(everything.var(ddof=1), rel=1e-3)


def test_of_exemplars_the_most_extreme_ones_are_kept():
    """As when columns are merged one by one."""
    sides = [
        [Exemplar(ExemplarReason.LARGEST, trace, trace, 1, value=float(trace)) for trace in traces]
        for traces in ((1, 2), (3, 4))
    ]
    expected = summary("a", [], exemplars=sides[0])
    expected.merge(summary("a", [], exemplars=sides[1]))
    (left,), (right,) = (packed([summary("a", [], exemplars=side)])[0] for side in sides)

    left.merge(right)

    assert left.summaries()[0].exemplars == expected.exemplars


@pytest.mark.parametrize("others", [["b"], ["a", "b"], ["b", "a"], ["c"]])
def test_other_columns_are_not_merged(others):
    """Rows are added by their place, so that places must agree."""
    (block,), _ = packed([summary("a", [1.0])])
    (other, *_), _ = packed([summary(name, [1.0]) for name in others])

    with pytest.raises(IncompatibleSketchError, match="columns into"):
        block.merge(other)

    assert block.counts.sum() == 1
