import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from otel_ml.sketch.row_sample import EVERY_ROW, MAX_COLUMNS, MAX_ROWS, RowSample, SampledColumn, merge_all

AMOUNT = SampledColumn("amount", is_numeric=True)
COUNTRY = SampledColumn("country", is_numeric=False)
AMOUNT_AS_TEXT = SampledColumn("amount", is_numeric=False)

_columns = st.sets(st.sampled_from([AMOUNT, COUNTRY, AMOUNT_AS_TEXT]), min_size=1)
_values = {
    True: st.one_of(st.floats(allow_nan=False), st.just(float("nan"))),
    False: st.one_of(st.none(), st.sampled_from(["NO", "SE", ""])),
}


@st.composite
def samples(draw):
    """A sample as a replica sends it: of its own columns, and with as many rows as it has room for."""
    # Few priorities, so that two rows sometimes have the same one.
    priorities = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12))
    columns = {
        column: draw(st.lists(_values[column.is_numeric], min_size=len(priorities), max_size=len(priorities)))
        for column in draw(_columns)
    }
    return RowSample.of(priorities, columns, max_rows=draw(st.integers(1, 15)))


def rows_of(priorities, **columns):
    read = {SampledColumn(name, not isinstance(values[0], str)): values for name, values in columns.items()}
    return RowSample.of(priorities, read)


@given(parts=st.lists(samples(), min_size=1, max_size=6), max_rows=st.integers(1, 20), chance=st.randoms())
def test_neither_order_nor_grouping_of_merges_makes_a_difference(parts, max_rows, chance):
    """However a thousand replicas are added up, the sample is the same to the bit."""
    expected = merge_all([_cut(part, max_rows) for part in parts], max_rows=max_rows)
    shuffled = [_cut(part, max_rows) for part in parts]
    chance.shuffle(shuffled)
    while len(shuffled) > 1:
        place = chance.randrange(len(shuffled) - 1)
        left, right = shuffled.pop(place), shuffled.pop(place)
        shuffled.insert(place, left.merged(right, max_rows=max_rows))

    assert shuffled[0] == expected


def _cut(sample, max_rows):
    return RowSample.of(sample.priorities, sample.columns, threshold=sample.threshold, max_rows=max_rows)


def test_merging_equals_having_seen_it_all():
    """Replicas that kept the smallest priorities of their rows know, together, the smallest of all."""
    chance = np.random.default_rng(1)
    priorities = chance.integers(EVERY_ROW, size=5_000, dtype=np.uint64)
    amounts = chance.normal(size=5_000)
    whole = RowSample.of(priorities, {AMOUNT: amounts}, max_rows=100)

    parts = [
        RowSample.of(priorities[rows], {AMOUNT: amounts[rows]}, max_rows=100)
        for rows in np.array_split(np.arange(5_000), 7)
    ]

    assert merge_all(parts, max_rows=100) == whole


def test_a_sample_holds_exactly_the_rows_below_its_threshold():
    """The threshold is the priority of the first row that was let go."""
    sample = RowSample.of([50, 10, 40, 20, 30], {AMOUNT: [5.0, 1.0, 4.0, 2.0, 3.0]}, max_rows=3)

    assert sample.priorities.tolist() == [10, 20, 30]
    assert sample.columns[AMOUNT].tolist() == [1.0, 2.0, 3.0]
    assert sample.threshold == 40


def test_rows_of_a_busy_replica_do_not_count_less_than_others():
    """Merging a replica that kept few of many rows cuts the rows of others to its share (else they would dominate)."""
    chance = np.random.default_rng(2)
    shares = []
    for _ in range(60):
        busy = RowSample.of(
            chance.integers(EVERY_ROW, size=10_000, dtype=np.uint64), {AMOUNT: [1.0] * 10_000}, max_rows=50
        )
        idle = RowSample.of(chance.integers(EVERY_ROW, size=1_000, dtype=np.uint64), {AMOUNT: [0.0] * 1_000})
        shares.extend(busy.merged(idle).columns[AMOUNT].tolist())

    # 10,000 of 11,000 rows are the busy one's; kept without a threshold, they would be 50 of 1,050.
    assert np.mean(shares) == pytest.approx(10 / 11, abs=0.015)


def test_every_row_is_in_the_sample_with_the_same_probability():
    """Chi-squared over the places of the rows that were kept, after merges of unequal replicas."""
    chance = np.random.default_rng(3)
    counts = np.zeros(20)
    for _ in range(600):
        priorities = chance.integers(EVERY_ROW, size=400, dtype=np.uint64)
        places = np.arange(400.0)
        parts = [
            RowSample.of(priorities[start:stop], {AMOUNT: places[start:stop]}, max_rows=size)
            for start, stop, size in ((0, 40, 30), (40, 340, 25), (340, 400, 100))
        ]
        kept = merge_all(parts, max_rows=20).columns[AMOUNT]
        counts += np.bincount((kept // 20).astype(int), minlength=20)

    expected = counts.sum() / 20
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert chi2.sf(statistic, 19) > 0.001


def test_a_column_that_one_sample_lacks_is_missing_from_its_rows():
    """As with summaries: a replica that does not send a column has no value there."""
    merged = rows_of([1, 3], amount=[1.0, 3.0]).merged(rows_of([2], country=["NO"]))

    np.testing.assert_array_equal(merged.columns[AMOUNT], [1.0, np.nan, 3.0])
    assert merged.columns[COUNTRY].tolist() == [None, "NO", None]


def test_memory_is_bounded_whatever_is_merged():
    """At most 2,000 rows and 100 columns are held, those whose names come first."""
    chance = random.Random(4)
    merged, seen = None, set()
    for _ in range(8):
        names = [f"{chance.randrange(1_000):03}" for _ in range(MAX_COLUMNS)]
        columns = {SampledColumn(name, is_numeric=True): [0.0] * 500 for name in names}
        sample = RowSample.of([chance.randrange(EVERY_ROW) for _ in range(500)], columns)
        merged = sample if merged is None else merged.merged(sample)
        seen |= {*names}

    assert len(merged) == MAX_ROWS
    assert [column.name for column in merged.columns] == sorted(seen)[:MAX_COLUMNS]


def test_infinite_numbers_count_as_missing():
    """They are counted elsewhere; here each number is finite or NaN."""
    sample = rows_of([1, 2, 3], amount=[np.inf, -np.inf, 1.0])

    np.testing.assert_array_equal(sample.columns[AMOUNT], [np.nan, np.nan, 1.0])


def test_a_sample_fits_into_the_bytes_there_are():
    """Rows with the largest priorities go, and the threshold says so."""
    sample = rows_of(range(1_000), amount=np.arange(1_000.0), country=["a country with a name"] * 1_000)

    cut = sample.within(4_096)

    assert 150 < len(cut) < 256
    assert cut.threshold == len(cut)
    assert cut.priorities.tolist() == list(range(len(cut)))
    assert sample.within(1 << 20) is sample


def test_rows_with_one_priority_are_kept_or_let_go_together():
    """Otherwise the sample would depend on which came first."""
    sample = rows_of([1, 2, 2, 2, 3], amount=[1.0, 4.0, 3.0, 2.0, 5.0])

    assert _cut(sample, 2).priorities.tolist() == [1]
    assert sample.columns[AMOUNT].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_nothing_merged_is_nothing():
    """No samples, no sample."""
    assert merge_all([]) is None


@settings(max_examples=20)
@given(sample=samples())
def test_merging_with_itself_keeps_the_threshold(sample):
    """A threshold only ever falls, and not without reason."""
    assert sample.merged(sample).threshold == sample.threshold
