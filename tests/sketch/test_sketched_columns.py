"""Columns of histograms and quantiles in matrices are the same as columns one by one."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketched_columns import packed_sketches
from otel_ml.sketch.summary import FeatureSummary, NumericSummary, OpaqueSummary

NAMES = ["a", "b", "c"]
finite = st.floats(allow_nan=False, allow_infinity=False)
batches = st.fixed_dictionaries({name: st.lists(finite, max_size=6) for name in NAMES})


def summary(name, values, *, quantiles=True, missing=0, exemplars=()):
    """As it comes from another process: quantiles are an image."""
    values = np.asarray(values, dtype=np.float64)
    content = NumericSummary(Moments.of(values), histogram=ExponentialHistogram.of(values))
    if quantiles:
        sketch = QuantileSketch()
        sketch.update(values)
        content.quantiles = QuantileSketch.from_image(sketch.image(), sketch.image_kind)
    counters = Counters(rows=len(values) + missing, missing=missing)
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), content, counters, list(exemplars))


def summaries(part, **of_each):
    return [summary(name, part[name], **of_each) for name in NAMES]


def contents(features):
    """Everything that is in them, in an order of no importance."""
    return {
        feature.key: (
            feature.counters,
            feature.content.moments,
            histogram_contents(feature.content.histogram),
            quantile_contents(feature.content.quantiles),
            feature.exemplars,
        )
        for feature in features
    }


def histogram_contents(histogram):
    sides = [(side.offset, side.counts.tolist()) for side in (histogram.negative, histogram.positive)]
    return histogram.scale if any(counts for _, counts in sides) else None, histogram.zero_count, sides


def quantile_contents(sketch):
    return None if sketch is None else (sketch.k, sketch.count, sketch.rank_error, sketch.image())


def test_only_columns_that_are_nothing_but_sketches_are_packed():
    """Those with quantiles and those without cannot be merged with each other."""
    exact = summary("d", [1.0])
    exact.content.exact = ExactCounts.of(np.array([2.0]))
    other = FeatureSummary(FeatureKey(FeatureRole.FEATURE, "e"), OpaqueSummary(), Counters())
    alone = summary("f", [1.0])
    alone.content.histogram = None

    blocks, others = packed_sketches(
        [summary("a", [1.0]), summary("c", [3.0], quantiles=False), summary("b", []), exact, other, alone]
    )

    assert [[key.name for key in block.keys] for block in blocks] == [["a", "b"], ["c"]]
    assert others == [exact, other, alone]


def test_one_long_histogram_does_not_make_thousands_of_short_ones_long():
    """A message of half a megabyte would otherwise take fifty times that."""
    short, long = summary("short", [1.0]), summary("long", np.geomspace(1.0, 1e9, 1_000))
    many = [FeatureSummary(FeatureKey(FeatureRole.FEATURE, str(index)), short.content) for index in range(5_000)]

    (alike,), _ = packed_sketches(many)
    blocks, others = packed_sketches([*many, long])

    assert len(alike.keys) == 5_000
    assert blocks == []
    assert len(others) == 5_001


@given(values=batches, quantiles=st.booleans())
def test_what_was_packed_comes_out_again(values, quantiles):
    """Counters, moments, sketches and exemplars; an empty column too."""
    exemplar = Exemplar(ExemplarReason.LARGEST, 1, 2, 3)
    features = summaries(values, quantiles=quantiles, missing=2, exemplars=[exemplar])

    (block,), _ = packed_sketches(features)

    assert contents(block.summaries()) == contents(features)


@given(parts=st.lists(batches, min_size=1, max_size=20), quantiles=st.booleans())
def test_merging_matrices_is_merging_columns_to_the_bit(parts, quantiles):
    """Whichever way snapshots came, and however many: the window is the same."""
    first, *rest = [summaries(part, quantiles=quantiles, missing=1) for part in parts]
    (block,), _ = packed_sketches(deepcopy(first))
    for features in rest:
        block.merge(packed_sketches(features)[0][0])
        for mine, theirs in zip(first, features, strict=True):
            mine.merge(theirs)

    assert contents(block.summaries()) == contents(first)


def test_many_values_in_many_parts_keep_every_quantile_within_its_error():
    """Sketches that wait are added up as they would have been one by one."""
    chance = np.random.default_rng(5)
    parts = [[summary("a", chance.normal(size=3_000))] for _ in range(20)]
    whole = deepcopy(parts[0])
    (block,), _ = packed_sketches(deepcopy(parts[0]))

    for part in parts[1:]:
        whole[0].merge(part[0])
        block.merge(packed_sketches(part)[0][0])

    assert contents(block.summaries()) == contents(whole)


def test_looking_at_columns_does_not_change_them():
    """Neither do those that look change them."""
    (block,), _ = packed_sketches([summary("a", [1.0, 2.0])])
    block.merge(packed_sketches([summary("a", [3.0])])[0][0])
    (before,) = block.summaries()
    expected = deepcopy(contents([before]))

    before.merge(summary("a", [9.0] * 500))

    assert contents(block.summaries()) == expected


def test_a_copy_grows_alone():
    """What one of the two takes in, the other does not see."""
    (block,), _ = packed_sketches([summary("a", [1.0], exemplars=[Exemplar(ExemplarReason.LARGEST, 1, 1, 1)])])
    before = contents(block.summaries())
    twin = block.copy()

    for value in range(20):
        exemplar = Exemplar(ExemplarReason.SMALLEST, value + 2, 1, 1)
        twin.merge(packed_sketches([summary("a", [float(value)], exemplars=[exemplar])])[0][0])

    assert contents(block.summaries()) == before
    assert twin.summaries()[0].content.quantiles.count == 21


def test_what_is_merged_in_stays_as_it_was():
    """Two windows may take in the same snapshot."""
    (block,), _ = packed_sketches([summary("a", [1.0])])
    (other,), _ = packed_sketches([summary("a", [5.0, 6.0])])
    before = contents(other.summaries())

    for _ in range(20):
        block.merge(other)

    assert contents(other.summaries()) == before
    assert block.summaries()[0].content.count == 41


@pytest.mark.parametrize("others", [["b"], ["a", "b"], ["b", "a"]])
def test_other_columns_are_not_merged(others):
    """Rows are added by their place, so that places must agree."""
    (block,), _ = packed_sketches([summary("a", [1.0])])
    (other, *_), _ = packed_sketches([summary(name, [1.0]) for name in others])

    with pytest.raises(IncompatibleSketchError, match="columns into"):
        block.merge(other)

    assert block.histograms.totals.tolist() == [1]


def test_histograms_alone_are_not_merged_with_quantiles():
    """Quantiles of the other replicas only would pass for those of all."""
    (block,), _ = packed_sketches([summary("a", [1.0])])
    (other,), _ = packed_sketches([summary("a", [1.0], quantiles=False)])

    with pytest.raises(IncompatibleSketchError, match="columns into"):
        block.merge(other)

    assert block.histograms.totals.tolist() == [1]
