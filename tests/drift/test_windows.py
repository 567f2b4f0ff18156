"""What two windows are compared by."""

from itertools import product

import numpy as np
import pytest
from drift_samples import (
    KEY,
    boolean_summary,
    categorical_summary,
    datetime_summary,
    embedding_window,
    exact,
    layout_of,
    numeric_window,
    text_window,
)
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift import create, data_quality
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.drift.windows import window_distributions
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.feature import Counters, ModelKey
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

KS = create("ks")
PSI = create("psi")
CHI_SQUARED = create("chi_squared")
# Cut from data that neither window is of.
OLD = layout_of(np.random.default_rng(99).normal(size=5_000))
NEW = layout_of(np.random.default_rng(98).normal(0.2, 1.1, size=5_000))
FORMS = ["bins", "exact", "sampled", "histogram", "bins and sampled", "bins and exact"]


def normal(n, mean=0.0, deviation=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, size=n)


def window(values, form, layout=OLD):
    """A window of these values in one form, or half of them in either of two."""
    values = np.round(values, 1) if form == "exact" else np.asarray(values)
    if " and " not in form:
        return numeric_window(**{form: values}, layout=layout)
    left, right = form.split(" and ")
    middle = len(values) // 2
    rest = np.round(values[middle:], 1) if right == "exact" else values[middle:]
    return numeric_window(**{left: values[:middle], right: rest}, layout=layout)


def received(summary):
    """The summary as it arrives at the other end, where bins have lost their edges."""
    return codec.decode(codec.encode(Snapshot(bytes(16), 1, ModelKey("m"), 0, 1, 0, 0, [summary]))).features[0]


@pytest.mark.parametrize("theirs", FORMS)
@pytest.mark.parametrize("mine", FORMS)
def test_the_verdict_is_that_of_the_raw_values(mine, theirs):
    """Whatever two windows hold their values in: the same two samples give the same answer."""
    reference, same, moved = normal(3_000), normal(2_000, seed=1), normal(2_000, 0.5, seed=2)

    quiet = KS.compare(*window_distributions(window(reference, mine), window(same, theirs), [OLD]))
    drifted = KS.compare(*window_distributions(window(reference, mine), window(moved, theirs), [OLD]))

    truth = KS.compare(exact(reference), exact(moved))
    assert not quiet.drifted
    assert quiet.p_value > 0.05
    assert drifted.drifted
    assert drifted.p_value < 1e-6
    assert drifted.score == pytest.approx(truth.score, abs=0.03)


def test_bins_of_one_baseline_are_compared_as_they_are():
    """Integer counts over the same edges: nothing is estimated."""
    mine, theirs = normal(3_000), normal(2_000, 0.1, seed=1)

    pair = window_distributions(window(mine, "bins"), window(theirs, "bins"), [NEW, OLD])

    assert pair[0].points is pair[1].points is OLD.edges
    assert [side.rank_error for side in pair] == [0, 0]
    truth = np.abs(exact(mine).cdf(OLD.edges) - exact(theirs).cdf(OLD.edges)).max()
    assert KS.compare(*pair).score == pytest.approx(truth, abs=1e-12)


def test_bins_whose_edges_nobody_has_are_compared_by_position():
    """Ranks and masses do not ask for values: KS, PSI and chi-squared are those of the edges themselves."""
    mine, theirs = window(normal(3_000), "bins"), window(normal(2_000, 0.3, seed=1), "bins")

    known = window_distributions(mine, theirs, [OLD])
    unknown = window_distributions(mine, theirs)

    for detector in (KS, PSI, CHI_SQUARED):
        ours, other = detector.compare(*unknown), detector.compare(*known)
        assert ours.score == pytest.approx(other.score, rel=1e-9)
        assert ours.p_value == pytest.approx(other.p_value, rel=1e-9)


def test_bins_that_cannot_be_placed_are_left_out_of_a_mixture():
    """Some replicas count in bins of a baseline that is gone; the others are compared."""
    mixed = window(normal(500), "bins", NEW)
    mixed.merge(window(normal(3_000, seed=1), "bins"))

    pair = window_distributions(mixed, window(normal(2_000, seed=2), "bins"), [OLD])

    assert pair[0].total == 3_000
    assert window_distributions(window(normal(500), "bins", NEW), window(normal(500), "bins"), [OLD]) is None


@given(
    st.lists(st.integers(0, 3), min_size=40, max_size=40), st.permutations(range(4)), st.sampled_from(["bins", "exact"])
)
def test_replicas_leave_no_trace(replicas, order, form):
    """Split among processes and merged in any order, bins and exact counts give the same bits."""
    values, reference = np.round(normal(40), 1), window(normal(60, 0.3, seed=1), form)
    parts = [window(values[np.array(replicas) == replica], form) for replica in order]
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)

    split = KS.compare(*window_distributions(reference, merged, [OLD]))
    whole = KS.compare(*window_distributions(reference, window(values, form), [OLD]))

    assert split == whole


@given(shift=st.floats(-1, 1), seed=st.integers(0, 1_000))
def test_bins_of_two_baselines_never_seem_further_apart_than_they_are(shift, seed):
    """Of a value only its bin is known: both sides get the benefit of the doubt."""
    mine, theirs = normal(400, seed=seed), normal(300, shift, seed=seed + 1)

    reference, current = window_distributions(window(mine, "bins"), window(theirs, "bins", NEW), [OLD, NEW])

    truth = KS.compare(exact(mine), exact(theirs)).score
    # Shares are counts of the other side's total, rounded.
    assert KS.compare(reference, current).score <= truth + 0.5 / 300 + 0.5 / 400
    for side in (reference, current):
        assert (np.diff(side.cumulative) >= 0).all()


def test_bins_of_two_baselines_find_drift():
    """The doubt is of one bin in 64: a shift of a fifth of a standard deviation is found in 10,000 values."""
    pair = window_distributions(
        window(normal(10_000), "bins"), window(normal(10_000, 0.2, seed=1), "bins", NEW), [OLD, NEW]
    )

    result = KS.compare(*pair)

    assert result.p_value < 1e-6
    assert result.score == pytest.approx(0.08, abs=0.03)


def test_few_values_count_exactly_in_the_buckets_of_many():
    """A quiet window has 60 distinct values, yesterday's had too many: nothing is lost on either side."""
    many, few = normal(5_000), normal(60, 0.5, seed=1)

    pair = window_distributions(window(many, "sampled"), numeric_window(exact=few))

    assert [side.total for side in pair] == [5_000, 60]
    assert [side.rank_error for side in pair] == [0, 0]
    assert KS.compare(*pair).score == pytest.approx(KS.compare(exact(many), exact(few)).score, abs=0.02)


def test_a_large_offset_beside_tiny_outliers_is_compared_by_quantiles():
    """The histogram's buckets are spent on the orders of magnitude between."""
    values = [normal(5_000, 1_000, 5), normal(5_000, 1_002, 5, seed=1), normal(5_000, 1_000, 5, seed=2)]
    for some in values:
        some[:5] = 0.01
    reference, moved, same = (window(some, "sampled") for some in values)
    blind = window(values[1], "histogram")

    assert KS.compare(*window_distributions(reference, moved)).drifted
    assert not KS.compare(*window_distributions(reference, same)).drifted
    assert window_distributions(reference, blind) is None


def test_quantiles_alone_are_compared_with_a_histogram_alone():
    """Servers in other languages may know one of the two."""
    mine, theirs = window(normal(3_000), "sampled"), window(normal(3_000, 1.0, seed=1), "histogram")
    mine.content.histogram = None

    one_way, other_way = window_distributions(mine, theirs), window_distributions(theirs, mine)
    only_quantiles = window_distributions(mine, mine)

    assert KS.compare(*one_way).score == pytest.approx(0.38, abs=0.04)
    assert KS.compare(*other_way).score == pytest.approx(KS.compare(*one_way).score, abs=0.01)
    assert KS.compare(*only_quantiles).score == 0


@pytest.mark.parametrize("form", FORMS)
def test_what_was_sent_is_compared_like_what_was_counted(form):
    """References are kept as bytes: encoding must not look like drift."""
    mine, theirs = window(normal(3_000), form), window(normal(2_000, 0.3, seed=1), form)

    ours = PSI.compare(*window_distributions(mine, theirs, [OLD]))
    sent = PSI.compare(*window_distributions(received(mine), received(theirs), [OLD]))

    assert sent.score == pytest.approx(ours.score, abs=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_a_window_is_not_unlike_itself(form):
    """Identity gives 0."""
    same = window(normal(1_000), form)

    pair = window_distributions(same, same, [OLD])

    assert KS.compare(*pair).score == 0
    assert PSI.compare(*pair).score == 0


@pytest.mark.parametrize(
    ("mine", "theirs"), [("bins", "bins"), ("sampled", "sampled"), ("sampled", "exact"), ("new bins", "bins")]
)
def test_chance_alone_is_significant_in_at_most_one_of_twenty(mine, theirs):
    """p-values of two samples of one distribution are valid, whatever the windows hold them in."""
    random = np.random.default_rng(7)
    # Exact counts are of values that are round on both sides.
    digits = 1 if "exact" in (mine, theirs) else 12
    false_alarms = 0
    for _ in range(300):
        left, right = np.round(random.normal(size=700), digits), np.round(random.normal(size=500), digits)
        reference = window(left, mine.removeprefix("new "), NEW if mine == "new bins" else OLD)
        current = window(right, theirs)
        false_alarms += KS.compare(*window_distributions(reference, current, [OLD, NEW])).p_value < 0.05

    # 300 trials at 5 % exceed 7.7 % in one of a hundred.
    assert false_alarms / 300 < 0.08


def test_columns_that_are_no_numbers_are_compared_as_with_a_baseline():
    """Categories and truth values by their counts, texts by lengths, vectors by norms, times by the hour."""
    days = np.arange(200) * 86_400.0
    vectors = np.random.default_rng(0).normal(size=(500, 8))
    pairs = {
        "categories": window_distributions(categorical_summary({"a": 300}), categorical_summary({"a": 100, "b": 200})),
        "truth values": window_distributions(boolean_summary(300, 10), boolean_summary(10, 300)),
        "texts": window_distributions(text_window(["abc def"] * 300), text_window(["abc " * 30] * 300)),
        "vectors": window_distributions(embedding_window(vectors), embedding_window(2 * vectors)),
        "times": window_distributions(datetime_summary(days), datetime_summary(days + 7_200)),
    }

    found = {name: CHI_SQUARED.compare(*pair).p_value for name, pair in pairs.items()}

    assert all(p_value < 1e-6 for p_value in found.values()), found


@pytest.mark.parametrize(
    "sides",
    [
        lambda: (numeric_window(exact=[1.0, 2.0]), categorical_summary({"a": 1})),
        lambda: (numeric_window(), numeric_window(exact=[1.0])),
        lambda: (numeric_window(exact=[1.0]), numeric_window()),
        lambda: (numeric_window(bins=[1.0], layout=OLD), numeric_window(exact=[1.0])),
        lambda: (embedding_window(np.ones((5, 2))), embedding_window(np.ones((5, 3)))),
        lambda: (FeatureSummary(KEY, OpaqueSummary(), Counters(3)), FeatureSummary(KEY, OpaqueSummary(), Counters(3))),
    ],
    ids=["kinds", "no reference", "no values", "no edges", "dimensions", "opaque"],
)
def test_nothing_to_compare_is_none(sides):
    """No pair, so that no detector has to care."""
    assert window_distributions(*sides()) is None


def test_bins_that_contradict_their_edges_are_not_compared():
    """A hash that comes with another number of bins: a producer went wrong, and nothing breaks."""
    odd = window(normal(100), "bins")
    odd.content.bins[OLD.hash] = AnchoredBins(OLD.hash, np.ones(5, np.int64))

    assert window_distributions(odd, window(normal(100), "bins"), [OLD]) is None
    assert window_distributions(window(normal(100), "exact"), odd, [OLD]) is None


@pytest.mark.parametrize("layouts", [[OLD, NEW], []], ids=["edges known", "edges unknown"])
@pytest.mark.parametrize("mine", FORMS)
def test_every_detector_takes_every_pair(mine, layouts):
    """A score, or none where the detector does not apply; never an error, and never a p-value that is none."""
    detectors = [detector for name in BUILTIN_DETECTORS if (detector := create(name)).on_numbers]
    for theirs, layout in product(FORMS, (OLD, NEW)):
        pair = window_distributions(
            window(normal(800), mine), window(normal(500, 0.4, seed=3), theirs, layout), layouts
        )
        for result in [detector.compare(*pair) for detector in detectors if pair is not None]:
            assert np.isnan(result.score) or result.score >= 0
            assert result.p_value is None or 0 <= result.p_value <= 1


@pytest.mark.parametrize("value", [0.0, 5.0, 1e300])
def test_constants_compare(value):
    """A column that never varies, in whatever form."""
    for form in FORMS:
        mine, theirs = window(np.full(100, value), form), window(np.full(80, value), form)
        assert KS.compare(*window_distributions(mine, theirs, [OLD])).score == 0


def test_quality_against_a_window_asks_what_a_window_can_tell():
    """Missing values and categories are compared like those of a baseline; its range is that of a sample."""
    mine = numeric_window(bins=normal(1_000), layout=OLD, rows=1_000, missing=0)
    theirs = numeric_window(bins=np.append(normal(899, seed=1), np.full(1, 40.0)), layout=OLD, rows=1_000, missing=100)

    quality = data_quality(mine, theirs, OLD)
    categories = data_quality(categorical_summary({"a": 900, "b": 100}), categorical_summary({"a": 900, "c": 100}))

    assert quality.missing.is_degraded(0.05)
    assert quality.missing.p_value < 1e-9
    assert quality.out_of_range.count >= 1
    assert categories.unseen_category.count == 100
    assert categories.unseen_category.p_value < 1e-9


def test_values_in_a_bin_that_the_references_range_ends_in_count_as_inside():
    """Only whole bins beyond the range are certainly outside it; the extremes are known exactly."""
    reference = numeric_window(bins=np.linspace(-0.05, 0.05, 500), layout=OLD)
    current = numeric_window(bins=np.concatenate((np.linspace(-0.05, 0.05, 500), np.full(30, 3.0))), layout=OLD)

    outside = data_quality(reference, current, OLD).out_of_range
    same = data_quality(reference, reference, OLD).out_of_range

    assert outside.count == 30
    assert same.count == 0
