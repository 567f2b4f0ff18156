"""Vectors seen along fixed directions."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.projected import SLICE_BINS, SLICES, WAVES, ProjectedVectors, ProjectionLayout, directions


def vectors(rows, dimensions=5, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, size=(rows, dimensions))


def layout_of(matrix):
    return ProjectionLayout.of_moments(matrix.mean(axis=0), np.cov(matrix, rowvar=False))


def projected(matrix, layout):
    summary = ProjectedVectors.anchored(layout)
    summary.update(matrix)
    return summary


def test_the_directions_are_what_their_description_says():
    """Any language can produce them: the bits of a byte of SHAKE-256 an entry."""
    drawn = hashlib.shake_256(b"otel_ml.v1.Projections").digest(144 * 70)

    waves, slices = directions(70)

    for row, column in [(0, 0), (0, 127), (3, 21), (69, 5)]:
        assert waves[row, column] == pytest.approx((drawn[144 * row + column].bit_count() - 4) / math.sqrt(2))
    for row, column in [(0, 0), (12, 15)]:
        assert slices[row, column] == pytest.approx((drawn[144 * row + 128 + column].bit_count() - 4) / math.sqrt(2))


def test_directions_are_nearly_normal():
    """With mean 0, variance 1 and no dimension like another."""
    waves, _ = directions(128)

    assert abs(waves.mean()) < 0.02
    assert waves.var() == pytest.approx(1.0, abs=0.03)
    assert np.abs(np.corrcoef(waves) - np.eye(128)).max() < 0.45


def test_waves_are_averages_of_cosines_and_sines():
    """Of what each direction sees of a vector, over the scale."""
    matrix = vectors(400)
    layout = layout_of(matrix)

    waves = projected(matrix, layout).waves / 400

    phases = matrix @ directions(5)[0] / layout.scale
    assert np.allclose(waves[:WAVES], np.cos(phases).mean(axis=0), atol=1e-5)
    assert np.allclose(waves[WAVES:], np.sin(phases).mean(axis=0), atol=1e-5)


def test_slices_are_counted_in_fourths_of_their_standard_deviation():
    """Below 15 widths under the centre is bin 0, from 15 widths above on is bin 31."""
    layout = ProjectionLayout(1.0, np.full(SLICES, 10.0), np.full(SLICES, 4.0))
    slices = directions(1)[1][0]
    along = int(np.flatnonzero(slices > 0)[0])
    places = np.array([-1e300, 10 - 15.1, 10 - 15.0, 9.9, 10.0, 10.9, 11.0, 10 + 15.0, 1e300]) / slices[along]

    counts = projected(places[:, np.newaxis], layout).counts[along]

    assert counts.nonzero()[0].tolist() == [0, 1, 15, 16, 17, 31]
    assert counts[[0, 1, 15, 16, 17, 31]].tolist() == [2, 1, 1, 2, 1, 2]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 9))
def test_any_partition_gives_the_same_counts_and_waves(sizes, seed):
    """Counts to the bit, waves up to rounding."""
    matrix = vectors(sum(sizes), seed=seed)
    layout = layout_of(vectors(100))
    merged = ProjectedVectors.anchored(layout)

    for part in np.split(matrix, np.cumsum(sizes)[:-1])[::-1]:
        merged.merge(projected(part, layout))

    whole = projected(matrix, layout)
    assert merged.counts.tolist() == whole.counts.tolist()
    assert merged.count == whole.count
    assert np.allclose(merged.waves, whole.waves, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1e-300, -1e300, 1.7e308])
def test_extreme_vectors_leave_finite_sums(value):
    """Each counts once in every slice, and no wave exceeds its vectors."""
    summary = projected(np.full((3, 5), value), layout_of(vectors(100)))

    assert summary.counts.sum(axis=1).tolist() == [3] * SLICES
    assert summary.counts.shape == (SLICES, SLICE_BINS)
    assert np.isfinite(summary.waves).all()
    assert np.abs(summary.waves).max() <= 3.0 + 1e-5


def test_vectors_that_do_not_vary_have_no_layout():
    """There is nothing to measure by."""
    assert ProjectionLayout.of_moments(np.ones(3), np.zeros((3, 3))) is None
    assert ProjectionLayout.of_moments(np.full(3, 1e9), np.eye(3)) is None
    assert ProjectionLayout.of_moments(np.full(3, math.nan), np.eye(3)) is None


@pytest.mark.parametrize(
    ("scale", "centre", "deviation"), [(0.0, 0.0, 1.0), (1.0, math.inf, 1.0), (1.0, 0.0, 0.0), (math.nan, 0.0, 1.0)]
)
def test_a_layout_that_measures_nothing_is_refused(scale, centre, deviation):
    """Whoever sent it."""
    with pytest.raises(ValueError, match="layout"):
        ProjectionLayout(scale, np.full(SLICES, centre), np.full(SLICES, deviation))


def test_without_its_layout_nothing_can_be_added():
    """What came over the wire knows it by name only."""
    layout = layout_of(vectors(100))
    summary = ProjectedVectors(layout.hash, 0, np.zeros(2 * WAVES), np.zeros((SLICES, SLICE_BINS), np.int64))

    with pytest.raises(IncompatibleSketchError, match=f"{layout.hash:016x}: cannot add vectors"):
        summary.update(vectors(1))


def embedding(matrix, layout=None):
    summary = EmbeddingSummary.anchored(None, projections=layout)
    summary.update(matrix)
    return summary


def test_an_embedding_keeps_projections_of_all_its_vectors_or_of_none():
    """Replicas that knew another baseline, or none, leave the window without."""
    mine, other = layout_of(vectors(100)), layout_of(vectors(100, seed=1))
    for theirs, expected in [(mine, 30), (other, None), (None, None)]:
        merged = EmbeddingSummary()
        merged.merge(embedding(vectors(10), mine))
        merged.merge(embedding(vectors(20), theirs))

        assert merged.count == 30
        assert (merged.projected and merged.projected.count) == expected


def test_merging_leaves_the_other_side_as_it_was():
    """Whatever is added later."""
    layout = layout_of(vectors(100))
    first, merged = embedding(vectors(10), layout), EmbeddingSummary()
    merged.merge(first)

    merged.merge(embedding(vectors(20), layout))

    assert (first.projected.count, merged.projected.count) == (10, 30)
