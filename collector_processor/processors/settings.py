"""Settings of the `drift` processor; those of its parts stand beside the parts."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from collector_processor.component import HistogramSource
from collector_processor.processors.alerts import AlertSettings
from collector_processor.processors.evaluation import DecisionSettings, QualitySettings, Rule
from collector_processor.processors.evaluation.classifier import ClassifierSettings
from collector_processor.processors.plain_histograms import HistogramSettings, sources
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.series import ConceptSettings, SlowDriftSettings
from collector_processor.processors.windows import WindowSettings
from collector_processor.settings import Duration
from otel_ml.drift.registry import DEFAULT_DETECTORS


def _default_detectors() -> dict[str, dict[str, object]]:
    return {name: {} for name in DEFAULT_DETECTORS}


class DriftSettings(WindowSettings):
    """A `drift` processor.

    Attributes:
        baselines: Files that `otel-ml baseline build` wrote, and folders of such files; what changes in them counts
            from the next window on.
        accept_baselines: Folder in which baselines are kept that `otel-ml baseline push` sends; without it they are
            refused. Whoever may send telemetry may send them, too.
        detectors: Settings by detector; psi, ks, jensen_shannon, wasserstein, hellinger and chi_squared when absent.
        min_rows: Values below which nothing is concluded from a window.
        repeat: How often the gauges of the latest window are sent again, for backends that forget a gauge after a few
            minutes; 0 sends them once.
        references: What windows are compared with beside the baseline.
        classifier: What tells a window's rows from the training data's, where both hold some.
        slow_drift: Small changes that add up over many windows.
        concept: Streaming detectors of river, each on a series of every model; none by default.
        forward_snapshots: Leave the snapshots in what is passed through.
        histograms: What the values of plain OTLP histograms are, by the name of the metric, beside `ml.feature.value`,
            `ml.prediction.value` and `ml.prediction.score`; null turns one off.
    """

    baselines: tuple[str, ...] = Field(default=(), strict=False)
    accept_baselines: str | None = None
    detectors: Mapping[str, Mapping[str, object] | None] = Field(default_factory=_default_detectors)
    decide_by: DecisionSettings = DecisionSettings()
    quality: QualitySettings = QualitySettings()
    min_rows: int = Field(default=200, ge=1)
    alerts: AlertSettings = AlertSettings()
    repeat: Duration = 60.0
    references: ReferenceSettings = ReferenceSettings()
    slow_drift: SlowDriftSettings = SlowDriftSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    concept: tuple[ConceptSettings, ...] = Field(default=(), strict=False)
    forward_snapshots: bool = False
    histograms: Mapping[str, HistogramSettings | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_room_for_deployments(self) -> DriftSettings:
        dimension = self.references.stable.dimension
        if dimension is not None and not self.limits.segments:
            raise ValueError(f"references::stable::dimension: {dimension!r} needs limits::segments above 0")
        return self

    @property
    def histogram_sources(self) -> Mapping[str, HistogramSource]:
        """What receivers look for in metrics."""
        return sources(self.histograms)

    @property
    def resource_attributes(self) -> tuple[str, ...]:
        """What snapshots should know of the resource they come with."""
        dimension = self.references.stable.dimension
        return () if dimension is None else (dimension,)

    @property
    def rule(self) -> Rule:
        """When a difference counts, from all that is said about it."""
        return Rule(
            self.alerts.alpha,
            self.alerts.horizon,
            self.references.known_season,
            self.references.seasonal_threshold,
            self.references.rollup_threshold,
        )
