"""Calls of one model as the next snapshot will tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason

if TYPE_CHECKING:
    from otel_ml.sketch.sketch import FloatArray

_TOGETHER: Final = 2_048
"""Durations that are counted at once, for 15 ns each; arrays of more are memory that is asked for and given back."""


class MeasuredCalls:
    """Calls since they were last taken."""

    __slots__ = ("_summary", "_waiting", "_waiting_calls")

    def __init__(self) -> None:
        self._summary = CallSummary()
        self._waiting: list[FloatArray] = []
        self._waiting_calls = 0

    def add(self, durations_s: FloatArray, error_type: str | None, slowest: Exemplar | None = None) -> None:
        """Calls that took so many seconds each, and all ended with this error, or none of them with any.

        Args:
            slowest: Of those that can be found again.
        """
        if durations_s.size == 0:
            return
        if error_type:
            self._summary.add_errors({error_type: durations_s.size})
        if slowest is not None:
            self._summary.add_exemplars(
                [slowest, slowest._replace(reason=ExemplarReason.FAILED)][: 1 + bool(error_type)]
            )
        self._waiting.append(durations_s)
        self._waiting_calls += durations_s.size
        if self._waiting_calls >= _TOGETHER:
            self._count()

    def take(self) -> CallSummary | None:
        """What was added since the last time; None if nothing was."""
        self._count()
        if not self._summary.count:
            return None
        taken, self._summary = self._summary, CallSummary()
        return taken

    def _count(self) -> None:
        if self._waiting:
            waiting, self._waiting, self._waiting_calls = self._waiting, [], 0
            durations_s = np.concatenate(waiting)
            for start in range(0, durations_s.size, _TOGETHER):
                self._summary.update(durations_s[start : start + _TOGETHER])
