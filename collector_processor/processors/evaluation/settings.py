"""What decides about alerts."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from collector_processor.settings import Settings
from otel_ml.sketch.feature import FeatureKind

AUTO: Final = "auto"
"""Instead of a detector's name: the one that finds most in such a column, see `otel_ml.drift.choice`."""

VectorDetector = Literal[
    "auto", "mahalanobis", "covariance", "correlation", "pca_reconstruction", "mmd", "sliced_wasserstein"
]


JointDetector = Literal["correlation", "covariance", "pca_reconstruction"]


class DecisionSettings(Settings):
    """The detector that decides about drift, by kind of column, or "auto"; the others are reported.

    Attributes:
        numeric: A detector of `detectors`; "auto" is that which finds most in such a column.
        categorical: Likewise.
        boolean: Likewise.
        text: "content" and what it is made of, "words", "characters" and "vocabulary", all of which are run; or a
            detector of `detectors`, which compares the lengths of texts.
        embedding: Of the detectors for vectors, all of which are run.
        joint: Of those that tell how numeric features vary together, all of which are run.
    """

    numeric: str = AUTO
    categorical: str = AUTO
    boolean: str = AUTO
    text: str = "content"
    embedding: VectorDetector = "mahalanobis"
    joint: JointDetector = "correlation"

    def detector(self, kind: FeatureKind) -> str | None:
        """The name of the deciding detector, or "auto"; None for kinds that are not compared."""
        decided: str | None = getattr(self, kind.value, None)
        return decided


class QualitySettings(Settings):
    """By how much a ratio may exceed the baseline's own.

    Attributes:
        missing: Of rows without a value.
        type_mismatch: Of values of another kind than the baseline's.
        infinite: Of infinite numbers.
        out_of_range: Of numbers beyond the smallest and the largest of the baseline.
        unseen_category: Of categories that the baseline does not have.
    """

    missing: float = Field(default=0.02, gt=0, lt=1)
    type_mismatch: float = Field(default=0.01, gt=0, lt=1)
    infinite: float = Field(default=0.01, gt=0, lt=1)
    out_of_range: float = Field(default=0.01, gt=0, lt=1)
    unseen_category: float = Field(default=0.01, gt=0, lt=1)


QUALITY_CHECKS: Final = tuple(QualitySettings.model_fields)
