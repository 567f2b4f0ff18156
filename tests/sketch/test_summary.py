import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    FeatureSummary,
    NumericSummary,
    OpaqueSummary,
)

KEY = FeatureKey(FeatureRole.FEATURE, "age")
LAYOUTS = [BinLayout(np.array([-1.0, 0.0, 1.0])), BinLayout(np.array([0.5, 2.0]))]


def numeric(values, place, layout=LAYOUTS[0]):
    """What one replica sends: its values in `place`."""
    values = np.asarray(values, np.float64)
    content = NumericSummary(Moments.of(values))
    if place == "bins":
        content.bins = {layout.hash: AnchoredBins.of(layout, values)}
    elif place == "exact":
        content.exact = ExactCounts.of(values)
    else:
        if "histogram" in place:
            content.histogram = ExponentialHistogram.of(values)
        if "quantiles" in place:
            content.quantiles = QuantileSketch()
            content.quantiles.update(values)
    return FeatureSummary(KEY, content, Counters(rows=len(values)))


def histogram_contents(histogram):
    if histogram is None or not histogram.count:
        return None
    sides = (histogram.positive.trimmed(), histogram.negative.trimmed())
    return histogram.scale, histogram.zero_count, [(side.offset, side.counts.tolist()) for side in sides]


def contents(summary):
    """Everything that must not depend on the order of merges."""
    content = summary.content
    exact = content.exact or ExactCounts()
    return (
        summary.counters,
        content.moments.count,
        content.moments.minimum,
        content.moments.maximum,
        {edges_hash: bins.counts.tolist() for edges_hash, bins in content.bins.items()},
        dict(zip(exact.values.tolist(), exact.counts.tolist(), strict=True)),
        histogram_contents(content.histogram),
        content.quantiles.count if content.quantiles else 0,
    )


def held(content):
    """How many values the summary holds, each place that stands for itself once."""
    return (
        sum(bins.count for bins in content.bins.values())
        + (content.exact.count if content.exact else 0)
        + (content.histogram.count if content.histogram else 0)
    )


few = st.lists(st.integers(-3, 3).map(float), max_size=30)
many = st.integers(0, 50).map(lambda start: [start + step / 7 for step in range(300)])
replicas = st.lists(
    st.one_of(
        st.builds(numeric, few | many, st.just("bins"), st.sampled_from(LAYOUTS)),
        st.builds(numeric, few, st.just("exact")),
        st.builds(numeric, st.integers(0, 9).map(lambda n: np.arange(200.0) + n * 100), st.just("exact")),
        st.builds(numeric, many, st.just("histogram and quantiles")),
        st.builds(numeric, st.just([]), st.just("no place")),
    ),
    min_size=1,
    max_size=6,
)


def merged(parts):
    whole = FeatureSummary(KEY, NumericSummary())
    for part in parts:
        whole.merge(part)
    return whole


@given(parts=replicas, order=st.randoms())
def test_merging_any_replicas_in_any_order_gives_the_same(parts, order):
    """Whichever baselines they knew, if any: counts, bins, exact values and buckets come out the same."""
    first = contents(merged(parts))
    order.shuffle(parts)

    second = contents(merged(parts))

    assert first == second


@given(parts=replicas)
def test_each_value_stays_in_exactly_one_place(parts):
    """Bins, exact counts and histogram with quantiles never hold a value twice, nor lose one."""
    content = merged(parts).content

    assert held(content) == content.moments.count == sum(part.content.moments.count for part in parts)
    if content.histogram or content.quantiles:
        assert content.histogram.count == content.quantiles.count
        assert content.exact is None


@given(parts=replicas)
def test_merging_leaves_the_other_as_it_was(parts):
    """A replica's summary can be merged again elsewhere."""
    before = [contents(part) for part in parts]

    whole = merged(parts)
    for part in copy.copy(parts):
        whole.merge(part)

    assert [contents(part) for part in parts] == before


def test_bins_of_different_baselines_are_kept_apart():
    """During a rollout some replicas know the new baseline and some the old one."""
    left, right = numeric([0.0, 3.0], "bins", LAYOUTS[0]), numeric([0.0, 1.0], "bins", LAYOUTS[1])

    left.merge(right)
    left.merge(right)

    assert {h: bins.counts.tolist() for h, bins in left.content.bins.items()} == {
        LAYOUTS[0].hash: [0, 1, 0, 1],
        LAYOUTS[1].hash: [2, 2, 0],
    }


def test_exact_counts_stay_exact_while_they_fit():
    """Up to 256 distinct values nothing is approximated."""
    left, right = numeric(np.arange(200.0), "exact"), numeric(np.arange(56.0) + 200, "exact")

    left.merge(right)

    assert left.content.exact.count == 256
    assert left.content.histogram is left.content.quantiles is None


def test_exact_counts_that_no_longer_fit_go_to_histogram_and_quantiles():
    """Both sides' values, as often as they were counted."""
    left, right = numeric(np.tile(np.arange(200.0), 3), "exact"), numeric(np.arange(200.0) + 150, "exact")

    left.merge(right)

    everything = np.concatenate((np.tile(np.arange(200.0), 3), np.arange(200.0) + 150))
    assert left.content.exact is None
    assert histogram_contents(left.content.histogram) == histogram_contents(ExponentialHistogram.of(everything))
    assert left.content.quantiles.count == 800


@pytest.mark.parametrize("reverse", [False, True])
def test_exact_counts_join_a_replica_that_has_sketches(reverse):
    """Whichever side the sketches are on."""
    pair = [numeric([1.0, 1.0, 5.0], "exact"), numeric(np.arange(300.0), "histogram and quantiles")]
    left, right = reversed(pair) if reverse else pair

    left.merge(right)

    assert left.content.exact is None
    assert left.content.histogram.count == left.content.quantiles.count == 303


@pytest.mark.parametrize("reverse", [False, True])
def test_quantiles_that_cover_only_some_replicas_are_let_go(reverse):
    """A server that sends plain histograms has no quantiles, and those of the others must not pass for all."""
    pair = [numeric(np.arange(300.0), "histogram"), numeric(np.arange(300.0), "histogram and quantiles")]
    left, right = reversed(pair) if reverse else pair

    left.merge(right)

    assert left.content.histogram.count == 600
    assert left.content.quantiles is None


@pytest.mark.parametrize("reverse", [False, True])
def test_a_histogram_is_made_of_quantiles_that_came_alone(reverse):
    """A server that sends quantiles only still counts in the histogram of all, as its sample says."""
    pair = [numeric(np.arange(150.0), "quantiles"), numeric([0.5], "exact")]
    left, right = reversed(pair) if reverse else pair

    left.merge(right)

    assert left.content.histogram.count == left.content.quantiles.count == 151


def test_merging_an_empty_summary_changes_nothing():
    """Not even which sketch holds the values."""
    for place in ("bins", "exact", "histogram and quantiles"):
        summary = numeric([1.0, 2.0], place)
        before = contents(summary)

        summary.merge(FeatureSummary(KEY, NumericSummary(exact=ExactCounts(), histogram=ExponentialHistogram())))

        assert contents(summary) == before


def test_bins_of_another_length_under_the_same_hash_are_refused():
    """Nothing was changed, neither by the bins that came first nor in the counters."""
    other_hash = LAYOUTS[1].hash
    left, right = numeric([1.0], "bins"), numeric([1.0], "bins")
    left.content.bins[other_hash] = AnchoredBins(other_hash, np.array([1, 1]))
    right.content.bins[other_hash] = AnchoredBins(other_hash, np.array([1, 1, 1]))
    before = contents(left)

    with pytest.raises(IncompatibleSketchError, match=f"{other_hash:016x}"):
        left.merge(right)

    assert contents(left) == before


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (NumericSummary(), FeatureKind.NUMERIC),
        (BooleanSummary(), FeatureKind.BOOLEAN),
        (CategoricalSummary(), FeatureKind.CATEGORICAL),
        (OpaqueSummary(), FeatureKind.OPAQUE),
    ],
)
def test_a_summary_knows_its_kind(content, kind):
    """The kind is that of the content, and merges with no other."""
    summary = FeatureSummary(KEY, content, Counters(rows=1))
    stranger = BooleanSummary() if kind is not FeatureKind.BOOLEAN else OpaqueSummary()

    assert summary.kind is kind
    with pytest.raises(IncompatibleSketchError, match="cannot merge"):
        summary.merge(FeatureSummary(KEY, stranger, Counters(rows=5)))
    assert summary.counters.rows == 1


def test_another_column_is_refused():
    """Summaries of different columns are not added up, even if their names differ by role only."""
    summary = FeatureSummary(KEY, BooleanSummary(1, 2))

    with pytest.raises(IncompatibleSketchError, match="'income'"):
        summary.merge(FeatureSummary(FeatureKey(FeatureRole.FEATURE, "income"), BooleanSummary(1, 2)))
    with pytest.raises(IncompatibleSketchError, match="'age'"):
        summary.merge(FeatureSummary(FeatureKey(FeatureRole.SCORE, "age"), BooleanSummary(1, 2)))

    assert summary.content == BooleanSummary(1, 2)


def test_truth_values_and_categories_add_up():
    """Replicas merged know what one would have known."""
    truths = FeatureSummary(KEY, BooleanSummary(1, 2), Counters(rows=3))
    truths.merge(FeatureSummary(KEY, BooleanSummary(10, 20), Counters(rows=30)))
    colours = FeatureSummary(KEY, CategoricalSummary())
    for names in ({"red": 1, "blue": 2}, {"red": 3, "green": 1}):
        part = CategoricalSummary()
        part.categories.update(names)
        part.cardinality.update(names)
        colours.merge(FeatureSummary(KEY, part))

    assert (truths.content, truths.counters.rows) == (BooleanSummary(11, 22), 33)
    assert colours.content.categories.counts == {"red": 4, "blue": 2, "green": 1}
    assert round(colours.content.cardinality.estimate()) == 3


def test_opaque_columns_are_counted():
    """Nothing but rows, missing and mismatched values is known of them."""
    summary = FeatureSummary(KEY, OpaqueSummary(), Counters(rows=2, missing=1))

    summary.merge(FeatureSummary(KEY, OpaqueSummary(), Counters(rows=2)))

    assert summary.counters == Counters(rows=4, missing=1)
