import hashlib
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import MAX_BINS, AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.moments import Moments

anything = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(
    st.one_of(anything, st.integers(-20, 20).map(float), st.just(0.0), st.sampled_from([5e-324, -5e-324, 1e308])),
    min_size=1,
    max_size=300,
).map(lambda values: np.sort(np.array(values)))
BIGGEST = sys.float_info.max


def counted(layout, values):
    """The definition, value by value: bin i is (e of i-1, e of i]."""
    counts = [0] * layout.bins
    for value in values:
        counts[sum(edge < value for edge in layout.edges)] += 1
    return counts


def normal(count, seed=0):
    return np.random.default_rng(seed).normal(size=count)


def test_the_hash_is_the_published_one():
    """The first 8 bytes, big endian, of the SHA-256 of the edges as little-endian doubles."""
    layout = BinLayout(np.array([-1.5, 0.0, 2.25]))

    digest = hashlib.sha256(struct.pack("<3d", -1.5, 0.0, 2.25)).digest()
    assert layout.hash == int.from_bytes(digest[:8], "big")


def test_equal_edges_have_equal_hashes():
    """-0.0 equals 0.0, whatever its bytes."""
    assert BinLayout(np.array([-0.0, 1.0])).hash == BinLayout(np.array([0.0, 1.0])).hash
    assert BinLayout(np.array([-0.0, 1.0])) == BinLayout(np.array([0.0, 1.0]))


def test_a_layout_does_not_follow_the_array_it_was_made_from():
    """Edges are a read-only copy."""
    edges = np.array([1.0, 2.0])
    layout = BinLayout(edges)

    edges[0] = -5.0

    assert layout.edges.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        layout.edges[0] = 0.0


@pytest.mark.parametrize("edges", [[], [[1.0, 2.0]], [1.0, 1.0], [2.0, 1.0], [0.0, np.inf], [np.nan], [-0.0, 0.0]])
def test_edges_that_cut_nothing_are_refused(edges):
    """Edges are one non-empty row, finite and strictly increasing."""
    with pytest.raises(ValueError, match="edges"):
        BinLayout(np.array(edges))


@given(baseline=samples, values=st.lists(anything, max_size=50))
def test_bins_are_closed_on_the_right(baseline, values):
    """Bin i holds what is above the edge before it, up to and including its own."""
    layout = layout_from_quantiles(baseline)

    bins = AnchoredBins.of(layout, np.array([*values, *layout.edges]))

    assert bins.counts.tolist() == counted(layout, [*values, *layout.edges])


@given(values=samples, bins=st.integers(1, 64))
def test_any_baseline_can_be_cut(values, bins):
    """Whatever the values, edges are finite, strictly increasing, and at most 127; the ends are where they must be."""
    layout = layout_from_quantiles(values, bins=bins)

    assert np.isfinite(layout.edges).all()
    assert (layout.edges[1:] > layout.edges[:-1]).all()
    assert 2 <= layout.bins <= MAX_BINS
    assert layout.edges[-1] == values[-1]
    with np.errstate(over="ignore"):
        assert layout.edges[0] == max(np.nextafter(values[0], -np.inf), -BIGGEST)


@given(values=samples, others=samples)
def test_the_outermost_bins_count_exactly_what_is_out_of_range(values, others):
    """Bin 0 holds what is below the baseline's minimum, the last bin what is above its maximum."""
    counts = AnchoredBins.of(layout_from_quantiles(values), others).counts

    if values[0] > -BIGGEST:
        assert counts[0] == np.count_nonzero(others < values[0])
    assert counts[-1] == np.count_nonzero(others > values[-1])


def test_bins_of_a_continuous_baseline_hold_equal_mass():
    """64 bins of equal mass, and an empty one beyond either end of the range."""
    values = np.sort(normal(64_000))

    counts = AnchoredBins.of(layout_from_quantiles(values), values).counts

    assert counts.tolist() == [0, *[1000] * 64, 0]


@pytest.mark.parametrize("factor", [1e-310, 1e-12, 1e300])
def test_heavy_tails_are_cut_by_mass_not_by_width(factor):
    """Quantiles do not mind what the scale of the values is."""
    values = np.sort(np.random.default_rng(1).standard_cauchy(10_000) * factor)

    counts = AnchoredBins.of(layout_from_quantiles(values), values).counts

    assert counts[1:-1].max() <= 2 * 10_000 / 64
    assert counts[[0, -1]].tolist() == [0, 0]


def test_an_atom_has_a_bin_of_its_own():
    """Where every third value is zero, its neighbours on either side are not mixed with it."""
    values = normal(9_000)
    values[::3] = 0.0
    layout = layout_from_quantiles(np.sort(values))

    alone = AnchoredBins.of(layout, np.array([0.0, 0.0])).counts
    beside = AnchoredBins.of(layout, np.array([5e-324, -5e-324])).counts

    assert not (alone.astype(bool) & beside.astype(bool)).any()
    assert AnchoredBins.of(layout, values).counts.max() == 3_000


def test_few_distinct_values_have_bins_and_gaps_between_them():
    """A value the baseline never had, between two it had, falls into a bin that should be empty."""
    layout = layout_from_quantiles(np.sort(np.tile(np.arange(10.0), 7)))

    seen = AnchoredBins.of(layout, np.arange(10.0)).counts
    unseen = AnchoredBins.of(layout, np.arange(10.0) + 0.5).counts

    assert seen.max() == 1
    assert not (seen.astype(bool) & unseen.astype(bool)).any()


def test_a_constant_is_told_from_everything_else():
    """One value makes three bins: below, itself, above."""
    layout = layout_from_quantiles(np.full(5, 0.1))

    counts = AnchoredBins.of(layout, np.array([0.1, np.nextafter(0.1, 0), np.nextafter(0.1, 1), 0.1])).counts

    assert counts.tolist() == [1, 2, 1]


@pytest.mark.parametrize("distinct", [62, 63, 64, 65, 126, 127, 128, 1000])
def test_no_more_than_128_bins_come_out(distinct):
    """Atoms and gaps share what room there is, the heaviest atoms first."""
    values = np.sort(np.tile(np.arange(float(distinct)), 3))

    layout = layout_from_quantiles(values)

    assert layout.bins <= MAX_BINS
    assert AnchoredBins.of(layout, values).count == len(values)


@given(counts=st.lists(st.tuples(st.integers(-50, 50).map(float), st.integers(1, 20)), min_size=1, max_size=100))
def test_a_weighted_value_counts_as_often_as_it_weighs(counts):
    """Weights are an abbreviation of repetition."""
    ordered = sorted(counts)
    values, weights = (np.array(column) for column in zip(*ordered, strict=True))

    weighted = layout_from_quantiles(values, weights)

    assert weighted == layout_from_quantiles(np.repeat(values, weights))


def test_a_sample_may_have_missed_the_extremes():
    """The true minimum and maximum take the ends of the range where they are given."""
    layout = layout_from_quantiles(np.arange(100.0), minimum=-5.0, maximum=500.0)

    assert layout.edges[[0, -1]].tolist() == [np.nextafter(-5.0, -np.inf), 500.0]


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [-np.inf, 1.0], [2.0, 1.0]])
def test_values_that_are_no_sorted_sample_are_refused(values):
    """There must be a finite value, and they come in order."""
    with pytest.raises(ValueError, match="values"):
        layout_from_quantiles(np.array(values))


@pytest.mark.parametrize("bins", [0, 65])
def test_a_number_of_bins_out_of_range_is_refused(bins):
    """1 to 64, so that atoms find room below 128."""
    with pytest.raises(ValueError, match=f"bins: {bins}"):
        layout_from_quantiles(np.arange(3.0), bins=bins)


@given(parts=st.lists(samples, min_size=1, max_size=6), order=st.randoms())
def test_merging_replicas_in_any_order_gives_the_same_bits(parts, order):
    """Counts are integers: nothing depends on how many replicas there were or who came first."""
    layout = layout_from_quantiles(parts[0])
    at_once = AnchoredBins.of(layout, np.concatenate(parts))
    order.shuffle(parts)

    merged = AnchoredBins.of(layout)
    for part in parts:
        merged.merge(AnchoredBins.of(layout, part))

    assert merged.counts.tobytes() == at_once.counts.tobytes()


def test_counts_from_the_wire_merge_but_cannot_count():
    """With the hash only, there is nothing to compare values with, until a merge brings the edges."""
    layout = BinLayout(np.array([1.0]))
    bins = AnchoredBins(layout.hash, np.array([2, 3]))
    with pytest.raises(IncompatibleSketchError, match=f"{layout.hash:016x}"):
        bins.update(np.array([1.0]))

    bins.merge(AnchoredBins.of(layout, np.array([5.0])))
    bins.update(np.array([0.0]))

    assert bins.counts.tolist() == [3, 4]


@pytest.mark.parametrize("stranger", [AnchoredBins(7, np.array([1, 1])), AnchoredBins(8, np.array([1, 1, 1]))])
def test_other_edges_do_not_merge(stranger):
    """Counts between different edges mean different things; nothing is changed."""
    bins = AnchoredBins(8, np.array([1, 2]))

    with pytest.raises(IncompatibleSketchError, match=r"bins 0{15}8"):
        bins.merge(stranger)

    assert bins.counts.tolist() == [1, 2]


def test_the_distribution_is_exact_at_the_edges():
    """At an edge the share of values at or below it is known; between edges it is interpolated."""
    values = normal(1000)
    layout = layout_from_quantiles(np.sort(values))

    distribution = AnchoredBins.of(layout, values).distribution()

    exact = np.searchsorted(np.sort(values), layout.edges, side="right") / 1000
    assert distribution.cdf(layout.edges).tolist() == exact.tolist()
    assert not distribution.is_step


def test_moments_say_how_far_the_open_bins_reach():
    """Beyond the outermost edges only the extremes are known."""
    layout = BinLayout(np.array([0.0, 1.0]))
    values = np.array([-4.0, 0.5, 3.0, 5.0])

    distribution = AnchoredBins.of(layout, values).distribution(moments=Moments.of(values))

    assert (distribution.minimum, distribution.maximum) == (-4.0, 5.0)
    assert distribution.cdf(np.array([-4.1, -2.0, 3.0, 5.0])) == pytest.approx([0.0, 0.125, 0.75, 1.0])


def test_a_distribution_needs_the_right_edges():
    """Counts that know their hash only take the layout from whoever holds the baseline, if it is the same one."""
    layout = BinLayout(np.array([0.0, 1.0]))
    bins = AnchoredBins(layout.hash, np.array([1, 1, 0]))

    assert bins.distribution(layout).cumulative.tolist() == [1, 2]
    for missing in (None, BinLayout(np.array([0.0, 2.0]))):
        with pytest.raises(IncompatibleSketchError, match="edges"):
            bins.distribution(missing)


def test_empty_bins_have_no_extremes():
    """Nothing counted: a total of zero and NaN."""
    distribution = AnchoredBins.of(BinLayout(np.array([0.0]))).distribution()

    assert distribution.total == 0
    assert np.isnan(distribution.minimum)
    assert np.isnan(distribution.cdf(np.array([0.0]))).all()
