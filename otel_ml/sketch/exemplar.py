"""Single requests that show what a summary cannot: who sent the largest value, who sent none."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final, NamedTuple

PER_REASON: Final = 2
"""Exemplars that are kept for each reason, of each column and interval."""


class ExemplarReason(Enum):
    """Why a request is worth a look."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    MISSING = "missing"
    UNSEEN = "unseen"
    """Its category is not in the baseline."""
    OUT_OF_RANGE = "out_of_range"
    """Its value is outside the baseline's range."""
    MISMATCHED = "mismatched"
    SLOWEST = "slowest"
    """Of a model's calls, like the next."""
    FAILED = "failed"


_EXTREMITY: Final = {ExemplarReason.LARGEST: 1.0, ExemplarReason.SMALLEST: -1.0, ExemplarReason.SLOWEST: 1.0}


OF_CALLS: Final = frozenset((ExemplarReason.SLOWEST, ExemplarReason.FAILED))
"""Reasons that calls have; columns have the others."""


class Exemplar(NamedTuple):
    """One row of one request, by its trace.

    Attributes:
        trace_id: As in the span context; 0 when the request was not traced.
        span_id: Likewise.
        prediction_id: Empty when the row has none.
        value: The value, for LARGEST, SMALLEST and OUT_OF_RANGE; None where it is missing, no number, or private. Of a
            call the seconds it took.
    """

    reason: ExemplarReason
    trace_id: int
    span_id: int
    time_unix_nano: int
    prediction_id: str = ""
    value: float | None = None


def merged_exemplars(*groups: Collection[Exemplar]) -> list[Exemplar]:
    """The few that are kept of all: the most extreme ones, and the latest of each other reason."""
    if not any(groups):
        return []
    by_reason: dict[ExemplarReason, set[Exemplar]] = {}
    for group in groups:
        for exemplar in group:
            by_reason.setdefault(exemplar.reason, set()).add(exemplar)
    kept: list[Exemplar] = []
    for reason in ExemplarReason:
        found = sorted(by_reason.get(reason, ()), key=_rank, reverse=True)
        kept.extend(found[:PER_REASON])
    return kept


def _rank(exemplar: Exemplar) -> tuple[float, int, int, int, str, float]:
    """Larger is better kept; total, so that the order of merging does not matter."""
    value = 0.0 if exemplar.value is None else exemplar.value
    extremity = _EXTREMITY.get(exemplar.reason, 0.0) * value
    return extremity, exemplar.time_unix_nano, exemplar.trace_id, exemplar.span_id, exemplar.prediction_id, value
