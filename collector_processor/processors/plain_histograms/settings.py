"""Which metrics are the values of which column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import model_validator

from collector_processor.component import HistogramSource
from collector_processor.settings import Settings
from otel_ml import semconv
from otel_ml.sketch.feature import FeatureRole

_ROLES: Final = tuple(role.value for role in (FeatureRole.FEATURE, FeatureRole.PREDICTION, FeatureRole.SCORE))


class HistogramSettings(Settings):
    """What the values of a histogram metric are.

    Attributes:
        role: "feature", "prediction" or "score".
        feature: Name of the column, as the baseline has it; that of points without `feature_attribute` where both are
            given.
        feature_attribute: Attribute of the data point that names the column.
        model: Its name; otherwise attributes have it, or else it is the service.
        model_attribute: Attribute of the data point, or of the resource, that names the model.
        version: Its version; otherwise attributes have it.
        version_attribute: Attribute of the data point, or of the resource, that names the version.
    """

    role: str = FeatureRole.FEATURE.value
    feature: str = ""
    feature_attribute: str = ""
    model: str = ""
    model_attribute: str = semconv.MODEL_NAME
    version: str = ""
    version_attribute: str = semconv.MODEL_VERSION

    @model_validator(mode="after")
    def _names_a_column(self) -> HistogramSettings:
        if self.role not in _ROLES:
            raise ValueError(f"role: {self.role!r} is unknown (one of {', '.join(_ROLES)})")
        if not self.feature and not self.feature_attribute:
            raise ValueError("names no column (feature, or feature_attribute)")
        return self

    @property
    def source(self) -> HistogramSource:
        """The same, for receivers."""
        return HistogramSource(
            FeatureRole(self.role),
            self.feature,
            self.feature_attribute,
            self.model,
            self.model_attribute,
            self.version,
            self.version_attribute,
        )


DEFAULT_HISTOGRAMS: Final[Mapping[str, HistogramSettings]] = {
    semconv.FEATURE_VALUE.name: HistogramSettings(feature_attribute=semconv.FEATURE_NAME),
    semconv.PREDICTION_VALUE.name: HistogramSettings(
        role=FeatureRole.PREDICTION.value, feature="prediction", feature_attribute=semconv.PREDICTION_NAME
    ),
    semconv.PREDICTION_SCORE.name: HistogramSettings(
        role=FeatureRole.SCORE.value, feature="score", feature_attribute=semconv.PREDICTION_NAME
    ),
}
"""What needs no configuration."""


def sources(configured: Mapping[str, HistogramSettings | None]) -> dict[str, HistogramSource]:
    """What receivers look for: our own names, and those that are configured; None turns one off."""
    return {name: settings.source for name, settings in {**DEFAULT_HISTOGRAMS, **configured}.items() if settings}
