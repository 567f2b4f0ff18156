"""What the detectors that count both samples in common cells have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.cells import Cells
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_integer, require_number
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class OverCells(DriftDetector):
    """A distance between the shares that two samples have in common cells.

    Cells are the reference's own quantile bins for numbers, the categories for categories; those with too few values
    are joined. The p-value is that of Pearson's χ² over the same cells, whatever the distance: many of them tend to the
    same limit, none sooner (see `otel_ml.drift.significance`).

    The default thresholds correspond to each other. All are what a normal distribution scores that moves by 0.46
    standard deviations, which is where a PSI over ten bins reaches 0.2: KL 0.1, Jensen-Shannon distance 0.19, Hellinger
    0.16, V 0.22, total variation 0.18. For two categories of equal shares, it is a change by 0.22.
    """

    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = False
    greatest: ClassVar[float] = math.inf
    """The highest score there can be."""

    bins: int = 10
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_integer(f"{self.name}::bins", self.bins, at_least=2, at_most=1000)
        require_number(f"{self.name}::threshold", self.threshold, above=0, at_most=self.greatest)
        if not isinstance(self.bias_corrected, bool):
            raise ConfigurationError(
                f"{self.name}::bias_corrected: {self.bias_corrected!r} is not valid (true or false)"
            )

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        cells, n, m = columns.cells(self.bins), columns.n, columns.m
        distance = self.distance(cells, n, m)
        if self.bias_corrected:
            distance = distance - self.by_chance(cells, n, m)
        # What rounding leaves of the difference of two equal sums is no distance.
        distance = np.where(distance > 1e-14, distance, 0.0)
        return Scores(np.minimum(self.as_score(distance), self.greatest), self.p_value(cells, n, m))

    @abstractmethod
    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """(columns,) on a scale on which chance adds; `n` and `m` are (columns,) the values behind the two sides."""

    @abstractmethod
    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """(columns,) what `distance` is on average without drift."""

    def as_score(self, distance: FloatArray) -> FloatArray:
        """Bring a distance to the scale that people know it on."""
        return distance

    def p_value(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """(columns,) the probability of as much without drift."""
        return cells.p_value
