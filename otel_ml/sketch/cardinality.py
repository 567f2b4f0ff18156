"""How many distinct strings there were."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from datasketches import hll_sketch, tgt_hll_type

from otel_ml.sketch import hll_image
from otel_ml.sketch.hll_image import LG_K, MAX_VALUE, REGISTERS, RegisterArray

EMPTY_STRING: Final = "\x00"
"""Counted in place of "", which the library ignores."""


class HyperLogLog:
    """A distinct count of strings within about 2.3 % (one standard deviation), in at most 2 KB.

    Merging is exact: replicas merged in any order know, register by register, what one would have known.

    Source: Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm" (2007).
    """

    __slots__ = ("_native", "_registers")

    def __init__(self) -> None:
        # What came by `update`, and what came by `merge` and `from_image`; either may be absent.
        self._native: hll_sketch | None = None
        self._registers: RegisterArray | None = None

    @classmethod
    def from_image(cls, image: bytes) -> HyperLogLog:
        """The sketch another process sent.

        Raises:
            CorruptSketchError: The bytes are not such an image.
        """
        sketch = cls()
        sketch._registers = hll_image.parse(image)
        return sketch

    @property
    def is_empty(self) -> bool:
        """True before the first string."""
        return (self._native is None or self._native.is_empty()) and (
            self._registers is None or not self._registers.any()
        )

    def update(self, batch: Iterable[str], /) -> None:
        """Add strings; repeating one changes nothing."""
        if self._native is None:
            self._native = hll_sketch(LG_K, tgt_hll_type.HLL_8)
        add = self._native.update
        for text in batch:
            try:
                add(text or EMPTY_STRING)
            except TypeError:
                add(text.encode("utf-8", "backslashreplace").decode())

    def merge(self, other: HyperLogLog, /) -> None:
        """Add the strings that `other` has seen."""
        if other.is_empty:
            return
        theirs = other.registers()
        self._registers = theirs if self._registers is None else np.maximum(self._registers, theirs)

    def registers(self) -> RegisterArray:
        """A copy of the registers, shape (2048,): the longest run of leading zeros, plus one, by hash slot."""
        registers = np.zeros(REGISTERS, np.uint8) if self._registers is None else self._registers.copy()
        if self._native is not None:
            np.maximum(registers, hll_image.parse(self._native.serialize_compact()), out=registers)
        return registers

    def image(self) -> bytes:
        """A DataSketches HLL_8 image, lg_k 11; coupons of 4 bytes a string while there are few."""
        if self._native is not None and self._registers is None:
            image: bytes = self._native.serialize_compact()
            return image
        return hll_image.write(self.registers())

    def estimate(self) -> float:
        """How many distinct strings there were, about.

        Source: the improved raw estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
        (2017), which needs neither bias tables nor switching between estimators.
        """
        histogram = np.bincount(self.registers(), minlength=MAX_VALUE + 1).tolist()
        weighted = REGISTERS * _tau(1.0 - histogram[MAX_VALUE] / REGISTERS)
        for count in reversed(histogram[1:MAX_VALUE]):
            weighted = 0.5 * (weighted + count)
        weighted += REGISTERS * _sigma(histogram[0] / REGISTERS)
        return REGISTERS * REGISTERS / (2.0 * math.log(2.0) * weighted)


def _sigma(share: float) -> float:
    """Sigma of x = x + Σ x^(2^k)·2^(k-1): what empty registers add; infinite when all are empty."""
    if share == 1.0:
        return math.inf
    total, factor, previous = share, 1.0, -1.0
    while total != previous:
        share *= share
        previous = total
        total += share * factor
        factor *= 2.0
    return total


def _tau(share: float) -> float:
    """Tau of x = (1 - x - Σ (1 - x^(2^-k))²·2^-k) / 3: what full registers add."""
    if share in {0.0, 1.0}:
        return 0.0
    total, factor, previous = 1.0 - share, 1.0, -1.0
    while total != previous:
        share = math.sqrt(share)
        previous = total
        factor *= 0.5
        total -= (1.0 - share) ** 2 * factor
    return total / 3.0
