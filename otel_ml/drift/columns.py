"""What detectors compare: all columns of a model with their references, at once.

Comparing one column costs some forty calls of numpy, comparing a hundred in matrices costs hardly more. What several
detectors need, such as the cells of a histogram, is worked out when the first one asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from otel_ml.drift.calibration import calibrated
from otel_ml.drift.cells import Cells, category_cells, equal_mass_edges, numeric_cells
from otel_ml.drift.functions import Functions, functions_of
from otel_ml.drift.rank_noise import RankNoise, rank_noise
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution
from otel_ml.sketch.sketch import FloatArray

Pair = tuple[Distribution, Distribution]
ValueT = TypeVar("ValueT")


class MomentPairs(NamedTuple):
    """Means and sums of squared deviations from them, of both sides; NaN where they are not known.

    All of shape (columns,); m2 may be infinite, as in `Moments`.
    """

    reference_mean: FloatArray
    reference_m2: FloatArray
    current_mean: FloatArray
    current_m2: FloatArray


class Columns:
    """Pairs of a reference and a current distribution, either all of numbers or all of categories.

    Attributes:
        is_numeric: Whether they are distributions of numbers.
        n: (columns,) values behind each reference.
        m: (columns,) values behind each current window.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.is_numeric = bool(pairs) and isinstance(pairs[0][0], NumericDistribution)
        kind = NumericDistribution if self.is_numeric else CategoricalDistribution
        for pair in pairs:
            if not (isinstance(pair[0], kind) and isinstance(pair[1], kind)):
                raise TypeError(f"cannot compare {type(pair[0]).__name__} with {type(pair[1]).__name__} here")
        self.n: FloatArray = np.array([reference.total for reference, _ in pairs], dtype=np.float64)
        self.m: FloatArray = np.array([current.total for _, current in pairs], dtype=np.float64)
        self._make_pairs: Callable[[], Sequence[Pair]] = lambda: pairs
        self._cells: dict[int, Cells] = {}
        self._of_references: dict[Hashable, Any] = {}
        self._noise_left: FloatArray | float = 1.0

    @classmethod
    def of_matrices(
        cls,
        functions: Functions,
        moments: MomentPairs,
        n: FloatArray,
        m: FloatArray,
        *,
        make_pairs: Callable[[], Sequence[Pair]],
        of_references: dict[Hashable, Any],
    ) -> Columns:
        """Columns of numbers that are in matrices already.

        Args:
            make_pairs: Makes the pairs of distributions, for who needs them one by one.
            of_references: Memory for `of_references`, of columns with the very same references.
        """
        columns = cls(())
        columns.is_numeric = True
        columns.n, columns.m = n, m
        columns._make_pairs, columns._of_references = make_pairs, of_references
        columns.__dict__.update(functions=functions, moments=moments)
        return columns

    def __len__(self) -> int:
        return len(self.n)

    @cached_property
    def pairs(self) -> Sequence[Pair]:
        """Reference and current window of each column; neither without values."""
        return self._make_pairs()

    def of_references(self, name: Hashable, compute: Callable[[], ValueT]) -> ValueT:
        """What `compute` gives, which depends on the references alone: it is worked out once for many windows."""
        if name not in self._of_references:
            self._of_references[name] = compute()
        value: ValueT = self._of_references[name]
        return value

    @cached_property
    def functions(self) -> Functions:
        """Both distribution functions of each column; of numbers only."""
        functions = functions_of(self.pairs)  # type: ignore[arg-type]  # numeric, as checked
        if functions.error_reference.any() or functions.error_current.any():
            functions, self._noise_left = calibrated(functions, self.pairs)  # type: ignore[arg-type]  # likewise
        return functions

    @cached_property
    def noise(self) -> RankNoise:
        """What sampling sketches add to the differences of both distribution functions; of numbers only."""
        functions = self.functions
        return rank_noise(functions, self._noise_left)

    def cells(self, bins: int = 10) -> Cells:
        """Both sides of each column counted in common cells, of numbers in at most `bins` and two for what is new."""
        key = bins if self.is_numeric else 0
        found = self._cells.get(key)
        if found is None:
            if self.is_numeric:
                edges = self.of_references(("edges", bins), lambda: equal_mass_edges(self.functions.reference, bins))
                found = numeric_cells(self.functions, self.noise, self.n, self.m, edges)
            else:
                found = category_cells(self.pairs, self.n, self.m)  # type: ignore[arg-type]  # categorical, as checked
            self._cells[key] = found
        return found

    @cached_property
    def moments(self) -> MomentPairs:
        """Means and variances of both sides; of numbers only."""
        rows = np.array(
            [[*_moments(reference), *_moments(current)] for reference, current in self.pairs], dtype=np.float64
        )
        return MomentPairs(*rows.reshape(len(self.pairs), 4).T)


def _moments(distribution: Distribution) -> tuple[float, float]:
    assert isinstance(distribution, NumericDistribution)
    moments = distribution.moments
    if moments is not None:
        return moments.mean, moments.m2
    if not distribution.is_step:
        return np.nan, np.nan
    weights = np.diff(distribution.cumulative, prepend=0)
    # Divided first, so that a sum of values near 1e308 does not overflow.
    with np.errstate(over="ignore"):
        mean = float(np.dot(distribution.points / distribution.total, weights))
        mean = min(max(mean, distribution.minimum), distribution.maximum)
        return mean, float(np.dot(np.square(distribution.points - mean), weights))
