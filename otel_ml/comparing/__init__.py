"""Comparing data with a baseline, offline: reports for people, tables for programs."""

from otel_ml.comparing.column import ColumnReport, MethodResult, QualityFinding
from otel_ml.comparing.comparison import compare
from otel_ml.comparing.report import DriftReport

__all__ = ["ColumnReport", "DriftReport", "MethodResult", "QualityFinding", "compare"]
