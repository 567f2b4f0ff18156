"""Count, mean, variance and range of finite values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from otel_ml.sketch.sketch import FloatArray


@dataclass(slots=True)
class Moments:
    """Moments that merge without cancellation.

    Attributes:
        m2: Sum of squared deviations from the mean; infinite where it would overflow.

    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @property
    def variance(self) -> float:
        """Sample variance; NaN below two values."""
        return self.m2 / (self.count - 1) if self.count > 1 else math.nan

    @property
    def standard_deviation(self) -> float:
        """Square root of the sample variance; NaN below two values."""
        return math.sqrt(self.variance) if self.count > 1 else math.nan

    @classmethod
    def of(cls, values: FloatArray, /) -> Moments:
        """Moments of finite values, shape (n,)."""
        if values.size == 0:
            return cls()
        minimum, maximum = float(values.min()), float(values.max())
        # Squares of values near 1e308 overflow; an infinite variance is the honest answer, a warning per batch is not.
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            if not math.isfinite(mean):
                mean = float((values / values.size).sum())
            # Rounding must not take the mean of equal values, nor any other, out of their range.
            mean = min(max(mean, minimum), maximum)
            m2 = float(np.square(values - mean).sum())
        return cls(int(values.size), mean, m2, minimum, maximum)

    def update(self, values: FloatArray, /) -> None:
        """Add finite values, shape (n,)."""
        self.merge(Moments.of(values))

    def merge(self, other: Moments, /) -> None:
        """Add the values that `other` has seen."""
        if other.count == 0:
            return
        if self.count == 0:
            # Not by the formula below, where an overflow would meet a zero.
            self.count, self.mean, self.m2 = other.count, other.mean, other.m2
            self.minimum, self.maximum = other.minimum, other.maximum
            return
        count = self.count + other.count
        delta = other.mean - self.mean
        self.m2 += other.m2 + delta * delta * (self.count / count) * other.count
        if math.isfinite(delta):
            self.mean += delta * (other.count / count)
        else:
            self.mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        self.count = count
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.mean = min(max(self.mean, self.minimum), self.maximum)

    def copy(self) -> Moments:
        """The same moments, independent of these."""
        return Moments(self.count, self.mean, self.m2, self.minimum, self.maximum)
