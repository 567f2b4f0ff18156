"""Reading what a message says about vectors, written by anybody."""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.embedding import MAX_DIMENSIONS, EmbeddingSummary, kept_dimensions
from otel_ml.sketch.numbers_decoding import fail, read_counts
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.projected import SLICE_BINS, SLICES, WAVES, ProjectedVectors, ProjectionLayout
from otel_ml.sketch.sketch import CountArray, FloatArray

# A float is rounded by 6e-8 of itself, and below 1e-38 by 1e-45.
_ROUNDED: Final = 1.0 + 1e-6
_SMALLEST: Final = 1e-44


def read_vectors(message: pb.Embedding, valid: int, norms: NumericSummary) -> EmbeddingSummary:
    """Moments of `valid` vectors, and what else is known of them, with the `norms` that were read already.

    Raises:
        CorruptSnapshotError: They contradict themselves, or are of more or fewer vectors.
    """
    dimensions, kept = message.dimensions, kept_dimensions(message.dimensions)
    if dimensions > MAX_DIMENSIONS or bool(dimensions) != bool(valid):
        fail(f"embedding: {dimensions} dimensions of {valid} vectors (1 to {MAX_DIMENSIONS}, 0 without vectors)")
    if len(message.mean) != kept or len(message.scatter) != kept * (kept + 1) // 2:
        fail(
            f"embedding: a mean of {len(message.mean)} and a scatter of {len(message.scatter)} numbers,"
            f" for {dimensions} dimensions ({kept} and {kept * (kept + 1) // 2})"
        )
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaNs
        mean, triangle = np.array(message.mean, np.float64), np.array(message.scatter, np.float64)
    scatter = triangle.take(_places(kept))
    variances = scatter.diagonal()
    if not (np.isfinite(mean).all() and np.isfinite(triangle).all() and (variances >= 0.0).all()):
        fail("embedding: mean or scatter are not finite, or a variance is negative")
    deviations = np.sqrt(variances)
    if not (np.abs(scatter) <= _ROUNDED * np.multiply.outer(deviations, deviations) + _SMALLEST).all():
        fail("embedding: a covariance is larger than its variances allow")
    radial = _radial_moments(message, variances, valid)
    projected = _projected(message.projections, valid) if message.HasField("projections") else None
    return EmbeddingSummary.of_moments(dimensions, valid, mean, scatter, norms, radial, projected)


@functools.lru_cache(maxsize=8)
def upper_triangle(size: int) -> tuple[CountArray, CountArray]:
    """Rows and columns of the upper triangle of a square matrix, row by row."""
    rows, columns = np.triu_indices(size)
    return rows, columns


@functools.lru_cache(maxsize=8)
def _places(size: int) -> CountArray:
    """(size, size) where each number of a symmetric matrix is among those of its upper triangle, row by row."""
    places = np.empty((size, size), np.intp)
    rows, columns = upper_triangle(size)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


def _radial_moments(message: pb.Embedding, variances: FloatArray, valid: int) -> tuple[FloatArray, float] | None:
    """Σ|z|² z and Σ|z|⁴ of the vectors z about their mean; None where the writer does not know them."""
    if bool(message.radial_third) != message.HasField("radial_fourth"):
        fail("embedding: a radial_third without a radial_fourth, or the reverse")
    if not message.radial_third:
        return None if variances.any() else (np.zeros_like(variances), 0.0)
    if len(message.radial_third) != len(variances):
        fail(f"embedding: a radial_third of {len(message.radial_third)} numbers ({len(variances)})")
    with np.errstate(invalid="ignore"):
        third, fourth = np.array(message.radial_third, np.float64), message.radial_fourth
    if not (np.isfinite(third).all() and math.isfinite(fourth)):
        fail("embedding: radial moments are not finite")
    # The mean of a square is no smaller than the square of the mean, and Cauchy-Schwarz.
    if not _ROUNDED * fourth * valid >= float(variances.sum()) ** 2 - _SMALLEST:
        fail("embedding: radial_fourth is smaller than the variances allow")
    if not (np.abs(third) <= _ROUNDED * math.sqrt(fourth) * np.sqrt(variances) + _SMALLEST).all():
        fail("embedding: radial_third is larger than radial_fourth and the variances allow")
    return third, fourth


def _projected(message: pb.Projections, valid: int) -> ProjectedVectors:
    """Waves and counts of all vectors, and the layout in a baseline."""
    if not valid or len(message.waves) != 2 * WAVES or len(message.counts) != SLICES * SLICE_BINS:
        fail(
            f"projections: {len(message.waves)} waves and {len(message.counts)} counts of {valid} vectors"
            f" ({2 * WAVES} and {SLICES * SLICE_BINS} of at least one)"
        )
    with np.errstate(invalid="ignore"):
        waves = np.array(message.waves, np.float64)
    if not (np.square(waves.reshape(2, WAVES)).sum(axis=0) <= 1.0 + 1e-4).all():
        fail("projections: a mean cosine and sine are not those of any angles")
    counts = read_counts(message.counts, "projections").reshape(SLICES, SLICE_BINS)
    if (counts.sum(axis=1) != valid).any():
        fail(f"projections: counts of a slice are not of {valid} vectors")
    layout = _layout(message)
    return ProjectedVectors(message.layout_hash, valid, waves * valid, counts, layout)


def _layout(message: pb.Projections) -> ProjectionLayout | None:
    if not (message.scale or message.centres or message.deviations):
        return None
    try:
        layout = ProjectionLayout(message.scale, np.array(message.centres), np.array(message.deviations))
    except ValueError as error:
        fail(f"projections: {error}")
    if layout.hash != message.layout_hash:
        fail(f"projections: layout_hash {message.layout_hash:016x}, where the layout's is {layout.hash:016x}")
    return layout
