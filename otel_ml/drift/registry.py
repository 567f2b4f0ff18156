"""Detectors by name: ours, and those that other packages register.

Another package adds a detector with an entry point whose name is the detector's:

    [project.entry-points.otel_ml_drift_detector]
    kuiper = "my_package.kuiper:KuiperDistance"

where `KuiperDistance` is a dataclass as `DriftDetector` describes it. It is imported only when a configuration names
it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.univariate.anderson_darling import AndersonDarling
from otel_ml.drift.univariate.anova import AnalysisOfVariance
from otel_ml.drift.univariate.chi_squared import ChiSquared
from otel_ml.drift.univariate.cramer_von_mises import CramerVonMises
from otel_ml.drift.univariate.energy import Energy
from otel_ml.drift.univariate.fisher import Fisher
from otel_ml.drift.univariate.g_test import GTest
from otel_ml.drift.univariate.hellinger import Hellinger
from otel_ml.drift.univariate.jensen_shannon import JensenShannon
from otel_ml.drift.univariate.kl import KullbackLeibler
from otel_ml.drift.univariate.ks import KolmogorovSmirnov
from otel_ml.drift.univariate.l_infinity import LInfinity
from otel_ml.drift.univariate.levene import Levene
from otel_ml.drift.univariate.proportions import Proportions
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.drift.univariate.student import StandardisedMeanDifference
from otel_ml.drift.univariate.total_variation import TotalVariation
from otel_ml.drift.univariate.wasserstein import Wasserstein
from otel_ml.errors import ConfigurationError

ENTRY_POINT_GROUP: Final = "otel_ml_drift_detector"

_BUILTIN: tuple[type[DriftDetector], ...] = (
    PopulationStabilityIndex,
    KolmogorovSmirnov,
    JensenShannon,
    Wasserstein,
    Hellinger,
    ChiSquared,
    Fisher,
    GTest,
    KullbackLeibler,
    LInfinity,
    Proportions,
    TotalVariation,
    CramerVonMises,
    AndersonDarling,
    Energy,
    StandardisedMeanDifference,
    AnalysisOfVariance,
    Levene,
)
BUILTIN_DETECTORS: Final[Mapping[str, type[DriftDetector]]] = MappingProxyType(
    {detector.name: detector for detector in _BUILTIN}
)

DEFAULT_DETECTORS: Final = ("psi", "ks", "jensen_shannon", "wasserstein", "hellinger", "chi_squared")
"""What is measured unless a configuration says otherwise: enough to compare with other tools, and not a series more."""


def detector_names() -> list[str]:
    """The names of all detectors that can be created, ours first."""
    return [*BUILTIN_DETECTORS, *sorted(set(_third_party()) - set(BUILTIN_DETECTORS))]


def detector_type(name: str, *, path: str = "") -> type[DriftDetector]:
    """The detector of that name; `path` says in errors where the name was found.

    Raises:
        ConfigurationError: There is none, or the package that registered it cannot be imported.
    """
    if name in BUILTIN_DETECTORS:
        return BUILTIN_DETECTORS[name]
    entry_point = _third_party().get(name)
    if entry_point is None:
        valid = detector_names()
        raise ConfigurationError(
            f"{_join(path, name)}: unknown drift detector (valid detectors: {', '.join(valid)})"
            f"{_did_you_mean(name, valid)}"
        )
    try:
        loaded: Any = entry_point.load()
    except Exception as error:
        raise ConfigurationError(
            f"{_join(path, name)}: cannot import {entry_point.value!r}: {error} (entry point group {ENTRY_POINT_GROUP})"
        ) from error
    if not (
        isinstance(loaded, type) and hasattr(loaded, "__dataclass_fields__") and getattr(loaded, "name", None) == name
    ):
        raise ConfigurationError(
            f"{_join(path, name)}: {entry_point.value!r} is not a drift detector (a dataclass whose `name` is {name!r})"
        )
    detector: type[DriftDetector] = loaded
    return detector


def create(name: str, settings: Mapping[str, object] | None = None, *, path: str = "") -> DriftDetector:
    """A detector with these settings, the rest at their defaults.

    Args:
        name: A registered name, such as "psi".
        settings: Fields of the detector's dataclass by name.
        path: Where the configuration stands, for errors: "processors::drift::detectors".

    Raises:
        ConfigurationError: An unknown name or setting, or an invalid value; says where, what, and what would be valid.
    """
    detector = detector_type(name, path=path)
    valid = sorted(field.name for field in dataclasses.fields(detector) if field.init)  # type: ignore[arg-type]
    for setting in settings or {}:
        if setting not in valid:
            raise ConfigurationError(
                f"{_join(path, name, str(setting))}: unknown setting (valid settings: {', '.join(valid)})"
                f"{_did_you_mean(str(setting), valid)}"
            )
    try:
        return detector(**dict(settings or {}))
    except ConfigurationError as error:
        raise ConfigurationError(_join(path, str(error))) from None


def _third_party() -> dict[str, EntryPoint]:
    return {entry_point.name: entry_point for entry_point in entry_points(group=ENTRY_POINT_GROUP)}


def _join(*parts: str) -> str:
    return "::".join(part for part in parts if part)


def _did_you_mean(name: str, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
