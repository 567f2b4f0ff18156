"""What is known of vectors."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_samples import without_radial_moments

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch import embedding
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.embedding import EmbeddingSummary, projection
from otel_ml.sketch.vector_sums import VectorMoments, upper_triangle


def vectors(rows, dimensions, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=(rows, dimensions))


def summary_of(matrix):
    summary = EmbeddingSummary()
    summary.update(matrix)
    return summary


@pytest.mark.parametrize("dimensions", [2, 63, 64, 65, 128])
def test_mean_and_covariance_are_those_of_the_vectors(dimensions):
    """Up to 128 dimensions nothing is projected."""
    matrix = vectors(300, dimensions)

    summary = summary_of(matrix)

    assert np.allclose(summary.mean(), matrix.mean(axis=0))
    assert np.allclose(summary.scatter() / 299, np.cov(matrix, rowvar=False))


@pytest.mark.parametrize("dimensions", [129, 384])
def test_more_dimensions_are_projected(dimensions):
    """Moments are those of the vectors times the fixed matrix; norms are those of the vectors."""
    matrix = vectors(200, dimensions)

    summary = summary_of(matrix)

    assert np.allclose(summary.mean(), (matrix @ projection(dimensions)).mean(axis=0))
    assert np.allclose(summary.scatter() / 199, np.cov(matrix @ projection(dimensions), rowvar=False))
    assert summary.norms.moments.mean == pytest.approx(np.linalg.norm(matrix, axis=1).mean(), rel=1e-3)


def test_the_projection_is_what_its_description_says():
    """Any language can produce it: a bit of SHAKE-256 an entry, the lowest of a byte first."""
    drawn = hashlib.shake_256(b"otel_ml.v1.Embedding").digest(8 * 200)

    matrix = projection(200)

    for row, column in [(0, 0), (0, 7), (0, 8), (3, 21), (199, 63)]:
        bit = drawn[8 * row + column // 8] >> column % 8 & 1
        assert matrix[row, column] == (-0.125 if bit else 0.125)
    assert (matrix[0, :16] * 8).tolist() == [1, 1, 1, -1, -1, 1, 1, 1, -1, 1, 1, 1, -1, -1, 1, 1]


def test_the_projection_keeps_distances():
    """Within what chance allows for 64 directions."""
    matrix = vectors(50, 768)

    kept = np.linalg.norm(matrix @ projection(768), axis=1) / np.linalg.norm(matrix, axis=1)

    assert np.abs(kept - 1.0).max() < 0.4


def test_rounding_errors_do_not_tell_vectors_of_length_one_apart():
    """Normalised in single precision, they have norms of a millionth more or less."""
    matrix = vectors(500, 96)
    normalised = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)

    assert summary_of(normalised).norms.exact.values.tolist() == [1.0]


def test_norms_are_counted_in_the_bins_of_a_baseline():
    """Where the process knows it."""
    summary = EmbeddingSummary.anchored(BinLayout(np.array([1.0, 6.0])), dimensions=2)

    summary.update(np.array([[3.0, 4.0], [30.0, 40.0], [0.0, 0.0]]))

    assert [bins.counts.tolist() for bins in summary.norms.bins.values()] == [[1, 1, 1]]


@given(
    st.lists(st.integers(0, 70), min_size=1, max_size=5),
    st.sampled_from([1, 3, 130]),
    st.integers(0, 9),
)
def test_any_partition_gives_the_same_moments(sizes, dimensions, seed):
    """Batches, replicas and their order do not matter, but for rounding."""
    matrix = vectors(sum(sizes), dimensions, seed)
    parts = np.split(matrix, np.cumsum(sizes)[:-1])

    merged = EmbeddingSummary()
    for part in parts[::-1]:
        merged.merge(summary_of(part))

    whole = summary_of(matrix)
    assert (merged.dimensions, merged.count) == (whole.dimensions, whole.count)
    assert np.allclose(merged.total, whole.total)
    assert np.allclose(merged.products, whole.products)
    assert merged.norms.exact.values.tolist() == whole.norms.exact.values.tolist() if merged.norms.exact else True


def test_vectors_of_another_length_are_refused_whole():
    """None of the batch is added."""
    summary = summary_of(vectors(3, 4))

    with pytest.raises(IncompatibleSketchError, match="5 dimensions to those of 4"):
        summary.update(vectors(2, 5))

    assert (summary.count, summary.norms.count) == (3, 3)


def test_a_summary_that_was_told_the_length_refuses_the_first_of_another():
    """As the baseline knows it."""
    with pytest.raises(IncompatibleSketchError):
        EmbeddingSummary.anchored(None, dimensions=4).update(vectors(1, 3))


def test_unreasonable_lengths_are_refused():
    """A matrix of a million columns is no embedding."""
    with pytest.raises(IncompatibleSketchError, match="65537 dimensions"):
        EmbeddingSummary().update(np.zeros((1, embedding.MAX_DIMENSIONS + 1)))


def test_numbers_that_overflow_raise_no_warning():
    """Infinite products are the honest answer; the norm is the largest there is."""
    summary = summary_of(np.array([[1e300, -1e300], [1.0, 1.0]]))

    assert summary.count == 2
    assert summary.norms.moments.maximum == 2.0**1023


def radial_moments_of(matrix):
    deviations = matrix - matrix.mean(axis=0)
    squares = np.square(deviations).sum(axis=1)
    return (squares[:, np.newaxis] * deviations).sum(axis=0), np.square(squares).sum()


@pytest.mark.parametrize("dimensions", [1, 5, 200])
def test_radial_moments_are_those_of_the_deviations(dimensions):
    """About the mean, however the vectors came in."""
    matrix = np.random.default_rng(1).exponential(size=(300, dimensions))
    summary = summary_of(matrix[:100])
    summary.merge(summary_of(matrix[100:]))
    kept = matrix if dimensions <= embedding.DIRECT_DIMENSIONS else matrix @ projection(dimensions)

    third, fourth = summary.radial_moments()

    expected_third, expected_fourth = radial_moments_of(kept)
    assert np.allclose(third, expected_third, atol=1e-6 * expected_fourth)
    assert fourth == pytest.approx(expected_fourth)


def test_moments_give_back_the_summary_they_came_from():
    """Mean, scatter and radial moments say the same as the sums about 0."""
    summary = summary_of(vectors(300, 5))

    triangle = summary.scatter()[upper_triangle(5)]
    moments = VectorMoments(300, summary.mean(), triangle, *summary.radial_moments())
    again = EmbeddingSummary.of_moments(5, moments, summary.norms)

    assert np.allclose(again.cubes, summary.cubes)
    assert again.fourth == pytest.approx(summary.fourth)


def test_radial_moments_that_are_lost_in_rounding_are_unknown():
    """Far from 0, differences of fourth powers are noise; of vectors that are all the same, they are 0."""
    assert summary_of(vectors(300, 3) + 1e6).radial_moments() is None
    assert summary_of(np.full((300, 3), 1e6)).radial_moments()[1] == 0.0


def test_radial_moments_are_unknown_where_a_part_came_without():
    """A server that does not send them leaves the window without a test, not with a wrong one."""
    summary, without = summary_of(vectors(300, 3)), without_radial_moments(summary_of(vectors(100, 3)))

    summary.merge(without)

    assert summary.radial_moments() is None
