"""What summaries say beyond one distribution."""

import numpy as np

from otel_ml.drift.contents import compare_contents
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import CategoricalSummary, Content, FeatureSummary

KEY = FeatureKey(FeatureRole.FEATURE, "column")


def test_vectors_are_compared_by_every_detector_that_suits_them() -> None:
    """A shifted mean is seen by one of the detectors for vectors, and each that answers has a name of its own."""
    rng = np.random.default_rng(1)
    was, now = (_vectors(rng.normal(mean, 1.0, (2_000, 3))) for mean in (0.0, 0.5))

    scores = {result.method: result.score for result in compare_contents(was, now)}

    assert scores["mahalanobis"] > 0.3
    assert set(scores) <= set(BUILTIN_MULTIVARIATE)


def test_columns_of_different_kinds_have_nothing_to_say_about_each_other() -> None:
    """Vectors and categories are not compared."""
    rng = np.random.default_rng(1)

    assert compare_contents(_vectors(rng.normal(size=(50, 3))), _column(CategoricalSummary())) == []


def _vectors(values: np.ndarray) -> FeatureSummary:
    summary = EmbeddingSummary()
    summary.update(values)
    return _column(summary)


def _column(content: Content) -> FeatureSummary:
    return FeatureSummary(KEY, content)
