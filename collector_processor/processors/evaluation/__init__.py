"""Evaluating closed windows: what they say about their models."""

from collector_processor.processors.evaluation.drift_checks import Rule
from collector_processor.processors.evaluation.evaluator import Evaluator
from collector_processor.processors.evaluation.findings import (
    CANARY_CORRELATION_DRIFT,
    CANARY_DRIFT,
    CLASSIFIER_DRIFT,
    COMMON_CHANGE,
    CORRELATION_DRIFT,
    DRIFT,
    DRIFT_CHECKS,
    GRADUAL_CORRELATION_DRIFT,
    GRADUAL_DRIFT,
    LABEL_SHIFT,
    SLOW_DRIFT,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.evaluation.settings import QUALITY_CHECKS, DecisionSettings, QualitySettings

__all__ = [
    "CANARY_CORRELATION_DRIFT",
    "CANARY_DRIFT",
    "CLASSIFIER_DRIFT",
    "COMMON_CHANGE",
    "CORRELATION_DRIFT",
    "DRIFT",
    "DRIFT_CHECKS",
    "GRADUAL_CORRELATION_DRIFT",
    "GRADUAL_DRIFT",
    "LABEL_SHIFT",
    "QUALITY_CHECKS",
    "SLOW_DRIFT",
    "Check",
    "DecisionSettings",
    "Evaluator",
    "FeatureEvaluation",
    "QualitySettings",
    "Rule",
    "WindowEvaluation",
]
