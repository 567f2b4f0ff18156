"""What a drift detector is, and what it says."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from otel_ml.drift.columns import Columns
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import Distribution, NumericDistribution
from otel_ml.sketch.sketch import FloatArray


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


class Scores(NamedTuple):
    """What a detector says about many columns.

    Attributes:
        score: (columns,) its statistic; NaN where it does not apply to the column.
        p_value: (columns,) as in `DriftResult`, NaN where there can be no test; None where the detector has none.
    """

    score: FloatArray
    p_value: FloatArray | None


class DriftDetector(ABC):
    """A comparison of distributions, implemented by a frozen dataclass whose fields are its settings.

    A detector raises nothing on data: two distributions with at least one value each always compare. Distributions
    without values never reach it, `comparison.distributions` returns None for them.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Also the suffix of the metric, as in `ml.feature.drift.psi`."""
    on_numbers: ClassVar[bool]
    """Whether it compares distributions of numbers."""
    on_categories: ClassVar[bool]
    """Whether it compares distributions of categories and truth values."""
    is_symmetric: ClassVar[bool]
    """Whether the score of numbers stays the same when reference and current window change places."""
    threshold: float
    """Score above which the difference is big enough to matter."""

    @abstractmethod
    def measure(self, columns: Columns) -> Scores:
        """Measure how far each column's current window is from its reference, all of a kind it compares."""

    def applies_to(self, distribution: Distribution) -> bool:
        """Whether the detector can compare distributions of this kind."""
        return self.on_numbers if isinstance(distribution, NumericDistribution) else self.on_categories

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """Measure how far `current` is from `reference`, two distributions of the same kind, neither empty."""
        return self.results(Columns([(reference, current)]))[0]

    def results(self, columns: Columns) -> list[DriftResult]:
        """What `measure` says, one result a column; the score is NaN where the detector does not apply."""
        score, p_value = self.measure(columns)
        p_values = (
            [None] * len(columns) if p_value is None else [None if math.isnan(p) else p for p in p_value.tolist()]
        )
        sizes = zip(columns.n.tolist(), columns.m.tolist(), strict=True)
        return [
            DriftResult(self.name, score, self.threshold, p, int(n), int(m))
            for score, p, (n, m) in zip(score.tolist(), p_values, sizes, strict=True)
        ]


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
