"""What is kept of a column of vectors: their mean, how their dimensions vary together, and their lengths."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.matrix_product import product
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.projected import ProjectedVectors, ProjectionLayout
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.vector_sums import VectorMoments, VectorSums, summed

MAX_DIMENSIONS: Final = 65_536
"""Of a vector that is summarised."""
DIRECT_DIMENSIONS: Final = 128
"""Up to so many, second moments are kept of the dimensions themselves."""
PROJECTED_DIMENSIONS: Final = 64
"""Beyond, of so many random directions: 8 KB on the wire, where 768 dimensions would take 1.2 MB."""

_WAITING: Final = 4
"""Summaries merged in whose moments wait, each half as large as the sums: added up at once, they cost a fraction."""
_SIGNIFICANT: Final = 4096.0
_ROUNDING: Final = 1e-13
_UNCERTAIN: Final = 1e-11
"""Of what a sum of fourth powers about the mean is worked out from: less than this may be all rounding."""
_LARGEST: Final = 2.0**1023
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
_FLOAT_MIN: Final = float(np.finfo(np.float32).tiny)
_SEED: Final = b"otel_ml.v1.Embedding"


def kept_dimensions(dimensions: int) -> int:
    """How many numbers of a vector of `dimensions` are summarised."""
    return dimensions if dimensions <= DIRECT_DIMENSIONS else PROJECTED_DIMENSIONS


@lru_cache(maxsize=8)
def projection(dimensions: int) -> FloatArray:
    """The fixed matrix, shape (dimensions, 64), that vectors of more than 128 dimensions are multiplied by.

    Its entries are ±1/8, so that lengths are kept on average. Any language can produce it: row i takes the bytes 8·i to
    8·i + 7 of SHAKE-256("otel_ml.v1.Embedding"); entry j is -1/8 where bit j % 8 of byte j // 8 is set, the lowest bit
    being bit 0, else +1/8.

    Source: Achlioptas, "Database-friendly random projections: Johnson-Lindenstrauss with binary coins" (2003).
    """
    drawn = hashlib.shake_256(_SEED).digest(dimensions * PROJECTED_DIMENSIONS // 8)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8), bitorder="little")
    signs = np.where(bits.reshape(dimensions, PROJECTED_DIMENSIONS), -0.125, 0.125)
    signs.flags.writeable = False
    return signs


class _State(NamedTuple):
    """Sums, and moments that were not yet added to them: replaced as a whole, so that threads see one or the other."""

    sums: VectorSums | None = None
    waiting: tuple[VectorMoments, ...] = ()


class EmbeddingSummary:
    """First and second moments of vectors of one length, and the distribution of their norms.

    `p` below is the number of dimensions while there are at most 128, else 64: vectors are multiplied by `projection`.

    Args:
        total: As the attribute, and so are all others; no vectors by default.

    Attributes:
        dimensions: Of each vector; 0 until the first one was seen.
        count: How many vectors there were.
        norms: Euclidean lengths of the vectors themselves, to 12 significant bits.
        projected: Waves and counts of the vectors y, of all or else None.
    """

    __slots__ = ("_state", "count", "dimensions", "norms", "projected")

    def __init__(
        self,
        dimensions: int = 0,
        count: int = 0,
        total: FloatArray | None = None,
        products: FloatArray | None = None,
        norms: NumericSummary | None = None,
        cubes: FloatArray | None = None,
        fourth: float = 0.0,
        projected: ProjectedVectors | None = None,
    ) -> None:
        self._state = _State()
        if total is not None or products is not None or cubes is not None:
            none = VectorSums.of_none(kept_dimensions(dimensions))
            self._state = _State(
                VectorSums(
                    none.total if total is None else total,
                    none.products if products is None else products,
                    none.cubes if cubes is None else cubes,
                    fourth,
                )
            )
        self.dimensions = dimensions
        self.count = count
        self.norms = NumericSummary() if norms is None else norms
        self.projected = projected

    @classmethod
    def anchored(
        cls, layout: BinLayout | None, /, dimensions: int = 0, projections: ProjectionLayout | None = None
    ) -> EmbeddingSummary:
        """A summary without vectors that will count norms in these bins, and takes vectors of `dimensions` if given.

        Waves and counts in bins are kept where `projections` says how.
        """
        projected = None if projections is None else ProjectedVectors.anchored(projections)
        return cls(dimensions, norms=NumericSummary.anchored(layout), projected=projected)

    @classmethod
    def of_moments(
        cls,
        dimensions: int,
        moments: VectorMoments,
        norms: NumericSummary,
        projected: ProjectedVectors | None = None,
    ) -> EmbeddingSummary:
        """The summary of the vectors whose moments these are."""
        summary = cls(dimensions, moments.vectors, norms=norms, projected=projected)
        summary._state = _State(waiting=(moments,))
        return summary

    @property
    def total(self) -> FloatArray:
        """(p,) the sum of the vectors y."""
        return self._sums.total

    @property
    def products(self) -> FloatArray:
        """(p, p) the sum of their outer products, symmetric."""
        return self._sums.products

    @property
    def cubes(self) -> FloatArray:
        """(p,) the sum of |y|² y; NaN where a part of the vectors came without."""
        return self._sums.cubes

    @property
    def fourth(self) -> float:
        """The sum of |y|⁴, likewise."""
        return self._sums.fourth

    @property
    def largest_bytes(self) -> int:
        """What it grows to in memory, about, whatever is merged in: the sums, and moments that wait."""
        return kept_dimensions(self.dimensions) ** 2 * np.dtype(np.float64).itemsize * (2 + _WAITING) // 2

    @property
    def _sums(self) -> VectorSums:
        sums, waiting = self._state
        if sums is None or waiting:
            sums = summed(sums, waiting) if waiting else VectorSums.of_none(kept_dimensions(self.dimensions))
            self._state = _State(sums)
        return sums

    def update(self, matrix: FloatArray, /) -> None:
        """Add vectors, shape (rows, dimensions); of any numeric type, finite.

        Raises:
            IncompatibleSketchError: They are longer or shorter than the ones before; nothing was changed.
        """
        self.norms.update(self.add(matrix))

    def add(self, matrix: FloatArray, /) -> FloatArray:
        """As `update`, but returns the norms, shape (rows,), instead of adding them."""
        rows, dimensions = matrix.shape
        if rows == 0:
            return np.empty(0)
        self._require(dimensions)
        vectors = np.asarray(matrix, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.square(vectors).sum(axis=1)).clip(max=_LARGEST)
            kept = vectors if dimensions <= DIRECT_DIMENSIONS else product(vectors, projection(dimensions))
            if self.projected is not None:
                if self.projected.layout is None:
                    self.projected = None
                else:
                    self.projected.update(kept)
            squares = np.square(kept).sum(axis=1)
            cubes, fourth = product(squares[np.newaxis], kept)[0], float(np.dot(squares, squares))
            self._add(dimensions, rows, _State(VectorSums(kept.sum(axis=0), product(kept.T, kept), cubes, fourth)))
        return _rounded(norms)

    def merge(self, other: EmbeddingSummary, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: Its vectors have another length; nothing was changed.
        """
        if other.dimensions:
            self._require(other.dimensions)
        self.norms.merge(other.norms)
        if other.count:
            self.projected = self._projected_with(other)
        if other.dimensions:
            self._add(other.dimensions, other.count, other._state)

    def mean(self) -> FloatArray:
        """The mean vector, shape (p,); NaN without vectors."""
        return self.total / self.count if self.count else np.full(len(self.total), np.nan)

    def scatter(self) -> FloatArray:
        """Σ(x - mean)(x - mean)ᵀ, shape (p, p); 0 where what is left of the sums is their rounding errors."""
        if not self.count:
            return np.zeros_like(self.products)
        with np.errstate(over="ignore", invalid="ignore"):
            scatter: FloatArray = self.products - np.outer(self.total, self.total / self.count)
            is_constant = scatter.diagonal() <= _ROUNDING * self.products.diagonal()
        scatter[is_constant, :] = scatter[:, is_constant] = 0.0
        return scatter

    def bounded_moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and scatter, finite and consistent: what is too large for a float is the largest one.

        So they are on the wire. No variance is negative but by rounding, no covariance larger than its variances allow.
        """
        mean, scatter = self.mean(), self.scatter()
        variances = np.nan_to_num(scatter.diagonal(), nan=_FLOAT_MAX).clip(0.0, _FLOAT_MAX)
        variances = variances.astype(np.float32).astype(np.float64)  # a tiny one becomes 0, and so do its covariances
        deviations = np.sqrt(variances)
        bounds = np.outer(deviations, deviations)
        covariances: FloatArray = np.clip(np.nan_to_num(scatter), -bounds, bounds)
        np.fill_diagonal(covariances, variances)
        return np.nan_to_num(mean).clip(-_FLOAT_MAX, _FLOAT_MAX), covariances

    def radial_moments(self) -> tuple[FloatArray, float] | None:
        """Σ|z|² z, shape (p,), and Σ|z|⁴ over the vectors z = y - mean; None where unknown or lost in rounding.

        They tell how much chance moves a covariance: more than for normal values where tails are heavy.
        """
        if not self.count or not math.isfinite(self.fourth):
            return None
        if not self.scatter().diagonal().any():
            return np.zeros_like(self.total), 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self.mean()
            square, pulled = float(mean @ mean), self.products @ mean
            spread = float(self.products.trace())
            third: FloatArray = self.cubes - 2 * pulled - (spread - 2 * self.count * square) * mean
            parts = (4 * float(mean @ pulled), 2 * square * spread, 4 * float(self.cubes @ mean))
            fourth = self.fourth + parts[0] + parts[1] - parts[2] - 3 * self.count * square * square
        largest = max(self.fourth, *map(abs, parts))
        if not (np.isfinite(third).all() and math.isfinite(largest) and fourth > _UNCERTAIN * largest):
            return None
        return third, fourth

    def bounded_radial_moments(self) -> tuple[FloatArray, float] | None:
        """As `radial_moments`, but consistent with `bounded_moments`; None also where floats cannot hold them."""
        radial, variances = self.radial_moments(), self.bounded_moments()[1].diagonal()
        if not variances.any():
            return np.zeros_like(variances), 0.0
        if radial is None or not _FLOAT_MIN <= radial[1] <= _FLOAT_MAX:
            return None
        bounds = np.sqrt(radial[1]) * np.sqrt(variances)
        return radial[0].clip(-bounds, bounds), radial[1]

    def _projected_with(self, other: EmbeddingSummary) -> ProjectedVectors | None:
        """Waves and counts of both sides, if both have them by the same measure."""
        mine, theirs = self.projected, other.projected
        if theirs is None or (mine is None and self.count):
            return None
        if mine is None or (mine.layout_hash != theirs.layout_hash and not self.count):
            return theirs.copy()
        if mine.layout_hash != theirs.layout_hash:
            return None
        merged = mine.copy()
        merged.merge(theirs)
        return merged

    def _require(self, dimensions: int) -> None:
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise IncompatibleSketchError(f"vectors of {dimensions} dimensions (1 to {MAX_DIMENSIONS})")
        if self.dimensions not in (0, dimensions):
            raise IncompatibleSketchError(
                f"cannot add vectors of {dimensions} dimensions to those of {self.dimensions} dimensions"
            )

    def _add(self, dimensions: int, count: int, added: _State) -> None:
        mine = self._state if self.dimensions else _State()
        sums = added.sums if mine.sums is None else mine.sums if added.sums is None else mine.sums.plus(added.sums)
        state = _State(sums, (*mine.waiting, *added.waiting))
        self._state = _State(summed(*state)) if len(state.waiting) > _WAITING else state
        self.dimensions = dimensions
        self.count += count


def _rounded(norms: FloatArray) -> FloatArray:
    """To 12 significant bits, 1 in 4,096: vectors of length 1 must not seem to differ by their rounding errors."""
    significands, exponents = np.frexp(norms)
    rounded: FloatArray = np.ldexp(np.rint(significands * _SIGNIFICANT) / _SIGNIFICANT, exponents)
    return rounded
