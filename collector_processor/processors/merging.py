"""From accepted requests to windows: each snapshot once, in the order of the log, whatever comes with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from collector_processor.component import DeadLetter, HistogramPoint, Request
from collector_processor.processors.deduplication import Admission, Deduplicator
from collector_processor.processors.plain_histograms import Increments
from collector_processor.processors.windows import Outcome, WindowStore
from collector_processor.self_telemetry import SelfTelemetry, Series
from otel_ml import semconv
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Snapshot

SOURCE: Final = "drift"
# What becomes of snapshots that somebody may want to look at, for they are in no window.
_ASIDE: Final = frozenset({Outcome.LATE.value, Outcome.FUTURE.value, Outcome.TOO_MANY_WINDOWS.value})
# Requests that wait to be put aside; what is beyond is counted like them, no more.
_ASIDE_LIMIT: Final = 1000
_MODELS_LIMIT: Final = 1000


class Merger:
    """Merges what requests hold for us, and knows how far in the log it has come.

    Attributes:
        position: Everything before it in the log is merged.
        aside: Requests with snapshots that are in no window, to be put aside by whoever empties the list.
    """

    def __init__(
        self, windows: WindowStore, deduplicator: Deduplicator, increments: Increments, telemetry: SelfTelemetry
    ) -> None:
        self._increments = increments
        self._windows = windows
        self._deduplicator = deduplicator
        self._telemetry = telemetry
        self._outcomes: dict[str, Series] = {}
        self._rows: dict[ModelKey, Series] = {}
        self._missing = 0
        self._forgotten = 0
        self.position = 0
        self.aside: list[DeadLetter] = []

    def observe(self, request: Request, end: int) -> None:
        """Merge what an accepted request holds; never raises."""
        aside: Counter[str] = Counter()
        if request.snapshots:
            try:
                with self._windows.together():
                    for snapshot in request.snapshots:
                        self._merge_one(snapshot, aside)
            except Exception as error:
                self._telemetry.failed("merge", error)
        if request.histograms:
            try:
                self._merge_histograms(request.histograms)
            except Exception as error:
                self._telemetry.failed("merge", error)
        if aside and len(self.aside) < _ASIDE_LIMIT:
            ((reason, _),) = aside.most_common(1)
            found = ", ".join(f"{number} {outcome}" for outcome, number in aside.items())
            detail = f"of {len(request.snapshots)} snapshots: {found}"
            body = request.taken or request.body
            self.aside.append(DeadLetter(SOURCE, request.signal, reason, detail, aside.total(), body))
        self.position = end

    def _merge_one(self, snapshot: Snapshot, aside: Counter[str]) -> None:
        try:
            outcome = self._merge(snapshot)
        except Exception as error:
            self._telemetry.failed("merge", error)
            outcome = "failed"
        if outcome in _ASIDE:
            aside[outcome] += 1
        self._outcome(outcome).add()

    def _merge_histograms(self, points: Sequence[HistogramPoint]) -> None:
        outcomes = self._increments.outcomes
        for snapshot in self._increments.take(points):
            # They were told apart before, by series and time.
            outcomes[self._merge_new(snapshot)] += len(snapshot.features)
        for outcome, number in outcomes.items():
            self._telemetry.count(semconv.PROCESSOR_HISTOGRAMS, number, processor_outcome=outcome)
        outcomes.clear()

    def _merge(self, snapshot: Snapshot) -> str:
        if self._windows.is_ahead(snapshot):
            return str(Outcome.FUTURE.value)
        admission = self._deduplicator.admit(snapshot.producer_id, snapshot.sequence, snapshot.end_time_unix_nano)
        if self._deduplicator.missing != self._missing:
            self._telemetry.count(semconv.PROCESSOR_SNAPSHOTS_MISSING, self._deduplicator.missing - self._missing)
            self._missing = self._deduplicator.missing
        if self._deduplicator.forgotten != self._forgotten:
            self._telemetry.count(semconv.PROCESSOR_PRODUCERS_FORGOTTEN, self._deduplicator.forgotten - self._forgotten)
            self._forgotten = self._deduplicator.forgotten
        if admission is not Admission.NEW:
            return str(admission.value)
        self._increments.snapshot_came(snapshot)
        return self._merge_new(snapshot)

    def _merge_new(self, snapshot: Snapshot) -> str:
        outcome = self._windows.merge(snapshot)
        if self._windows.features_dropped:
            for reason, number in self._windows.features_dropped.items():
                self._telemetry.count(semconv.PROCESSOR_FEATURES_DROPPED, number, drop_reason=reason)
            self._windows.features_dropped.clear()
        if self._windows.overflown:
            for reason, number in self._windows.overflown.items():
                self._telemetry.count(semconv.PROCESSOR_OVERFLOW, number, drop_reason=reason)
            self._windows.overflown.clear()
        if outcome.is_merged and snapshot.segment is None:
            self._rows_of(self._windows.counted_as(snapshot.model)).add(snapshot.rows)
        elif outcome is Outcome.LATE and snapshot.segment is None:
            self._telemetry.count(
                semconv.PROCESSOR_ROWS_LATE,
                snapshot.rows,
                model_name=snapshot.model.name,
                model_version=snapshot.model.version,
            )
        return str(outcome.value)

    def _outcome(self, outcome: str) -> Series:
        series = self._outcomes.get(outcome)
        if series is None:
            series = self._telemetry.series(semconv.PROCESSOR_SNAPSHOTS, processor_outcome=outcome)
            self._outcomes[outcome] = series
        return series

    def _rows_of(self, model: ModelKey) -> Series:
        series = self._rows.get(model)
        if series is None:
            series = self._telemetry.series(semconv.PROCESSOR_ROWS, model_name=model.name, model_version=model.version)
            # Names come from whoever sends; those that are found again make up for it.
            if len(self._rows) >= _MODELS_LIMIT:
                self._rows.clear()
            self._rows[model] = series
        return series
