"""Drift that is too slow to show in a window, as the sum of what all windows since it began are off by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from otel_ml.drift.detector import require_number
from otel_ml.drift.sequential.verdict import SequentialVerdict, read_flag, read_number

# By so much the steps of the walk overshoot both bounds together; Siegmund's 2 · 0.583.
_OVERSHOOT: Final = 1.166
# Below this share of the threshold the alarm ends.
_END: Final = 0.5


class Cusum:
    """Raises an alarm when a column's windows are off in the same direction for too long.

    The two cumulative sums of Page, "Continuous inspection schemes" (1954), over the deviations zₜ of the windows in
    standard errors, N(0, 1) without drift:

        S⁺ = max(0, S⁺ + z - k)        S⁻ = max(0, S⁻ - z - k)        alarm when either reaches h

    with k = shift / 2, which finds a lasting deviation of `shift` standard errors soonest (Moustakides, "Optimal
    stopping times for detecting changes in distributions", 1986). h is solved from the run length:
    (exp(2kb) - 2kb - 1) / 2k² windows on one side, b = h + 1.166 (Siegmund, "Sequential Analysis", 1985); with k = 0.5
    and h = 5 that is 469 on two sides, where 465 is exact.

    The run length holds for deviations that are independent and centred without drift. A deviation from one baseline is
    neither quite: its sampling error is in all windows, and in large windows any difference is many standard errors,
    be it of no consequence. Hence `tolerance`: what a window may be off by for nothing. Seasons are drift to it:
    feed deviations from the same hour of other days, or windows of whole days.

    The alarm ends, and both sums begin anew, when they are at half of h. To that end they do not grow beyond h.

    Args:
        shift: The lasting deviation to find, in standard errors of a window.
        run_length: Windows without drift to a false alarm, on average.
        limit: No window counts for more standard errors: one alone, however odd, is not gradual drift.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    __slots__ = ("_above", "_allowance", "_below", "_is_alarming", "_limit", "_run_length")

    def __init__(self, shift: float = 1.0, run_length: float = 100_000, limit: float = 4.0) -> None:
        require_number("cusum::shift", shift, above=0.01, at_most=4)
        require_number("cusum::run_length", run_length, above=50, at_most=1e12)
        require_number("cusum::limit", limit, above=shift / 2)
        self._allowance = shift / 2
        self._run_length = run_length
        self._limit = limit
        self._above = self._below = 0.0
        self._is_alarming = False

    @property
    def direction(self) -> int:
        """1 when the windows are too high, -1 when they are too low, 0 when neither."""
        return (self._above > self._below) - (self._above < self._below)

    def observe(self, deviation: float | None, *, tolerance: float = 0.0) -> SequentialVerdict:
        """Take the next window's deviation in; None or NaN, where there is none, changes nothing.

        Args:
            deviation: In standard errors, signed; of any size, infinite too.
            tolerance: How much of it is of no consequence, in standard errors of this window; at least 0. A tolerated
                difference of 0.05 standard deviations in n values is 0.05 · √n.

        Raises:
            ValueError: The tolerance is negative or NaN.
        """
        if not tolerance >= 0:
            raise ValueError(f"tolerance: {tolerance!r} is not valid (a number of at least 0)")
        was_alarming = self._is_alarming
        if deviation is not None and not math.isnan(deviation):
            self._add(math.copysign(min(max(abs(deviation) - tolerance, 0.0), self._limit), deviation))
        return SequentialVerdict(max(self._above, self._below), self._threshold, self._is_alarming, was_alarming)

    def encode(self) -> dict[str, Any]:
        """Everything to be remembered."""
        return {"above": self._above, "below": self._below, "is_alarming": self._is_alarming}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `encode` was called, perhaps with other settings.

        Raises:
            ValueError: The state is not one; nothing was changed.
        """
        above, below = read_number(state, "above"), read_number(state, "below")
        self._is_alarming = read_flag(state, "is_alarming")
        # The threshold itself is asked for where it matters only: what is restored at a start should not wait for it.
        if max(above, below) > _surely_within(self._allowance, self._run_length):
            above, below = min(above, self._threshold), min(below, self._threshold)
        self._above, self._below = above, below

    @property
    def _threshold(self) -> float:
        return decision_interval(self._allowance, self._run_length)

    def _add(self, deviation: float) -> None:
        self._above = min(max(0.0, self._above + deviation - self._allowance), self._threshold)
        self._below = min(max(0.0, self._below - deviation - self._allowance), self._threshold)
        greater = max(self._above, self._below)
        if greater >= self._threshold:
            self._is_alarming = True
        elif self._is_alarming and greater < _END * self._threshold:
            self._is_alarming = False
            self._above = self._below = 0.0


@lru_cache(maxsize=64)
def decision_interval(allowance: float, run_length: float) -> float:
    """The h of a two-sided CUSUM with allowance k whose windows to a false alarm are `run_length` on average.

    Siegmund's approximation, good to some per cent for run lengths of at least 50 and allowances of at most 2.
    """
    needed = _needed(allowance, run_length)
    # exp(x) - 1 - x is at least x² / 2, and from x = 2 on at least exp(x) / 2.
    highest = 1.01 * min(math.sqrt(2 * needed), max(2.0, math.log(2 * needed)))
    # Takes a while to import, and is needed once.
    from scipy.optimize import brentq  # noqa: PLC0415 - see above

    exponent = brentq(lambda x: math.expm1(x) - x - needed, 0.0, highest)
    return max(float(exponent) / (2 * allowance) - _OVERSHOOT, 0.0)


def _surely_within(allowance: float, run_length: float) -> float:
    """Less than the decision interval, with nothing to solve: exp(x) - 1 - x is at most exp(x) - 1."""
    return 0.9 * math.log1p(_needed(allowance, run_length)) / (2 * allowance) - _OVERSHOOT


def _needed(allowance: float, run_length: float) -> float:
    """What exp(x) - 1 - x has to be at x = 2k (h + 1.166)."""
    return 4 * allowance**2 * run_length
