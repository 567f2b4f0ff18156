"""What is kept of vectors: sums about 0, which add up, and the moments about the mean that they come as."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from otel_ml.sketch.matrix_product import product
from otel_ml.sketch.sketch import CountArray, FloatArray


class VectorSums(NamedTuple):
    """Sums over vectors y of p numbers; no array of it is ever changed.

    Attributes:
        total: (p,) Σ y.
        products: (p, p) Σ y yᵀ.
        cubes: (p,) Σ |y|² y; NaN where a part of the vectors came without.
        fourth: Σ |y|⁴, likewise.
    """

    total: FloatArray
    products: FloatArray
    cubes: FloatArray
    fourth: float

    @classmethod
    def of_none(cls, size: int) -> VectorSums:
        """Of no vectors of `size` numbers."""
        return cls(np.zeros(size), np.zeros((size, size)), np.zeros(size), 0.0)

    def plus(self, other: VectorSums) -> VectorSums:
        """Both together."""
        with np.errstate(over="ignore", invalid="ignore"):
            return VectorSums(
                self.total + other.total,
                self.products + other.products,
                self.cubes + other.cubes,
                self.fourth + other.fourth,
            )


class VectorMoments(NamedTuple):
    """By z = y - mean; arrays may be floats of either size.

    Attributes:
        vectors: How many there are.
        mean: (p,) of y.
        triangle: Σ z zᵀ, the upper triangle, row by row.
        third: (p,) Σ |z|² z, NaN where unknown.
        fourth: Σ |z|⁴, likewise.
    """

    vectors: int
    mean: FloatArray
    triangle: FloatArray
    third: FloatArray
    fourth: float


def summed(sums: VectorSums | None, moments: Sequence[VectorMoments]) -> VectorSums:
    """Sums, and those of vectors whose moments these are, at least of some; of many at once each takes a few steps."""
    counts = np.array([one.vectors for one in moments], np.float64)
    means = np.array([one.mean for one in moments], np.float64)
    third = np.array([one.third for one in moments], np.float64)
    fourth = np.array([one.fourth for one in moments], np.float64)
    size = means.shape[1]
    together, diagonal, spread = np.zeros(size * (size + 1) // 2), diagonal_places(size), np.empty(len(moments))
    pulled = np.empty_like(means)
    with np.errstate(over="ignore", invalid="ignore"):
        for place, one in enumerate(moments):
            triangle = np.asarray(one.triangle, np.float64)
            together += triangle
            spread[place] = np.add.reduce(triangle.take(diagonal))
            pulled[place] = triangle.take(_places(size)) @ means[place]
        weighted = means * counts[:, np.newaxis]
        products = together.take(_places(size)) + product(weighted.T, means)
        # About 0 instead of the mean m of n vectors: |y|² is |z|² + 2 z·m + |m|².
        square = _dot(means, means)
        pulled += (counts * square)[:, np.newaxis] * means
        spread += counts * square
        cubes = third + 2 * pulled + (spread - 2 * counts * square)[:, np.newaxis] * means
        fourth = fourth - 4 * _dot(means, pulled) - 2 * square * spread
        fourth += 4 * _dot(cubes, means) + 3 * counts * square * square
        added = VectorSums(weighted.sum(axis=0), products, cubes.sum(axis=0), float(fourth.sum()))
    return added if sums is None else sums.plus(added)


@lru_cache(maxsize=8)
def upper_triangle(size: int) -> tuple[CountArray, CountArray]:
    """Rows and columns of the upper triangle of a square matrix, row by row."""
    rows, columns = np.triu_indices(size)
    return rows, columns


@lru_cache(maxsize=8)
def diagonal_places(size: int) -> CountArray:
    """(size,) where the diagonal of a matrix is among the numbers of its upper triangle."""
    rows, columns = upper_triangle(size)
    return np.flatnonzero(rows == columns)


@lru_cache(maxsize=8)
def _places(size: int) -> CountArray:
    """(size, size) where each number of a symmetric matrix is among those of its upper triangle, row by row."""
    places = np.empty((size, size), np.intp)
    rows, columns = upper_triangle(size)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


def _dot(left: FloatArray, right: FloatArray) -> FloatArray:
    products: FloatArray = np.einsum("np,np->n", left, right)
    return products
