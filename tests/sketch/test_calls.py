import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.calls import ERROR_LIMIT, SCALE, CallSummary, durations_of, lumped
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.exponential import MAX_BUCKETS, Buckets, ExponentialHistogram, bucket_bounds
from otel_ml.sketch.kll_image import MAX_COUNT

# Half a bucket: (b - 1) / (b + 1) with b = 2^(1/8).
RELATIVE_ERROR = (2 ** (1 / 8) - 1) / (2 ** (1 / 8) + 1) + 1e-9


def summary_of(durations, errors=None, exemplars=()):
    summary = CallSummary()
    summary.update(np.array(durations, np.float64))
    summary.add_errors(errors or {})
    summary.add_exemplars(exemplars)
    return summary


def call(reason, time, duration_s, trace_id=7):
    """A request worth a look."""
    return Exemplar(reason, trace_id, trace_id and 3, time, "" if trace_id else f"id {time}", duration_s)


def view(summary):
    """What two equal summaries have in common."""
    durations = summary.durations
    assert len(durations.negative.counts) == 0
    assert len(durations.positive.counts) <= MAX_BUCKETS
    assert durations.scale == SCALE
    buckets = durations.positive
    exemplars = sorted(summary.exemplars, key=repr)
    return summary.count, summary.errors, durations.zero_count, buckets.offset, buckets.counts.tolist(), exemplars


def merged(parts):
    whole = CallSummary()
    for part in parts:
        whole.merge(part)
    return whole


every_duration = st.one_of(
    st.floats(1e-4, 10.0),
    st.floats(0.0, 1.7e308),
    st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 2.0, math.nan, math.inf, -1.0]),
)
names = st.sampled_from([f"Error{number}" for number in range(30)])
exemplars = st.builds(
    call,
    st.sampled_from([ExemplarReason.SLOWEST, ExemplarReason.FAILED]),
    st.integers(0, 5),
    st.none() | st.floats(0.0, 9.0),
    st.integers(0, 3),
)
summaries = st.builds(
    lambda durations, errors, found: summary_of(
        durations, dict.fromkeys(errors[: len(durations)], 1), found[: len(durations)]
    ),
    st.lists(every_duration, max_size=30),
    st.lists(names, max_size=30),
    st.lists(exemplars, max_size=6),
)


@given(st.lists(summaries, max_size=6), st.randoms(use_true_random=False), st.integers(0, 6))
def test_parts_add_up_to_the_same_in_any_order_and_grouping(parts, chance, cut):
    """Durations that are far apart and more types of errors than keep their names included."""
    whole = merged(parts)
    shuffled = list(parts)
    chance.shuffle(shuffled)

    assert view(merged(shuffled)) == view(whole)
    assert view(merged([merged(parts[:cut]), merged(parts[cut:])])) == view(whole)
    assert whole.count == sum(part.count for part in parts)
    assert whole.error_count == sum(part.error_count for part in parts)


@given(st.lists(st.lists(every_duration, max_size=40), max_size=4))
def test_merging_equals_having_seen_it_all(parts):
    """Two replicas merged know what one replica would have known."""
    together = summary_of([duration for part in parts for duration in part])

    assert view(merged(map(summary_of, parts))) == view(together)


@given(st.lists(st.one_of(st.floats(1e-3, 100.0), st.integers(-70, 40).map(lambda k: 2 ** (k / 8))), min_size=1))
def test_durations_fall_where_an_exponential_histogram_has_them(durations):
    """Bucket for bucket, bounds included; as long as they are not a million times apart."""
    histogram = ExponentialHistogram.of(np.array(durations))
    histogram.downscale(SCALE)

    found = summary_of(durations).durations.positive

    assert (found.offset, found.counts.tolist()) == (histogram.positive.offset, histogram.positive.counts.tolist())


def test_next_to_a_bound_the_bound_decides():
    """It belongs to the bucket below it, and the next double to the one above."""
    for index, bound in zip(range(-40, 24), bucket_bounds(SCALE, -40, 23).tolist(), strict=True):
        below, above = summary_of([bound]), summary_of([math.nextafter(bound, math.inf)])

        assert (below.durations.positive.offset, above.durations.positive.offset) == (index - 1, index)


@given(
    st.lists(st.floats(1e-4, 60.0), min_size=1, max_size=200),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]),
)
def test_quantiles_are_those_of_the_durations_within_the_width_of_a_bucket(durations, rank):
    """The smallest duration that so many did not exceed, within 4.4 %."""
    truth = sorted(durations)[max(0, math.ceil(rank * len(durations)) - 1)]

    assert summary_of(durations).quantile(rank) == pytest.approx(truth, rel=RELATIVE_ERROR)


def test_quantiles_of_nothing_and_of_no_time_at_all():
    """None where no duration is known; 0 where it took none that a clock could measure."""
    instant = summary_of([0.0, 0.0, 0.0, 1.0])

    assert CallSummary().quantiles([0.5, 0.99]) == [None, None]
    assert summary_of([math.nan]).quantile(0.5) is None
    assert instant.quantile(0.75) == 0.0
    assert instant.quantile(0.76) == pytest.approx(1.0, rel=RELATIVE_ERROR)
    assert math.isfinite(summary_of([1.7e308]).quantile(1.0))


@pytest.mark.parametrize("rank", [-0.1, 1.1, 50, math.nan])
def test_a_rank_that_is_no_share_is_an_error(rank):
    """Percent are not shares."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        summary_of([1.0]).quantile(rank)


def test_what_is_no_duration_is_a_call_all_the_same():
    """A clock that was set back, a time that nobody took."""
    summary = summary_of([math.nan, -1.0, math.inf, -math.inf, 0.5])

    assert summary.count == 5
    assert summary.durations.count == 1


def test_what_is_far_shorter_than_the_longest_counts_as_the_shortest():
    """160 buckets are a factor of a million; nothing is lost below."""
    summary = summary_of([1e-9, 1e-6, 60.0, 61.0])

    assert summary.durations.count == 4
    assert summary.quantile(0.5) == pytest.approx(64.0 / 2**20, rel=RELATIVE_ERROR)
    assert summary.quantile(1.0) == pytest.approx(61.0, rel=RELATIVE_ERROR)


def test_the_slowest_calls_and_the_last_that_failed_are_worth_a_look():
    """Two of each, whichever process they came to."""
    slowest, failed = ExemplarReason.SLOWEST, ExemplarReason.FAILED
    here = summary_of([1.0] * 4, exemplars=[call(slowest, 1, 0.5), call(slowest, 2, 3.0), call(failed, 3, 0.1)])
    there = summary_of([1.0] * 4, exemplars=[call(slowest, 9, 1.0), call(failed, 4, 0.2), call(failed, 2, 9.0)])

    whole = merged([here, there])

    assert [(found.reason, found.time_unix_nano, found.value) for found in whole.exemplars] == [
        (slowest, 2, 3.0),
        (slowest, 9, 1.0),
        (failed, 4, 0.2),
        (failed, 3, 0.1),
    ]


def test_errors_beyond_sixteen_types_have_no_name():
    """A program that makes up types of errors fills no memory; those that come first by name stay."""
    summary = summary_of([0.1] * 50, {f"Error{number:02}": 1 for number in range(49)})
    summary.add_errors({"": 1})

    assert len(summary.errors) == ERROR_LIMIT + 1
    assert summary.errors["_OTHER"] == 50 - ERROR_LIMIT
    assert summary.errors["Error15"] == 1
    assert summary.error_count == 50


def test_types_of_errors_are_what_a_wire_can_carry():
    """Long names are cut, lone surrogates written out."""
    summary = summary_of([0.1] * 2, {"E" * 500: 1, "\ud800": 1})

    assert summary.errors == {"E" * 128: 1, "\\ud800": 1}


def test_a_copy_is_independent():
    """A window that was given out stays as it was given out."""
    summary = summary_of([0.1, 0.0], {"ValueError": 1})
    before = view(summary)

    copy = summary.copy()
    copy.merge(summary_of([0.2, 0.0], {"KeyError": 1, "ValueError": 1}))

    assert view(summary) == before
    assert copy.count == 4


def test_sums_that_nobody_can_come_to_are_not_made():
    """Beyond 2^53, which is made up, there is nothing that could be kept or sent."""
    summary = CallSummary(MAX_COUNT - 1, {}, ExponentialHistogram(SCALE, MAX_COUNT - 1))

    summary.merge(summary_of([0.1, 0.2]))
    summary.merge(summary_of([0.1]))

    assert summary.count == MAX_COUNT
    assert summary.durations.count == MAX_COUNT


@given(
    scale=st.integers(-10, 20),
    offset=st.integers(-150, 150),
    counts=st.lists(st.integers(0, 1000), max_size=MAX_BUCKETS),
    zeros=st.integers(0, 9),
)
def test_a_histogram_of_any_scale_becomes_one_of_ours(scale, offset, counts, zeros):
    """Not a count is lost; trimmed, in at most 160 buckets."""
    reach = 900 * 2**scale if scale < 0 else 900
    offset = max(-reach, min(int(offset), reach - len(counts)))
    histogram = ExponentialHistogram(scale, zeros, Buckets(int(offset), np.array(counts, np.int64)))

    found = durations_of(histogram)

    assert (found.scale, found.count) == (SCALE, histogram.count)
    assert found.positive.is_trimmed
    assert len(found.positive.counts) <= MAX_BUCKETS


def test_a_coarser_bucket_is_taken_for_its_middle():
    """(1, 4] at scale -1 is about 2."""
    found = CallSummary(3, {}, durations_of(ExponentialHistogram(-1, 0, Buckets(0, np.array([3])))))

    assert found.quantile(0.5) == pytest.approx(2.0, rel=0.1)


def test_finer_buckets_become_ours_exactly():
    """As if the durations had been counted here."""
    durations = np.random.default_rng(4).lognormal(-4, 0.5, 500)
    fine = ExponentialHistogram.of(durations)

    assert fine.scale > SCALE
    assert view(CallSummary(500, {}, durations_of(fine))) == view(summary_of(durations))


def test_lumping_keeps_every_count():
    """The lowest bucket holds what lies below."""
    counts = np.array(random.Random(3).choices(range(1, 9), k=400))

    found = lumped(Buckets(-100, counts))

    assert (found.offset, found.end) == (140, 300)
    assert int(found.counts.sum()) == int(counts.sum())
    assert found.counts[1:].tolist() == counts[241:].tolist()
