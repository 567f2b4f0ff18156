"""Evidence against "no drift" in one column, multiplied up over windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from otel_ml.drift.detector import require_number
from otel_ml.drift.sequential.verdict import SequentialVerdict, read_flag

EXPONENTS: Final = (0.1, 0.3, 0.6)
"""Of the calibrators: small ones gain most from tiny p-values, large ones from many that are merely low. Still larger
ones would gain from ever less, but without drift they lose hardly anything from window to window: no alarm would end.
"""

# Below this a p-value is no better evidence; it keeps the logarithm finite.
_SMALLEST: Final = 1e-300
_NOTHING: Final = -math.inf


class EDetector:
    """Raises an alarm when a column's p-values are too low for too long, none of which need be low enough alone.

    Each p-value becomes an e-value, κ · p^(κ-1), whose mean without drift is at most 1 (Vovk & Wang, "E-values:
    calibration, combination and applications", 2021). The evidence for a drift that began in any window before is the
    e-detector of Shiryaev-Roberts type Mₜ = eₜ · (1 + Mₜ₋₁), averaged over three κ (Shin, Ramdas & Rinaldo,
    "E-detectors: a nonparametric framework for sequential change detection", 2022). It alarms at M ≥ run_length.

    Guarantee: without drift the alarm comes after `run_length` windows on average, or later, for p-values valid given
    the windows before: P(pₜ ≤ u | past) ≤ u. There is no asymptotics and no assumption of equal windows. Two
    things break it. One baseline for all windows does, mildly: its sampling error is in every p-value, so it should
    have some fifty times the values of a window. Seasons do, entirely: compare with the same hour of other days.
    Of n columns watched, the first false alarm comes n times as early.

    The alarm ends, and everything begins anew, when the evidence is down at the root of what raised it. To that end it
    is not gathered beyond the threshold; without drift it then shrinks from window to window.

    Args:
        run_length: Windows without drift to a false alarm.

    Raises:
        ConfigurationError: The setting is not valid.
    """

    __slots__ = ("_evidence", "_is_alarming", "_threshold")

    def __init__(self, run_length: float = 100_000) -> None:
        require_number("e_detector::run_length", run_length, above=1, at_most=1e12)
        self._threshold = math.log(run_length)
        self._evidence = [_NOTHING] * len(EXPONENTS)
        self._is_alarming = False

    @property
    def statistic(self) -> float:
        """The logarithm of the evidence, -inf before the first window."""
        return _log_of_sum(self._evidence) - math.log(len(EXPONENTS))

    def observe(self, p_value: float | None) -> SequentialVerdict:
        """Take the next window's p-value in; None or NaN, where there was no test, changes nothing.

        Raises:
            ValueError: The p-value is not in [0, 1].
        """
        was_alarming = self._is_alarming
        if p_value is not None and not math.isnan(p_value):
            if not 0 <= p_value <= 1:
                raise ValueError(f"p_value: {p_value!r} is not valid (a number from 0 to 1)")
            self._gather(math.log(max(p_value, _SMALLEST)))
        return SequentialVerdict(self.statistic, self._threshold, self._is_alarming, was_alarming)

    def encode(self) -> dict[str, Any]:
        """Everything to be remembered."""
        evidence = [None if evidence == _NOTHING else evidence for evidence in self._evidence]
        return {"evidence": evidence, "is_alarming": self._is_alarming}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `encode` was called.

        Raises:
            ValueError: The state is not one; nothing was changed.
        """
        found = state.get("evidence")
        if (
            not isinstance(found, list)
            or len(found) != len(EXPONENTS)
            or not all(value is None or _is_finite(value) for value in found)
        ):
            raise ValueError(
                f"state::evidence: {found!r} is not valid ({len(EXPONENTS)} logarithms, null for nothing yet)"
            )
        self._is_alarming = read_flag(state, "is_alarming")
        self._evidence = [_NOTHING if value is None else float(value) for value in found]

    def _gather(self, log_p: float) -> None:
        self._evidence = [
            math.log(exponent) + (exponent - 1) * log_p + _log_of_sum((0.0, evidence))
            for exponent, evidence in zip(EXPONENTS, self._evidence, strict=True)
        ]
        excess = self.statistic - self._threshold
        if excess >= 0:
            self._is_alarming = True
            self._evidence = [evidence - excess for evidence in self._evidence]
        elif self._is_alarming and self.statistic < self._threshold / 2:
            self._is_alarming = False
            self._evidence = [_NOTHING] * len(EXPONENTS)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _log_of_sum(logarithms: list[float] | tuple[float, ...]) -> float:
    greatest = max(logarithms)
    if greatest == _NOTHING:
        return _NOTHING
    return greatest + math.log(sum(math.exp(value - greatest) for value in logarithms))
