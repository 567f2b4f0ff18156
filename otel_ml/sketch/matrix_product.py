"""Products of matrices that leave the other cores alone."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.floating[Any])

_BLOCK = 64


def product(left: npt.NDArray[Number], right: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """`left @ right`, in pieces that the linear algebra library does by itself.

    Larger ones it spreads over threads of its own, as many as there are cores. On cores that are busy with requests,
    these wait for each other: 1,000 vectors of 32 dimensions then took 50 ms where one thread takes 0.1 ms.
    """
    result = np.zeros((left.shape[0], right.shape[1]), left.dtype)
    for row in range(0, left.shape[0], _BLOCK):
        for column in range(0, right.shape[1], _BLOCK):
            block = result[row : row + _BLOCK, column : column + _BLOCK]
            for inner in range(0, left.shape[1], _BLOCK):
                span = slice(inner, inner + _BLOCK)
                block += left[row : row + _BLOCK, span] @ right[span, column : column + _BLOCK]
    return result
