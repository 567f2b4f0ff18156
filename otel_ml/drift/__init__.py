"""Comparing two summaries of one column: drift, data quality, and what chance alone would do."""

from otel_ml.drift.automatic import compare
from otel_ml.drift.choice import Choice, Evidence, choose, equivalent_threshold
from otel_ml.drift.comparison import distributions
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.quality import DataQuality, QualityRatio, data_quality
from otel_ml.drift.registry import BUILTIN_DETECTORS, create, detector_names, detector_type

__all__ = [
    "BUILTIN_DETECTORS",
    "Choice",
    "DataQuality",
    "DriftDetector",
    "DriftResult",
    "Evidence",
    "QualityRatio",
    "benjamini_hochberg",
    "choose",
    "compare",
    "create",
    "data_quality",
    "detector_names",
    "detector_type",
    "distributions",
    "equivalent_threshold",
]
