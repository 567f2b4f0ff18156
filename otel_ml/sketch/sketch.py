"""What every mergeable summary can do."""

from __future__ import annotations

from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
CountArray: TypeAlias = npt.NDArray[np.int64]

BatchT_contra = TypeVar("BatchT_contra", contravariant=True)
SketchT = TypeVar("SketchT", bound="Sketch[object]")


class Sketch(Protocol[BatchT_contra]):
    """A summary of many values that knows as much after a merge as if it had seen them all itself."""

    @property
    def count(self) -> int:
        """How many values the summary stands for."""
        ...

    def update(self, batch: BatchT_contra, /) -> None:
        """Add a batch of values."""
        ...

    def merge(self: SketchT, other: SketchT, /) -> None:
        """Add what `other` has seen; `other` stays as it was.

        Raises:
            IncompatibleSketchError: The two were laid out differently.
        """
        ...
