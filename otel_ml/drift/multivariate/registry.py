"""Multivariate detectors by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otel_ml.drift.multivariate.correlation import CorrelationShift
from otel_ml.drift.multivariate.covariance import CovarianceShift
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.mahalanobis import Mahalanobis
from otel_ml.drift.multivariate.mmd import MaximumMeanDiscrepancy
from otel_ml.drift.multivariate.reconstruction import ReconstructionError
from otel_ml.drift.multivariate.sliced_wasserstein import SlicedWasserstein

_BUILTIN: tuple[type[MultivariateDetector], ...] = (
    Mahalanobis,
    CovarianceShift,
    CorrelationShift,
    ReconstructionError,
    MaximumMeanDiscrepancy,
    SlicedWasserstein,
)
BUILTIN_MULTIVARIATE: Final[Mapping[str, type[MultivariateDetector]]] = MappingProxyType(
    {detector.name: detector for detector in _BUILTIN}
)
