"""Which requests are worth a look: the slowest, and those with the largest, smallest, missing and unseen values.

A drifted feature then leads to requests that made it drift. Rows without a trace and without an id of their own cannot
be found again, and cost nothing here.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from otel_ml.recording.guard import failed
from otel_ml.recording.inference import row_id
from otel_ml.recording.values import category_of
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason, merged_exemplars

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from otel_ml.sketch.feature import FeatureKey
    from otel_ml.sketch.sketch import CountArray, FloatArray

_MAX_NAME = 128
_ID, _CONTEXT = itemgetter(7), itemgetter(8)


class ExemplarFinder:
    """Looks at values while they are summarised, and keeps a few requests per column until the next drain."""

    def __init__(self) -> None:
        self._calls: Sequence[Any] = ()
        self._ends: list[int] = []
        self._offset = 0
        self._findable: np.ndarray[Any, Any] | None = None
        self._found: dict[FeatureKey, list[Exemplar]] = {}
        self._extremes: dict[tuple[FeatureKey, ...], _Extremes] = {}

    @property
    def is_looking(self) -> bool:
        """False while no row could be found again: then nothing needs to be shown here."""
        return bool(self._calls)

    def begin(self, calls: Sequence[Any], sizes: Sequence[int]) -> None:
        """What is shown from here on are the rows of these calls: `Inference`s, or tuples of their first fields."""
        self._offset = 0
        if min(map(len, calls), default=0) > 8 and not any(map(_ID, calls)) and not any(map(_CONTEXT, calls)):
            self._calls = ()  # the usual chunk where nobody traces
            return
        findable = [_can_be_found(call) for call in calls]
        if any(findable):
            self._calls = calls
            self._ends = list(accumulate(sizes))
            # Who cannot be found again must not stand in front of who can.
            self._findable = None if all(findable) else np.repeat(findable, sizes)
        else:
            self._calls = ()

    def advance(self, rows: int) -> None:
        """So many rows were shown in full; the next ones follow."""
        self._offset += rows

    def end(self) -> None:
        """Let go of the calls."""
        self._calls = ()

    def numbers(self, keys: tuple[FeatureKey, ...], matrix: FloatArray, mismatched: CountArray | None) -> None:
        """Look at numbers, shape (rows, keys); NaN stands for a missing value, or one that is no number.

        Two passes over the matrix, 0.5 ns a value each; a column is looked at closer only if it beats what was known.
        """
        if not self._calls or not len(matrix):
            return
        try:
            self._look_at_numbers(keys, matrix, mismatched)
        except Exception as error:  # the rows themselves must not be lost for it
            failed("finding exemplars", error)

    def _look_at_numbers(self, keys: tuple[FeatureKey, ...], matrix: FloatArray, mismatched: CountArray | None) -> None:
        rows: Any = range(len(matrix))
        if self._findable is not None:
            rows = np.flatnonzero(self._findable[self._offset : self._offset + len(matrix)])
            matrix = matrix[rows]
            if not len(matrix):
                return
        known = self._extremes.get(keys)
        if known is None:
            known = self._extremes[keys] = _Extremes.of(len(keys))
        highest = np.fmax.reduce(matrix, axis=0)
        lowest = np.fmin.reduce(matrix, axis=0)
        for index in np.flatnonzero(highest > known.highest).tolist():
            self._note(
                keys[index], ExemplarReason.LARGEST, rows[int(np.nanargmax(matrix[:, index]))], float(highest[index])
            )
        for index in np.flatnonzero(lowest < known.lowest).tolist():
            self._note(
                keys[index], ExemplarReason.SMALLEST, rows[int(np.nanargmin(matrix[:, index]))], float(lowest[index])
            )
        np.fmax(known.highest, highest, out=known.highest)
        np.fmin(known.lowest, lowest, out=known.lowest)
        # A sum is NaN where any addend is: one pass instead of a mask as large as the matrix.
        with np.errstate(invalid="ignore", over="ignore"):
            suspects = np.isnan(matrix.sum(axis=0)) & ~known.absent
        for index in np.flatnonzero(suspects).tolist():
            absent = np.flatnonzero(np.isnan(matrix[:, index]))
            if absent.size:  # +inf and -inf together give a NaN too
                odd = mismatched is not None and mismatched[index] > 0
                self._note(
                    keys[index], ExemplarReason.MISMATCHED if odd else ExemplarReason.MISSING, rows[int(absent[0])]
                )
                known.absent[index] = True

    def objects(self, key: FeatureKey, values: Sequence[Any], named: Collection[str] | None) -> None:
        """Look at a column of other values: the first that is missing, and the first category nobody knows.

        Args:
            named: Categories of the baseline; None where it has none.
        """
        if not self._calls:
            return
        try:
            self._look_at_objects(key, values, named)
        except Exception as error:
            failed("finding exemplars", error)

    def _look_at_objects(self, key: FeatureKey, values: Sequence[Any], named: Collection[str] | None) -> None:
        if not self._has(key, ExemplarReason.MISSING):
            absent = next((index for index, value in enumerate(values) if value is None), None)
            if absent is not None:
                self._note(key, ExemplarReason.MISSING, absent)
        if named is not None and not self._has(key, ExemplarReason.UNSEEN):
            unseen = (
                index for index, value in enumerate(values) if value is not None and category_of(value) not in named
            )
            index = next(unseen, None)
            if index is not None:
                self._note(key, ExemplarReason.UNSEEN, index)

    def _has(self, key: FeatureKey, reason: ExemplarReason) -> bool:
        return any(exemplar.reason is reason for exemplar in self._found.get(key, ()))

    def drain(self) -> dict[FeatureKey, list[Exemplar]]:
        """What was found since the last time, by column."""
        found, self._found = self._found, {}
        self._extremes = {}
        return found

    def _note(self, key: FeatureKey, reason: ExemplarReason, index: int, value: float | None = None) -> None:
        row = self._offset + int(index)
        position = bisect_right(self._ends, row)
        if position >= len(self._calls):
            return
        call = self._calls[position]
        begin = self._ends[position - 1] if position else 0
        exemplar = _exemplar(call, row - begin, self._ends[position] - begin, reason, value)
        if exemplar is not None:
            self._found[key] = merged_exemplars(self._found.get(key, ()), (exemplar,))


class _Extremes(NamedTuple):
    """What was shown of a group of columns since the last drain."""

    highest: FloatArray
    lowest: FloatArray
    absent: Any

    @classmethod
    def of(cls, columns: int) -> _Extremes:
        return cls(np.full(columns, -np.inf), np.full(columns, np.inf), np.zeros(columns, bool))


def slowest_call(calls: Sequence[Any], durations_s: Sequence[float], known: Exemplar | None) -> Exemplar | None:
    """The slowest of these calls and the one `known` before, of those whose trace a backend has.

    A chunk that holds none slower costs 8 ns a call; one that does, 40.
    """
    beaten = -1.0 if known is None or known.value is None else known.value
    if max(durations_s) <= beaten:
        return known
    for call, duration_s in zip(calls, durations_s, strict=True):
        if duration_s > beaten and _is_traced(call):
            known = _exemplar(call, 0, 1, ExemplarReason.SLOWEST, duration_s)
            beaten = duration_s
    return known


def attach(columns: Iterable[Any], found: dict[FeatureKey, list[Exemplar]]) -> None:
    """Give the summary of each drained column the exemplars of its column."""
    if found:
        for column in columns:
            column.summary.exemplars = found.get(column.summary.key, [])


def _can_be_found(call: Any) -> bool:
    return len(call) > 8 and (call[7] is not None or _is_traced(call))


def _is_traced(call: Any) -> bool:
    # An unsampled span is in no backend.
    return len(call) > 8 and call[8] is not None and bool(call[8].trace_flags & 1)


def _exemplar(call: Any, index: int, rows: int, reason: ExemplarReason, value: float | None) -> Exemplar | None:
    if not _can_be_found(call):
        return None
    context = call[8]
    traced = _is_traced(call)
    return Exemplar(
        reason,
        context.trace_id if traced else 0,
        context.span_id if traced else 0,
        call[9] or time.time_ns(),
        str(row_id(call[7], index, rows) or "")[:_MAX_NAME],
        value if value is not None and np.isfinite(value) else None,
    )
