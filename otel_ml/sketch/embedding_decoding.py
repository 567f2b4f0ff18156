"""Reading what a message says about vectors, written by anybody."""

from __future__ import annotations

import math
from typing import Final, NoReturn

import numpy as np

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.embedding import MAX_DIMENSIONS, EmbeddingSummary, kept_dimensions
from otel_ml.sketch.numbers_decoding import fail, read_counts
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.projected import SLICE_BINS, SLICES, WAVES, ProjectedVectors, ProjectionLayout
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.vector_sums import VectorMoments, diagonal_places, upper_triangle

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
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaNs, and of roots that are no numbers
        mean, triangle = np.array(message.mean, np.float64), np.array(message.scatter, np.float64)
        third = np.array(message.radial_third, np.float64)
        rows, columns = upper_triangle(kept)
        variances = triangle.take(diagonal_places(kept))
        deviations = np.sqrt(variances)
        bounds = (_ROUNDED * deviations).take(rows)
        bounds *= deviations.take(columns)
        bounds += _SMALLEST
        # No number at all, and no negative variance, is within bounds; but all is within those that are infinite.
        is_within = np.abs(triangle) <= bounds
    # Counting is several times as quick as `all`.
    if _count_finite(mean) + _count_finite(variances) < 2 * kept or np.count_nonzero(is_within) < len(triangle):
        _refuse(mean, triangle, variances)
    radial = _radial_moments(message, third, variances, deviations, valid)
    projected = _projected(message.projections, valid) if message.HasField("projections") else None
    moments = VectorMoments(valid, mean, triangle, *radial)
    return EmbeddingSummary.of_moments(dimensions, moments, norms, projected)


def _count_finite(numbers: FloatArray) -> int:
    return int(np.count_nonzero(np.isfinite(numbers)))


def _refuse(mean: FloatArray, triangle: FloatArray, variances: FloatArray) -> NoReturn:
    if np.isfinite(mean).all() and np.isfinite(triangle).all() and (variances >= 0.0).all():
        fail("embedding: a covariance is larger than its variances allow")
    fail("embedding: mean or scatter are not finite, or a variance is negative")


def _radial_moments(
    message: pb.Embedding, third: FloatArray, variances: FloatArray, deviations: FloatArray, valid: int
) -> tuple[FloatArray, float]:
    """Σ|z|² z and Σ|z|⁴ of the vectors z about their mean; NaN where the writer does not know them."""
    if bool(len(third)) != message.HasField("radial_fourth"):
        fail("embedding: a radial_third without a radial_fourth, or the reverse")
    if not len(third):
        unknown = math.nan if variances.any() else 0.0
        return np.full(len(variances), unknown), unknown
    if len(third) != len(variances):
        fail(f"embedding: a radial_third of {len(third)} numbers ({len(variances)})")
    fourth = message.radial_fourth
    if not (math.isfinite(fourth) and _count_finite(third) == len(third)):
        fail("embedding: radial moments are not finite")
    # The mean of a square is no smaller than the square of the mean, and Cauchy-Schwarz.
    least = float(np.add.reduce(variances)) ** 2 - _SMALLEST
    if fourth < 0.0 or not _ROUNDED * fourth * valid >= least:
        fail("embedding: radial_fourth is smaller than the variances allow")
    bounds = (_ROUNDED * math.sqrt(fourth)) * deviations
    bounds += _SMALLEST
    if np.count_nonzero(np.abs(third) <= bounds) < len(third):
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
