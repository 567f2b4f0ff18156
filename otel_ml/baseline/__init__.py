"""The reference a model's serving is compared with."""

from otel_ml.baseline.baseline import Baseline

__all__ = ["Baseline"]
