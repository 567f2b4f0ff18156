"""Sparse matrices say the same as dense ones, at the cost of what they store."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from otel_ml.baseline import Baseline
from otel_ml.recording.accumulator import MAX_FEATURES, ModelAccumulator
from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.columns import MatrixBatch, SparseBatch, batch_of
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import FeatureKind, FeatureRole, ModelKey

SMALLEST = 5e-324
FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]

numbers = st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0, -2.5, 3e-5, 1e300, -0.0, np.nan, np.inf, -np.inf])
many_numbers = st.one_of(numbers, st.floats(-1e6, 1e6), st.integers(-400, 400).map(float))
matrices = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(many_numbers, min_size=width, max_size=width), min_size=1, max_size=40)
)
baseline = Baseline.build(
    {
        "f0": np.linspace(-5.0, 5.0, 500),
        "f1": [0, 1] * 250,
        "f2": [True, False] * 250,
        "absent": np.linspace(0.0, 1.0, 500),
    },
    model="m",
    categorical=["f1"],
)


def names(width):
    return tuple(f"f{index}" for index in range(width))


def told(batches, baseline=None):
    columns = ColumnSet(FeatureRole.FEATURE, baseline=baseline, max_columns=100)
    for batch in batches:
        for piece in batch.pieces():
            for _ in columns.take(piece):
                pass
    drained = []
    for _ in columns.drain(drained):
        pass
    return {column.summary.key.name: column for column in drained}


def is_close(left, right):
    return left == pytest.approx(right, rel=1e-9, abs=1e-9 * abs(right)) or (np.isinf(left) and np.isinf(right))


def assert_same(left, right):
    """Two drained columns hold the same values; sampled quantiles the same number of them."""
    assert left.summary.kind is right.summary.kind
    assert left.summary.counters == right.summary.counters
    if left.summary.kind is not FeatureKind.NUMERIC:
        if left.summary.kind is FeatureKind.CATEGORICAL:
            assert left.summary.content.categories == right.summary.content.categories
        else:
            assert left.summary.content == right.summary.content
        return
    mine, theirs = left.summary.content, right.summary.content
    assert (mine.moments.count, mine.moments.minimum, mine.moments.maximum) == (
        theirs.moments.count,
        theirs.moments.minimum,
        theirs.moments.maximum,
    )
    scale = max(abs(theirs.moments.minimum), abs(theirs.moments.maximum)) if theirs.moments.count else 0.0
    # Half of the smallest double is none: there, each value added may move a moment by as much.
    smallest = theirs.moments.count * SMALLEST
    assert mine.moments.mean == pytest.approx(theirs.moments.mean, rel=1e-9, abs=1e-12 * scale + smallest)
    assert np.isinf(mine.moments.m2) == np.isinf(theirs.moments.m2)
    if np.isfinite(theirs.moments.m2):
        assert mine.moments.m2 == pytest.approx(theirs.moments.m2, rel=1e-9, abs=1e-12 * scale * scale + smallest)
    for one, other in ((left.histogram, right.histogram), (mine.histogram, theirs.histogram)):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one.scale, one.zero_count) == (other.scale, other.zero_count)
            for side in ("positive", "negative"):
                my_side, their_side = getattr(one, side).trimmed(), getattr(other, side).trimmed()
                assert my_side.offset == their_side.offset
                assert my_side.counts.tolist() == their_side.counts.tolist()
    assert {key: bins.counts.tolist() for key, bins in mine.bins.items()} == {
        key: bins.counts.tolist() for key, bins in theirs.bins.items()
    }
    assert (mine.exact is None) == (theirs.exact is None)
    if mine.exact is not None:
        assert dict(zip(mine.exact.values, mine.exact.counts, strict=True)) == dict(
            zip(theirs.exact.values, theirs.exact.counts, strict=True)
        )
    assert (mine.quantiles is None) == (theirs.quantiles is None)
    if mine.quantiles is not None:
        assert mine.quantiles.count == theirs.quantiles.count


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(matrices, min_size=1, max_size=3), pinned=st.booleans())
@example(parts=[[[5e-324], [0.0]]], pinned=False)
@example(parts=[[[5e-324]], [[2e-323]]], pinned=True)
def test_a_sparse_matrix_says_what_the_dense_one_says(parts, pinned):
    """Implicit zeros are values the model saw, in moments, bins, exact counts and histograms alike."""
    dense = [np.array(part) for part in parts]
    known = baseline if pinned else None

    left = told([batch_of(sparse.csr_matrix(part), names) for part in dense], known)
    right = told([batch_of(part, names) for part in dense], known)

    assert left.keys() == right.keys()
    for name, column in left.items():
        assert_same(column, right[name])


@pytest.mark.parametrize("rows", [3, 5000])
def test_more_distinct_values_than_are_counted_one_by_one_say_the_same(rows):
    """Whichever of zeros and values come first."""
    random = np.random.default_rng(1)
    dense = np.where(random.random((rows, 3)) < 0.7, 0.0, random.normal(size=(rows, 3)))

    left = told([batch_of(sparse.csr_array(dense), names)])
    right = told([batch_of(dense, names)])

    for name, column in left.items():
        assert_same(column, right[name])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("make", [sparse.coo_matrix, sparse.coo_array], ids=["matrix", "array"])
def test_every_format_is_read(format_, make, summaries):
    """A matrix is what it is, however it is stored."""
    dense = np.array([[0.0, 2.0], [0.0, 0.0], [4.0, 0.0]])

    found = summaries(make(dense).asformat(format_))

    exact = found["f0"].content.exact
    assert dict(zip(exact.values, exact.counts, strict=True)) == {0.0: 2, 4.0: 1}
    assert found["f1"].content.moments.mean == pytest.approx(2 / 3)


def test_an_entry_stored_twice_is_the_sum(summaries):
    """So scipy means it; the matrix itself is left as it is."""
    matrix = sparse.csr_matrix((np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))

    found = summaries(matrix)

    assert found["f0"].content.moments.mean == 3.0
    assert matrix.nnz == 2


def test_a_sparse_vector_is_a_row(summaries):
    """Like a dense one."""
    found = summaries(sparse.coo_array(np.array([0.0, 5.0])))

    assert [found[name].counters.rows for name in ("f0", "f1")] == [1, 1]
    assert found["f1"].content.moments.mean == 5.0


def test_truth_values_stay_truth_values(summaries):
    """What is not stored is False."""
    found = summaries(sparse.csr_matrix(np.array([[True], [False], [False]])))

    assert (found["f0"].content.true_count, found["f0"].content.false_count) == (1, 2)


def test_a_frame_of_sparse_columns_is_read_as_a_sparse_matrix():
    """pandas has them from `get_dummies` and `from_spmatrix`."""
    labels = [f"word {index}" for index in range(100)]
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.eye(20, 100, format="csr"), columns=labels)

    batch = batch_of(frame, names)

    assert isinstance(batch, SparseBatch)
    assert batch.names == tuple(labels)
    assert told([batch])["word 3"].summary.content.moments.mean == pytest.approx(0.05)


def test_sparse_rows_dense_rows_and_dicts_meet_in_the_same_columns(summaries):
    """A server may be asked in several ways within one interval."""
    found = summaries(
        sparse.csr_matrix([[0.0, 1.0], [0.0, 3.0]]), [{"f0": 4.0, "f1": 2.0}], np.array([[0.0, 2.0]]), cut=True
    )

    assert found["f0"].counters.rows == found["f1"].counters.rows == 4
    assert found["f0"].content.moments.mean == 1.0
    assert found["f1"].content.moments.mean == 2.0


def test_a_narrower_matrix_lacks_the_columns_it_has_not(summaries):
    """Zero is not the same as not there."""
    found = summaries(sparse.csr_matrix([[0.0, 1.0]]), sparse.csr_matrix([[5.0]]))

    assert found["f1"].counters.missing == 1
    assert found["f0"].counters.missing == 0


def test_of_a_hundred_thousand_columns_the_first_ones_are_summarised():
    """Within the limit of features, and without ever holding the dense matrix."""
    wide = sparse.random(2_000, 100_000, density=5e-4, format="csr", rng=np.random.default_rng(0))
    accumulator = ModelAccumulator(ModelKey("m"), max_features=50)
    info = ModelInfo(ModelKey("m"))
    accumulator.add([Inference(info, "predict", wide[:1])])  # names are made once

    tracemalloc.start()
    accumulator.add([Inference(info, "predict", wide[1:])])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    drained = accumulator.drain()

    assert len(drained.columns) == 50
    assert {column.summary.counters.rows for column in drained.columns} == {2_000}
    assert drained.let_go == {MAX_FEATURES: 2_000}
    assert peak < 16 * 1024 * 1024  # dense, the rows would be 1.6 GB
    (column,) = [column for column in drained.columns if column.summary.key.name == "f7"]
    assert column.summary.content.moments.count == 2_000
    assert column.summary.content.moments.mean == pytest.approx(wide[:, [7]].sum() / 2_000)


@given(counts=st.lists(st.integers(0, 40_000), min_size=1, max_size=12))
def test_pieces_of_sparse_rows_are_the_rows(counts):
    """Cutting for short bursts loses and repeats nothing, whatever a row stores."""
    starts = np.concatenate(([0], np.cumsum(counts)))
    entries = np.arange(starts[-1])
    batch = SparseBatch(("f0",), starts, entries, entries.astype(float))

    pieces = list(batch.pieces())

    assert [int(count) for piece in pieces for count in np.diff(piece.starts)] == counts
    assert np.array_equal(np.concatenate([piece.columns for piece in pieces]), entries)
    assert all(len(piece.columns) <= 16_384 or len(piece) == 1 for piece in pieces)


def test_a_matrix_that_is_sparse_is_no_matrix_batch():
    """It must not be made dense on the way."""
    assert not isinstance(batch_of(sparse.eye(3, format="csr"), names), MatrixBatch)
