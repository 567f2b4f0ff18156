"""How a model's numeric features vary together: what a baseline keeps of several columns at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from otel_ml.drift.multivariate.correlation_noise import CorrelationNoise
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.sketch import FloatArray

MIN_COLUMNS: Final = 2
MAX_COLUMNS: Final = 64
"""Of 64, 2,016 pairs: 8 KB on the wire, and 0.4 µs a row where they are served."""
_STEP: Final = 2_048
FARTHEST: Final = 4.0
"""Standard deviations from the mean beyond which a value counts as so far: an outlier alone is no correlation."""


@dataclass(frozen=True, slots=True, eq=False)
class JointLayout:
    """Which features are looked at together, and in which units: those that compare must share it.

    Attributes:
        names: Of 2 to 64 numeric features, each another.
        means: (columns,) finite.
        deviations: (columns,) finite and above 0.
        hash: The first 8 bytes, big endian, of the SHA-256 of means and deviations as little-endian doubles, and
            of the names in UTF-8, each with a zero byte behind it.

    Raises:
        ValueError: They are none of that.
    """

    names: tuple[str, ...]
    means: FloatArray
    deviations: FloatArray
    hash: int = field(init=False)

    def __post_init__(self) -> None:
        columns = len(self.names)
        if not MIN_COLUMNS <= columns <= MAX_COLUMNS or len(set(self.names)) < columns:
            raise ValueError(f"{columns} names ({MIN_COLUMNS} to {MAX_COLUMNS}, each another)")
        if not len(self.means) == len(self.deviations) == columns:
            raise ValueError(
                f"{len(self.means)} means and {len(self.deviations)} deviations (one of each for {columns})"
            )
        # Adding zero turns -0.0 into 0.0: equal layouts must have equal hashes.
        numbers = np.concatenate([self.means, self.deviations]) + 0.0
        if not np.isfinite(numbers).all() or not (self.deviations > 0).all():
            raise ValueError("a mean or deviation is not finite, or a deviation not above 0")
        digest = hashlib.sha256(numbers.astype("<f8").tobytes())
        for name in self.names:
            digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
        object.__setattr__(self, "hash", int.from_bytes(digest.digest()[:8], "big"))

    @property
    def key(self) -> FeatureKey:
        """What it is called in snapshots: moments of different layouts must not mix."""
        return FeatureKey(FeatureRole.JOINT, f"{self.hash:016x}")

    def standardised(self, rows: npt.NDArray[np.number[Any]]) -> FloatArray:
        """Vectors from -4 to 4 of those rows, shape (rows, columns), in which all values are finite."""
        values = np.asarray(rows, np.float64)
        finite = np.isfinite(values)
        if not finite.all():
            values = values[finite.all(axis=1)]
        with np.errstate(over="ignore"):
            vectors = values - self.means
            vectors /= self.deviations
        return np.clip(vectors, -FARTHEST, FARTHEST, out=vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """How features varied together in the training data.

    Attributes:
        vectors: Moments of standardised rows.
        noise: How much chance moves their correlations.
    """

    layout: JointLayout
    vectors: EmbeddingSummary
    noise: CorrelationNoise

    @classmethod
    def of(cls, layout: JointLayout, rows: npt.NDArray[np.number[Any]]) -> Joint:
        """What rows of training data, shape (rows, columns), say; at least one of them finite."""
        vectors = layout.standardised(rows)
        summary = EmbeddingSummary.anchored(None, len(layout.names))
        for start in range(0, len(vectors), _STEP):
            summary.add(vectors[start : start + _STEP])
        return cls(layout, summary, CorrelationNoise.of(vectors))
