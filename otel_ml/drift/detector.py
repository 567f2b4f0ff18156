"""What a drift detector is, and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import Distribution


@dataclass(frozen=True, slots=True)
class DriftResult:
    """How far a current window is from its reference, and whether chance alone could have done it.

    Magnitude and significance are separate on purpose. A threshold on the score alone misfires in small windows, where
    chance moves every score; a p-value alone misfires in large ones, where any difference is significant. Alert on
    both.

    Attributes:
        method: Name of the detector.
        score: Its statistic; 0 when the two distributions are the same.
        threshold: Score above which the difference is big enough to matter.
        p_value: Probability of such a score, or a higher one, without drift; None where the detector has no test.
        n_reference: Values behind the reference.
        n_current: Values behind the current window.
    """

    method: str
    score: float
    threshold: float
    p_value: float | None
    n_reference: int
    n_current: int

    @property
    def drifted(self) -> bool:
        """Whether the difference is big enough to matter; it says nothing about significance."""
        return self.score > self.threshold


class DriftDetector(Protocol):
    """A comparison of two distributions, implemented by a frozen dataclass whose fields are its settings.

    A detector raises nothing on data: two distributions with at least one value each always compare. Distributions
    without values never reach it, `comparison.distributions` returns None for them.
    """

    name: ClassVar[str]
    """Also the suffix of the metric, as in `ml.feature.drift.psi`."""

    @property
    def threshold(self) -> float:
        """Score above which the difference is big enough to matter."""
        ...

    def applies_to(self, distribution: Distribution) -> bool:
        """Whether the detector can compare distributions of this kind."""
        ...

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """Measure how far `current` is from `reference`, two distributions of the same kind, neither empty."""
        ...


def require_number(setting: str, value: object, *, above: float, at_most: float = math.inf) -> None:
    """Check a setting that is a real number.

    Raises:
        ConfigurationError: The value is not in (above, at_most].
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not above < value <= at_most:
        upper = "" if math.isinf(at_most) else f" and at most {at_most:g}"
        raise ConfigurationError(f"{setting}: {value!r} is not valid (a number above {above:g}{upper})")


def require_integer(setting: str, value: object, *, at_least: int, at_most: int) -> None:
    """Check a setting that is a whole number.

    Raises:
        ConfigurationError: The value is not in [at_least, at_most].
    """
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise ConfigurationError(f"{setting}: {value!r} is not valid (a whole number from {at_least} to {at_most})")
