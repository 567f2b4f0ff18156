"""Whether a classifier can tell a window's rows from the training data's, where both hold some as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pydantic import Field

from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.evaluation.findings import (
    CLASSIFIER_DRIFT,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.windows import Window
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Settings
from otel_ml.baseline import Baseline
from otel_ml.drift.classifier import THRESHOLD, ClassifierResult, classify
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey

METHOD: Final = "domain_classifier"
SUBJECT: Final = FeatureKey(FeatureRole.JOINT, "classifier")
"""What its alerts are about: all features together."""

_TOLD: Final = 3
"""Features that a sentence names."""
_SECOND: Final = 1_000_000_000


class ClassifierSettings(Settings):
    """The domain classifier: it runs where servers send rows, and the baseline has some.

    Attributes:
        enabled: Whether it runs.
        threshold: AUC above which the rows differ enough to matter.
        min_rows: Rows below which nothing is concluded, of the window and of the baseline.
    """

    enabled: bool = True
    threshold: float = Field(default=THRESHOLD, gt=0.5, lt=1)
    min_rows: int = Field(default=100, ge=20, le=2000)


class RowClassifier:
    """Adds to what is known of a window what a classifier finds out about its rows.

    Args:
        baseline_of: Finds a model's baseline.
        correction: Counts how often was asked.
        telemetry: Is told, once, why nothing is compared where rows are there.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        baseline_of: Callable[[ModelKey], Baseline | None],
        correction: Correction,
        telemetry: SelfTelemetry,
    ) -> None:
        self._settings = settings
        self._baseline_of = baseline_of
        self._correction = correction
        self._telemetry = telemetry

    def judged(self, window: Window, evaluation: WindowEvaluation) -> WindowEvaluation:
        """The evaluation with a classification and its check, where there are rows enough; else as it was."""
        current, baseline = window.row_sample, self._baseline_of(window.model)
        if not self._settings.enabled or current is None or baseline is None or evaluation.outcome != "evaluated":
            return evaluation
        reference = baseline.row_sample
        if reference is None:
            self._telemetry.say_once(
                f"classifier:{baseline.id}",
                "model %s: its servers send rows, but its baseline has none to compare them with (build it with"
                " --sample-rows)",
                window.model.name,
            )
            return evaluation
        if min(len(reference), len(current)) < self._settings.min_rows:
            return evaluation
        try:
            found = classify(
                reference,
                current,
                # Of other windows the parts are others, of the same one the same, after a restart too.
                seed=window.start_unix_nano // _SECOND % (1 << 32),
                threshold=self._settings.threshold,
            )
        except ConfigurationError as error:
            self._telemetry.say_once("classifier", "rows are not compared: %s", error)
            return evaluation
        except Exception as error:
            # The window itself is still worth reporting.
            self._telemetry.failed("classifier", error)
            return evaluation
        is_revision = window.revision > 0
        [feature] = self._correction.corrected(window.model, None, [_finding(found)], is_revision=is_revision)
        return replace(evaluation, classification=found, features=[*evaluation.features, feature])


def _finding(found: ClassifierResult) -> FeatureEvaluation:
    check = Check(
        CLASSIFIER_DRIFT,
        METHOD,
        # 0 where rows cannot be told apart and 1 where all can, as scores are: the Gini coefficient of the AUC.
        max(0.0, 2.0 * found.auc - 1.0),
        2.0 * found.threshold - 1.0,
        found.drifted,
        found.p_value,
        found.n_current,
        note=_sentence(found),
    )
    return FeatureEvaluation(SUBJECT, FeatureKind.OPAQUE, Counters(), found.n_current, checks=[check])


def _sentence(found: ClassifierResult) -> str:
    told = [f"{name} {share:.0%}" for name, share in list(found.importances.items())[:_TOLD]]
    return f"AUC {found.auc:.2f}" + (f", by {', '.join(told)}" if told else "")
