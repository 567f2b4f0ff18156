"""Evaluating closed windows: what they say about their models."""

from collector_processor.processors.evaluation.drift_checks import Rule
from collector_processor.processors.evaluation.evaluator import Evaluator
from collector_processor.processors.evaluation.findings import (
    CANARY_DRIFT,
    DRIFT,
    DRIFT_CHECKS,
    GRADUAL_DRIFT,
    LABEL_SHIFT,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.evaluation.settings import QUALITY_CHECKS, DecisionSettings, QualitySettings

__all__ = [
    "CANARY_DRIFT",
    "DRIFT",
    "DRIFT_CHECKS",
    "GRADUAL_DRIFT",
    "LABEL_SHIFT",
    "QUALITY_CHECKS",
    "Check",
    "DecisionSettings",
    "Evaluator",
    "FeatureEvaluation",
    "QualitySettings",
    "Rule",
    "WindowEvaluation",
]
