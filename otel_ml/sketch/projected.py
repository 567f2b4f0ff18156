"""Vectors seen along fixed random directions: averages of waves, and counts in bins.

Both need a measure that all replicas share, so that they are kept where a baseline that has them is known.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.matrix_product import product
from otel_ml.sketch.sketch import CountArray, FloatArray

WAVES: Final = 128
"""Directions along which the cosine and the sine are averaged."""
SLICES: Final = 16
"""Directions along which vectors are counted."""
SLICE_BINS: Final = 32
"""Bins of a slice: 30 as wide as a fourth of its standard deviation, and what lies beyond."""
BIN_WIDTH: Final = 0.25
"""Of a slice, in its standard deviations."""

_STEPS: Final = 2.0**20
_SEED: Final = b"otel_ml.v1.Projections"


@lru_cache(maxsize=8)
def directions(dimensions: int) -> tuple[FloatArray, FloatArray]:
    """The fixed directions of waves, shape (dimensions, 128), and of slices, shape (dimensions, 16).

    Entries are nearly normal with variance 1. Any language can produce them: row i takes the bytes 144·i to 144·i + 143
    of SHAKE-256("otel_ml.v1.Projections"), the first 128 for waves; a byte with b bits set gives (b - 4) / √2.
    """
    drawn = hashlib.shake_256(_SEED).digest(dimensions * (WAVES + SLICES))
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)[:, np.newaxis], axis=1).sum(axis=1, dtype=np.float64)
    entries = ((bits - 4) / math.sqrt(2)).reshape(dimensions, WAVES + SLICES)
    waves, slices = np.ascontiguousarray(entries[:, :WAVES]), np.ascontiguousarray(entries[:, WAVES:])
    waves.flags.writeable = slices.flags.writeable = False
    return waves, slices


@dataclass(frozen=True, slots=True, eq=False)
class ProjectionLayout:
    """What lengths are measured by: a baseline says it, and its replicas share it.

    Attributes:
        scale: The wave along w is that of w·y / scale, so that the waves are those of a Gaussian kernel of this width:
            the root mean square distance of vectors from their mean.
        centres: (16,) mean of each slice.
        deviations: (16,) standard deviation of each slice, above 0.
        hash: The first 8 bytes, big endian, of the SHA-256 of all of them as little-endian doubles.
    """

    scale: float
    centres: FloatArray
    deviations: FloatArray
    hash: int = field(init=False)

    def __post_init__(self) -> None:
        # Adding zero turns -0.0 into 0.0: equal layouts must have equal hashes.
        numbers = np.concatenate([[self.scale], self.centres, self.deviations]) + 0.0
        if not len(self.centres) == len(self.deviations) == SLICES or not np.isfinite(numbers).all():
            raise ValueError(f"layout: {len(numbers)} numbers (must be {1 + 2 * SLICES} finite ones)")
        if self.scale <= 0 or not (self.deviations > 0).all():
            raise ValueError("layout: a scale or deviation is not above 0")
        digest = hashlib.sha256(numbers.astype("<f8").tobytes()).digest()
        object.__setattr__(self, "hash", int.from_bytes(digest[:8], "big"))

    @classmethod
    def of_moments(cls, mean: FloatArray, covariance: FloatArray) -> ProjectionLayout | None:
        """The layout for vectors of this mean and covariance; None where they do not vary in every slice."""
        _, slices = directions(len(mean))
        scale = math.sqrt(max(0.0, float(covariance.trace())))
        deviations = np.sqrt(np.maximum(np.sum(slices * (covariance @ slices), axis=0), 0.0))
        # Below, their own rounding may be what varies.
        if not (np.isfinite(mean).all() and math.isfinite(scale) and scale > 1e-6 * float(np.abs(mean).max())):
            return None
        return cls(scale, mean @ slices, deviations) if (deviations > 1e-6 * scale).all() else None


@dataclass(slots=True, eq=False)
class ProjectedVectors:
    """Sums of waves and counts in bins of vectors y.

    Attributes:
        layout_hash: `ProjectionLayout.hash` of what they are measured by.
        count: How many vectors there were.
        waves: (256,) sums of cos(w·y / scale) over the vectors, for each w, then of sin; never changed in place.
        counts: (16, 32) vectors in each bin of each slice; never changed in place. Bin 0 is below 15 widths under the
            centre, bin i from i - 16 widths on, the last one from 15 widths above on.
        layout: The measure itself, where it is known.
    """

    layout_hash: int
    count: int
    waves: FloatArray
    counts: CountArray
    layout: ProjectionLayout | None = None

    @classmethod
    def anchored(cls, layout: ProjectionLayout, /) -> ProjectedVectors:
        """Sums without vectors, that can take some."""
        return cls(layout.hash, 0, np.zeros(2 * WAVES), np.zeros((SLICES, SLICE_BINS), np.int64), layout)

    def update(self, vectors: FloatArray, /) -> None:
        """Add finite vectors, shape (rows, p).

        Raises:
            IncompatibleSketchError: Only the hash of the layout is known here.
        """
        if self.layout is None:
            raise IncompatibleSketchError(f"projections {self.layout_hash:016x}: cannot add vectors without the layout")
        waves, slices = directions(vectors.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            # Floats do: a wave is averaged over many vectors, and takes a fifth of the time.
            phases = product((vectors / self.layout.scale).astype(np.float32), waves.astype(np.float32))
            phases = np.nan_to_num(phases, nan=0.0, posinf=0.0, neginf=0.0)
            sums = np.concatenate([wave(phases).sum(axis=0, dtype=np.float64) for wave in (np.cos, np.sin)])
            placed = (product(vectors, slices) - self.layout.centres) / (BIN_WIDTH * self.layout.deviations)
        # A product is rounded differently in a batch of another size, which must not move a vector on an edge.
        placed = np.rint(np.nan_to_num(placed).clip(-SLICE_BINS, SLICE_BINS) * _STEPS) / _STEPS
        bins = np.floor(placed).astype(np.int64) + SLICE_BINS // 2
        bins = bins.clip(0, SLICE_BINS - 1) + SLICE_BINS * np.arange(SLICES)
        counted = np.bincount(bins.ravel(), minlength=SLICES * SLICE_BINS).reshape(SLICES, SLICE_BINS)
        self.waves, self.counts = self.waves + sums, self.counts + counted
        self.count += len(vectors)

    def merge(self, other: ProjectedVectors, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: It measures by another layout; nothing was changed.
        """
        if self.layout_hash != other.layout_hash:
            raise IncompatibleSketchError(
                f"projections {self.layout_hash:016x}: cannot add projections {other.layout_hash:016x}"
            )
        self.waves, self.counts = self.waves + other.waves, self.counts + other.counts
        self.count += other.count
        self.layout = self.layout or other.layout

    def copy(self) -> ProjectedVectors:
        """The same sums, independent of these."""
        return ProjectedVectors(self.layout_hash, self.count, self.waves.copy(), self.counts.copy(), self.layout)
