"""Summaries of vectors, for tests of multivariate drift."""

import math

import numpy as np

from otel_ml.sketch import codec
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.projected import ProjectionLayout
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.vector_sums import VectorMoments, upper_triangle


def layout_of(matrix):
    """How a baseline of these vectors would have others projected."""
    mean, scatter = summary_of(matrix).bounded_moments()
    return ProjectionLayout.of_moments(mean, scatter / len(matrix))


def summary_of(matrix, layout=None):
    summary = EmbeddingSummary.anchored(None, projections=layout)
    summary.update(np.asarray(matrix, np.float64))
    return summary


def summary_from(count, mean, covariance, excess_kurtosis=None):
    """What a textbook tells of a sample: its size, mean and covariance; and its kurtosis, if known."""
    mean, covariance = np.array(mean, np.float64), np.array(covariance, np.float64)
    radial = np.full(len(mean), np.nan), math.nan
    if excess_kurtosis is not None:
        normal = covariance.trace() ** 2 + 2 * np.square(covariance).sum()
        radial = np.zeros(len(mean)), count * (1 + excess_kurtosis) * normal
    scatter = (count - 1) * covariance
    moments = VectorMoments(count, mean, scatter[upper_triangle(len(mean))], *radial)
    return EmbeddingSummary.of_moments(len(mean), moments, NumericSummary())


def with_sums(summary, **changes):
    """The same, but for some of its sums."""
    sums = {name: getattr(summary, name) for name in ("total", "products", "cubes", "fourth")}
    return EmbeddingSummary(
        summary.dimensions, summary.count, norms=summary.norms, projected=summary.projected, **{**sums, **changes}
    )


def without_radial_moments(summary):
    """The same, as of a writer that does not know them."""
    return with_sums(summary, cubes=np.full(len(summary.total), np.nan), fourth=math.nan)


def over_the_wire(summary):
    """As a processor reads what a server sent."""
    feature = FeatureSummary(FeatureKey(FeatureRole.FEATURE, "meaning"), summary, Counters(summary.count))
    snapshot = Snapshot(bytes(16), 1, ModelKey("search", "1"), 1, 2, summary.count, 0, [feature])
    return codec.decode(codec.encode(snapshot)).features[0].content
