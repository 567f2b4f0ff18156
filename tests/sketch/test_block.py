import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.block import NumericBlock
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments

pieces = st.lists(st.integers(0, 3000), max_size=6)
odd_values = st.sampled_from(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5, 5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308]
)


def keys(count):
    return [FeatureKey(FeatureRole.FEATURE, f"feature {i}") for i in range(count)]


def drained(matrix, layouts=None):
    matrix = np.asarray(matrix)
    block = NumericBlock(keys(matrix.shape[1]), layouts or [None] * matrix.shape[1])
    block.update(matrix)
    return block.drain()


def contents(histogram):
    sides = (histogram.positive, histogram.negative)
    return histogram.scale, histogram.zero_count, [(side.offset, side.counts.tolist()) for side in sides]


def normal(rows, columns, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def layout_of(values):
    return layout_from_quantiles(np.sort(values))


@given(rows=st.lists(st.lists(odd_values, min_size=3, max_size=3), min_size=1, max_size=30))
def test_every_cell_is_counted_once_as_what_it_is(rows):
    """Missing, infinite either way, or finite and in the moments, the histogram, and bins or exact counts."""
    matrix = np.array(rows)
    layout = layout_of(np.array([-2.5, 0.0, 1.0]))

    columns = drained(matrix, [None, layout, None])

    for values, column in zip(matrix.T, columns, strict=True):
        finite = values[np.isfinite(values)]
        content = column.summary.content
        assert column.summary.counters == Counters(
            rows=len(values),
            missing=np.count_nonzero(np.isnan(values)),
            positive_infinite=np.count_nonzero(values == np.inf),
            negative_infinite=np.count_nonzero(values == -np.inf),
        )
        expected = Moments.of(finite)
        assert (content.moments.count, content.moments.minimum) == (expected.count, expected.minimum)
        assert content.moments.maximum == expected.maximum
        assert content.moments.mean == pytest.approx(
            expected.mean, rel=1e-12, abs=1e-12 * np.abs(finite).max(initial=1)
        )
        assert content.moments.m2 == pytest.approx(expected.m2, rel=1e-12)
        assert contents(column.histogram) == contents(ExponentialHistogram.of(finite))
        if content.bins:
            assert content.bins[layout.hash].counts.tolist() == AnchoredBins.of(layout, finite).counts.tolist()
        elif content.exact:
            assert content.exact.values.tolist() == ExactCounts.of(finite).values.tolist()
            assert content.exact.counts.tolist() == ExactCounts.of(finite).counts.tolist()
        assert column.summary.counters.valid == len(finite) == sum(holders(content))


def test_equal_values_have_no_variance():
    """Rounding of the mean must not show as a spread."""
    content = drained(np.full((5000, 2), 0.1))[0].summary.content

    assert (content.moments.mean, content.moments.m2) == (0.1, 0.0)


def holders(content):
    """How many values each place that may hold a value holds."""
    return [
        *(bins.count for bins in content.bins.values()),
        content.exact.count if content.exact else 0,
        content.quantiles.count if content.quantiles else 0,
    ]


@pytest.mark.parametrize("rows", [1, 1023, 4096, 10_000])
@pytest.mark.parametrize("features", [1, 25, 200])
def test_a_block_knows_what_separate_sketches_would(rows, features):
    """Whether rows fill the buffer, overflow it or hardly begin to: bins, moments and histogram are the same."""
    matrix = normal(rows, features)
    layouts = [layout_of(matrix[:, 0])] * features

    columns = drained(matrix, layouts)

    for values, column in zip(matrix.T, columns, strict=True):
        content = column.summary.content
        assert content.bins[layouts[0].hash].counts.tolist() == AnchoredBins.of(layouts[0], values).counts.tolist()
        assert contents(column.histogram) == contents(ExponentialHistogram.of(values))
        assert content.moments.mean == pytest.approx(values.mean(), abs=1e-12)
        assert content.moments.m2 == pytest.approx(np.square(values - values.mean()).sum(), rel=1e-12)
        assert content.exact is content.histogram is content.quantiles is None


@given(sizes=pieces)
def test_how_rows_come_in_makes_no_difference(sizes):
    """One matrix or many small ones: the same counts."""
    matrix = np.round(normal(sum(sizes), 2), 2)
    layouts = [layout_of(normal(500, 1)[:, 0]), None]
    block = NumericBlock(keys(2), layouts)

    for part in np.split(matrix, np.cumsum(sizes)[:-1] if sizes else []):
        block.update(part)

    assert block.rows == len(matrix)
    at_once = drained(matrix, layouts)
    in_pieces = block.drain()
    assert len(in_pieces) == len(at_once) == (2 if len(matrix) else 0)
    for left, right in zip(in_pieces, at_once, strict=True):
        assert left.summary.counters == right.summary.counters
        assert contents(left.histogram) == contents(right.histogram)
    if len(matrix):
        bins = [columns[0].summary.content.bins[layouts[0].hash].counts.tolist() for columns in (in_pieces, at_once)]
        assert bins[0] == bins[1]


def test_few_distinct_values_are_counted_one_by_one():
    """Without a layout, up to 256 distinct values need no other sketch."""
    matrix = np.arange(20_000.0).reshape(-1, 1) % 256

    content = drained(matrix)[0].summary.content

    assert content.exact.count == 20_000
    assert content.histogram is content.quantiles is None
    assert not content.bins


def test_the_257th_value_moves_a_column_to_quantiles_and_histogram():
    """What was counted exactly until then goes along: nothing is lost, nothing is in two places."""
    matrix = np.concatenate((np.arange(9000) % 200, np.arange(9000) % 500)).astype(float).reshape(-1, 1)

    column = drained(matrix)[0]

    content = column.summary.content
    assert content.exact is None
    assert content.quantiles.count == content.histogram.count == 18_000
    assert contents(content.histogram) == contents(column.histogram)
    truth = np.searchsorted(np.sort(matrix[:, 0]), np.arange(500.0), side="right") / 18_000
    assert np.abs(content.quantiles.distribution().cdf(np.arange(500.0)) - truth).max() < 0.03


def test_the_metric_and_the_snapshot_do_not_share_a_histogram():
    """One is accumulated, the other sent: changing either leaves the other alone."""
    column = drained(normal(500, 1))[0]

    column.histogram.update(np.array([1e9]))

    assert column.summary.content.histogram.count == 500


def test_a_column_of_nothing_is_all_missing():
    """Rows count, and no sketch pretends to have seen a value."""
    column = drained(np.full((2000, 1), np.nan), [layout_of(np.array([1.0]))])[0]

    assert column.summary.counters == Counters(rows=2000, missing=2000)
    assert column.summary.content.moments.count == 0
    assert not column.summary.content.bins
    assert column.histogram.count == 0


def test_values_of_another_kind_are_not_missing():
    """The caller says how many NaN stand for a mismatch; the rest is missing."""
    block = NumericBlock(keys(2), [None, None])

    block.update(np.array([[np.nan, 1.0], [np.nan, 2.0]]), mismatched=np.array([1, 0]))
    block.update(np.array([[np.nan, np.nan]]), mismatched=np.array([0, 1]))

    counters = [column.summary.counters for column in block.drain()]
    assert counters == [Counters(rows=3, missing=2, mismatched=1), Counters(rows=3, missing=0, mismatched=1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint64, np.bool_, ">f8", np.longdouble, object])
def test_any_numeric_type_is_taken(dtype):
    """Columns are doubles inside, whatever came."""
    matrix = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)

    columns = drained(matrix)

    assert columns[0].summary.content.exact.counts.tolist() == [1, 2]
    assert columns[1].summary.content.exact.values.tolist() == [0.0, 1.0]


def test_a_number_beyond_the_doubles_is_infinite():
    """Wider floats that do not fit are counted as infinite, without a warning."""
    column = drained(np.array([[np.longdouble("1e4000")], [np.longdouble(1)]]))[0]

    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        assert column.summary.counters.positive_infinite == 1


@pytest.mark.parametrize(
    "matrix", [normal(50, 6)[:, ::2], np.asfortranarray(normal(50, 3)), normal(100, 3)[::-2], normal(3, 50).T]
)
def test_any_memory_layout_is_taken(matrix):
    """Strides and order of the caller's array do not matter, and it may be read-only."""
    matrix.flags.writeable = False

    columns = drained(matrix)

    assert [column.summary.content.exact.values.tolist() for column in columns] == np.sort(matrix, axis=0).T.tolist()


def test_the_callers_array_is_neither_kept_nor_touched():
    """Rows are copied: what becomes of the array afterwards is the caller's business."""
    matrix = normal(10, 1)
    before = matrix.copy()
    block = NumericBlock(keys(1), [None])

    block.update(matrix)
    assert matrix.tolist() == before.tolist()
    matrix[:] = 7.0

    assert block.drain()[0].summary.content.exact.values.tolist() == np.sort(before[:, 0]).tolist()


def test_draining_starts_anew():
    """What was drained is gone, layouts stay, and an interval without rows has nothing to say."""
    layout = layout_of(normal(300, 1)[:, 0])
    block = NumericBlock(keys(1), [layout])
    block.update(normal(5000, 1))
    block.drain()

    assert block.drain() == []
    block.update(normal(7, 1))
    column = block.drain()[0]
    assert column.summary.counters.rows == 7
    assert column.summary.content.bins[layout.hash].count == 7


def test_columns_can_be_finished_while_rows_come_in():
    """Lazily drained columns belong to the interval before, whenever they are asked for."""
    block = NumericBlock(keys(2), [None, None])
    block.update(np.zeros((10, 2)))

    columns = block.drain_lazily()
    block.update(np.ones((3, 2)))

    assert [column.summary.counters.rows for column in columns] == [10, 10]
    assert [column.summary.content.exact.values.tolist() for column in block.drain()] == [[1.0], [1.0]]


@pytest.mark.parametrize("features", [1, 25, 1000])
def test_work_can_be_done_in_steps(features):
    """A full buffer takes no rows until it is stepped through, a column at a time if need be; nothing is lost."""
    matrix = normal(5000, features)
    layouts = [layout_of(matrix[:, 0])] * features
    block = NumericBlock(keys(features), layouts)

    taken, steps = 0, []
    while taken < len(matrix):
        taken += block.fill(matrix[taken:])
        if taken < len(matrix):
            assert block.fill(matrix[taken:]) == 0
        count = 1
        while block.step(budget_s=0.0):
            count += 1
        steps.append(count)
    block.seal()
    while block.step():
        pass

    columns = block.drain()
    assert steps[0] == features
    assert all(column.summary.counters.rows == 5000 for column in columns)
    assert all(column.summary.content.bins[layouts[0].hash].count == 5000 for column in columns)


def test_without_a_full_buffer_there_is_no_step():
    """Nothing to do is said at once."""
    block = NumericBlock(keys(1), [None])
    block.seal()
    block.update(np.zeros((5, 1)))

    assert not block.step()
    assert block.drain()[0].summary.counters.rows == 5


def test_no_columns_is_no_problem():
    """A model of categories only has rows all the same."""
    block = NumericBlock([], [])
    block.update(np.empty((5, 0)))

    assert block.rows == 5
    assert block.drain() == []


@pytest.mark.parametrize("matrix", [np.zeros(3), np.zeros((2, 2)), np.zeros((1, 3, 1))])
def test_a_matrix_of_other_columns_is_refused(matrix):
    """One column for each key, or none of it is taken."""
    block = NumericBlock(keys(3), [None] * 3)

    with pytest.raises(ValueError, match="matrix: shape"):
        block.update(matrix)

    assert block.rows == 0


def test_each_key_has_its_layout_or_none():
    """Keys and layouts come in pairs."""
    with pytest.raises(ValueError, match="layouts: 1"):
        NumericBlock(keys(2), [None])


@given(
    repeated=st.lists(st.tuples(odd_values, st.integers(1, 5)).filter(lambda pair: not np.isinf(pair[0])), max_size=6),
    anchored=st.booleans(),
    first=st.booleans(),
)
def test_a_repeated_value_counts_as_if_it_had_come_as_often(repeated, anchored, first):
    """The cost is that of one, the summary that of many; before, after or between other values."""
    layout = layout_of(np.array([-2.5, 0.0, 1.0])) if anchored else None
    others = np.array([[0.5], [-7.0], [np.inf]])
    block = NumericBlock(keys(1), [layout])
    if first:
        block.update(others)
    block.add_rows(sum(count for _, count in repeated))
    for value, count in repeated:
        block.add_repeated(0, value, count)
    if not first:
        block.update(others)
    (column,) = block.drain()

    (expected,) = drained([*others, *([value] for value, count in repeated for _ in range(count))], [layout])

    assert column.summary.counters == expected.summary.counters
    assert contents(column.histogram) == contents(expected.histogram)
    mine, theirs = column.summary.content, expected.summary.content
    assert (mine.moments.count, mine.moments.minimum) == (theirs.moments.count, theirs.moments.minimum)
    assert mine.moments.mean == pytest.approx(theirs.moments.mean, rel=1e-12, abs=1e-12 * abs(theirs.moments.minimum))
    if layout is not None:
        assert mine.bins[layout.hash].counts.tolist() == theirs.bins[layout.hash].counts.tolist()
    else:
        assert mine.exact.values.tolist() == theirs.exact.values.tolist()
        assert mine.exact.counts.tolist() == theirs.exact.counts.tolist()


def test_the_257th_value_may_be_a_repeated_one():
    """From then on there are quantiles, which hold every value."""
    block = NumericBlock(keys(1), [None])
    block.update(np.arange(256.0).reshape(-1, 1))
    block.add_rows(1_000)
    block.add_repeated(0, -1.0, 1_000)

    (column,) = block.drain()

    assert column.summary.content.exact is None
    assert column.summary.content.quantiles.count == 1_256


def test_values_of_one_column_may_come_on_their_own():
    """As the stored values of a sparse matrix do, in any order."""
    block = NumericBlock(keys(2), [None, None])
    block.add_rows(4)
    block.add_values(0, np.array([3.0, 1.0, np.nan, np.inf]))
    block.add_repeated(1, np.nan, 4)

    first, second = block.drain()

    assert first.summary.counters == Counters(rows=4, missing=1, positive_infinite=1)
    assert first.summary.content.moments.mean == 2.0
    assert second.summary.counters == Counters(rows=4, missing=4)
