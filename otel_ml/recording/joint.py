"""Numeric features of a baseline on their way into moments of all of them together, so that correlations can be told.

Rows are only copied until there are many: a product of matrices costs the same for one row as for a hundred.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.guard import warn_once
from otel_ml.recording.numeric import positions
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.summary import FeatureSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_ml.baseline import Baseline
    from otel_ml.baseline.joint import JointLayout
    from otel_ml.recording.numeric import IndexArray
    from otel_ml.recording.privacy import PrivacyPolicy

_MOST_ROWS: Final = 512
_MOST_NUMBERS: Final = 16_384
"""Held at a time: a tenth of a millisecond of work."""
_ONE_THREAD_PRODUCT: Final = 1 << 18
_ONE_THREAD_VECTOR: Final = 9_216
"""Multiplications that OpenBLAS does by itself; for more it starts threads, which would compete with requests."""
_FEWEST: Final = 10
"""Rows whose sums may leave where single values may not: those of one row are the row."""


class JointColumn:
    """Moments of the rows in which all features of a baseline's layout are finite.

    Args:
        fewest: Rows of an interval below which they are let go.
    """

    def __init__(self, layout: JointLayout, fewest: int = 1) -> None:
        columns = len(layout.names)
        self._layout = layout
        self._fewest = fewest
        self._held = np.empty((min(_MOST_ROWS, _MOST_NUMBERS // columns), columns))
        self._filled = 0
        self._block = max(1, min(_ONE_THREAD_PRODUCT // columns**2, _ONE_THREAD_VECTOR // columns))
        self._reset()

    @classmethod
    def of(cls, baseline: Baseline | None, privacy: PrivacyPolicy | None) -> JointColumn | None:
        """The column that a baseline asks for; None where it asks for none, or where a part of it may not leave."""
        if baseline is None or baseline.joint is None:
            return None
        layout = baseline.joint.layout
        if privacy is None:
            return cls(layout)
        private = [name for name in layout.names if not privacy.admits(name)]
        if private:
            warn_once(
                f"joint {layout.hash}",
                f"correlations are not watched: the baseline of {baseline.model.name!r} was built with columns that may"
                f" not be summarised here ({', '.join(private[:3])}{', …' if len(private) > 3 else ''})",
            )
            return None
        return cls(layout, 1 if privacy.samples_values else _FEWEST)

    def part_of(self, labels: Sequence[str]) -> Callable[[np.ndarray[Any, Any]], Iterator[None]] | None:
        """What takes matrices of these columns in; None where they are not all there."""
        indexes = positions(self._layout.names, labels)
        return None if (indexes < 0).any() else partial(self.take, indexes)

    def take(self, indexes: IndexArray, matrix: np.ndarray[Any, Any]) -> Iterator[None]:
        """Add rows whose columns are at these indexes, in steps."""
        self._rows += len(matrix)
        taken = 0
        while taken < len(matrix):
            some = matrix[taken : taken + len(self._held) - self._filled]
            room = self._held[self._filled : self._filled + len(some)]
            if some.dtype == room.dtype:
                some.take(indexes, axis=1, out=room, mode="clip")  # twice as fast; without a mode, it would be buffered
            else:
                with np.errstate(over="ignore"):  # what a double cannot hold is infinite, and not finite
                    room[:] = some[:, indexes]
            taken += len(some)
            self._filled += len(some)
            if self._filled == len(self._held):
                self._settle()
                yield

    def drain(self) -> FeatureSummary | None:
        """What was added since the last time, if anything."""
        self._settle()
        rows, count = self._rows, self._count
        columns = len(self._layout.names)
        content = EmbeddingSummary.anchored(None, columns)
        if count:
            content = EmbeddingSummary(
                columns, count, self._total, self._products, cubes=self._cubes, fourth=self._fourth
            )
        self._reset()
        if not rows or 0 < count < self._fewest:
            return None
        return FeatureSummary(self._layout.key, content, Counters(rows, missing=rows - count))

    def _settle(self) -> None:
        # As EmbeddingSummary.add, without the lengths of the vectors, which nobody asks for: in half the time.
        vectors = self._layout.standardised(self._held[: self._filled])
        self._filled = 0
        if not len(vectors):
            return
        squares = np.einsum("ij,ij->i", vectors, vectors)
        self._count += len(vectors)
        self._total += vectors.sum(axis=0)
        self._fourth += float(np.dot(squares, squares))
        for start in range(0, len(vectors), self._block):
            block = vectors[start : start + self._block]
            self._products += block.T @ block
            self._cubes += squares[start : start + self._block] @ block

    def _reset(self) -> None:
        columns = len(self._layout.names)
        self._rows = self._count = 0
        self._total, self._cubes = np.zeros((2, columns))
        self._products = np.zeros((columns, columns))
        self._fourth = 0.0
