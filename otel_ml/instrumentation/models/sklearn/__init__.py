"""scikit-learn: every estimator, also those of XGBoost and LightGBM, that others write, and that are unpickled."""

from __future__ import annotations

from otel_ml.instrumentation.models.sklearn.hooks import SklearnInstrumentor

__all__ = ["SklearnInstrumentor"]
