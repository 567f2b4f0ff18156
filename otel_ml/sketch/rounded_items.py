"""Items of a quantile sketch that came as floats, as they probably were before they were rounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.kll_image import KllContents
from otel_ml.sketch.sketch import FloatArray

_POWERS_OF_TEN: Final = 10.0 ** np.arange(23)


def of_one_precision(parts: Sequence[KllContents]) -> Sequence[KllContents]:
    """The parts, which may all stay rounded as long as only their order matters: restoring keeps it."""
    return parts if all(part.is_rounded for part in parts) else restored_parts(parts)


def restored_parts(parts: Sequence[KllContents]) -> list[KllContents]:
    """The parts, items of floats as they probably were before they were rounded."""
    rounded = [part for part in parts if part.is_rounded]
    if not rounded:
        return list(parts)
    sizes = [part.items.size for part in rounded]
    items = iter(np.split(nearest_decimals(np.concatenate([part.items for part in rounded])), np.cumsum(sizes)))
    return [
        replace(part, minimum=minimum, maximum=maximum, items=next(items)) if part.is_rounded else part
        for part, minimum, maximum in zip(
            parts,
            restored_ends(parts, attrgetter("minimum")),
            restored_ends(parts, attrgetter("maximum")),
            strict=True,
        )
    ]


def restored_ends(parts: Sequence[KllContents], end: Callable[[KllContents], float]) -> list[float]:
    """One end of each part, likewise."""
    rounded = [end(part) for part in parts if part.is_rounded]
    restored = iter(nearest_decimals(np.array(rounded, np.float32)).tolist() if rounded else ())
    return [next(restored) if part.is_rounded else end(part) for part in parts]


def nearest_decimals(values: npt.NDArray[np.floating]) -> FloatArray:
    """For each float the decimal of 7 digits that rounds to it where there is one, else the float itself.

    9.99 as a float is 9.989999771…: below the 9.99 that a baseline holds, so that a frequent price would seem to have
    drifted. Order is kept, for a result never leaves the range of numbers that round to its float. So it does not
    matter whether items are restored before they are sorted and compacted or afterwards, when fewer are left.
    """
    exact = values.astype(np.float64)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        digits = np.clip(6.0 - np.floor(np.log10(np.abs(exact))), -22.0, 22.0)
        power = _POWERS_OF_TEN[np.abs(digits).astype(np.intp)]
        decimals = np.where(digits >= 0.0, np.rint(exact * power) / power, np.rint(exact / power) * power)
        return np.where(decimals.astype(np.float32) == values, decimals, exact)
