"""What is kept of a column of vectors: their mean, how their dimensions vary together, and their lengths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import FloatArray

MAX_DIMENSIONS: Final = 65_536
"""Of a vector that is summarised."""
DIRECT_DIMENSIONS: Final = 128
"""Up to so many, second moments are kept of the dimensions themselves."""
PROJECTED_DIMENSIONS: Final = 64
"""Beyond, of so many random directions: 8 KB on the wire, where 768 dimensions would take 1.2 MB."""

_BLOCK: Final = 64
_SIGNIFICANT: Final = 4096.0
_ROUNDING: Final = 1e-13
_LARGEST: Final = 2.0**1023
_SEED: Final = b"otel_ml.v1.Embedding"


def _none() -> FloatArray:
    return np.empty(0)


def _no_products() -> FloatArray:
    return np.empty((0, 0))


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


@dataclass(slots=True, eq=False)
class EmbeddingSummary:
    """First and second moments of vectors of one length, and the distribution of their norms.

    `p` below is the number of dimensions while there are at most 128, else 64: vectors are multiplied by `projection`.

    Attributes:
        dimensions: Of each vector; 0 until the first one was seen.
        count: How many vectors there were.
        total: (p,) their sum; never changed in place.
        products: (p, p) the sum of their outer products, symmetric; never changed in place.
        norms: Euclidean lengths of the vectors themselves, to 12 significant bits.
    """

    dimensions: int = 0
    count: int = 0
    total: FloatArray = field(default_factory=_none)
    products: FloatArray = field(default_factory=_no_products)
    norms: NumericSummary = field(default_factory=NumericSummary)

    @classmethod
    def anchored(cls, layout: BinLayout | None, /, dimensions: int = 0) -> EmbeddingSummary:
        """A summary without vectors that will count norms in these bins, and takes vectors of `dimensions` if given."""
        kept = kept_dimensions(dimensions)
        return cls(dimensions, 0, np.zeros(kept), np.zeros((kept, kept)), NumericSummary.anchored(layout))

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
            return _none()
        self._require(dimensions)
        vectors = np.asarray(matrix, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.square(vectors).sum(axis=1)).clip(max=_LARGEST)
            kept = vectors if dimensions <= DIRECT_DIMENSIONS else _product(vectors, projection(dimensions))
            self._add(dimensions, rows, kept.sum(axis=0), _product(kept.T, kept))
        return _rounded(norms)

    def merge(self, other: EmbeddingSummary, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: Its vectors have another length; nothing was changed.
        """
        if other.dimensions:
            self._require(other.dimensions)
        self.norms.merge(other.norms)
        if other.dimensions:
            self._add(other.dimensions, other.count, other.total, other.products)

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

    def _require(self, dimensions: int) -> None:
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise IncompatibleSketchError(f"vectors of {dimensions} dimensions (1 to {MAX_DIMENSIONS})")
        if self.dimensions not in (0, dimensions):
            raise IncompatibleSketchError(
                f"cannot add vectors of {dimensions} dimensions to those of {self.dimensions} dimensions"
            )

    def _add(self, dimensions: int, count: int, total: FloatArray, products: FloatArray) -> None:
        if self.dimensions:
            with np.errstate(over="ignore", invalid="ignore"):
                self.total, self.products = self.total + total, self.products + products
        else:
            self.dimensions, self.total, self.products = dimensions, total.copy(), products.copy()
        self.count += count


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """`left @ right`, in pieces that the linear algebra library does by itself.

    Larger ones it spreads over threads of its own, as many as there are cores. On cores that are busy with requests,
    these wait for each other: 1,000 vectors of 32 dimensions then took 50 ms where one thread takes 0.1 ms.
    """
    result = np.zeros((left.shape[0], right.shape[1]))
    for row in range(0, left.shape[0], _BLOCK):
        for column in range(0, right.shape[1], _BLOCK):
            block = result[row : row + _BLOCK, column : column + _BLOCK]
            for inner in range(0, left.shape[1], _BLOCK):
                span = slice(inner, inner + _BLOCK)
                block += left[row : row + _BLOCK, span] @ right[span, column : column + _BLOCK]
    return result


def _rounded(norms: FloatArray) -> FloatArray:
    """To 12 significant bits, 1 in 4,096: vectors of length 1 must not seem to differ by their rounding errors."""
    significands, exponents = np.frexp(norms)
    rounded: FloatArray = np.ldexp(np.rint(significands * _SIGNIFICANT) / _SIGNIFICANT, exponents)
    return rounded
