"""What became of what one exporter took from the log, counted as it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from collector_processor.component import Signal
from collector_processor.exporters.batches import Batch
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv


class Accounting:
    """Counts each request once: as forwarded, as dropped for a reason, or as a result of our own."""

    def __init__(self, name: str, telemetry: SelfTelemetry) -> None:
        self._name = name
        self._telemetry = telemetry
        self._done: Counter[Signal] = Counter()
        self._forwarded = {
            signal: telemetry.series(
                semconv.PROCESSOR_FORWARDED, processor_signal=signal.value, processor_exporter=name
            )
            for signal in Signal
        }

    def begin(self, done: Mapping[Signal, int], recovered: Mapping[Signal, int]) -> None:
        """Begin with what was done before this process, and with what it left behind."""
        self._done = Counter(done)
        for signal, items in recovered.items():
            self._telemetry.count(
                semconv.PROCESSOR_RECOVERED, items, processor_signal=signal.value, processor_exporter=self._name
            )

    def done(self, signal: Signal) -> int:
        """Received items of a signal that were ever forwarded or dropped."""
        return self._done[signal]

    def sent(self, batch: Batch, rejected: int) -> None:
        """The backend took a batch, but not all that is in it."""
        rejected = min(rejected, batch.items)
        if batch.own:
            self._count_result(batch, "sent", batch.items - rejected)
            self._count_result(batch, "rejected_by_backend", rejected)
            return
        self._done[batch.signal] += batch.items
        self._forwarded[batch.signal].add(batch.items - rejected)
        self._count_dropped(batch.signal, "rejected_by_backend", rejected)

    def dropped(self, batch: Batch, reason: str) -> None:
        """Nobody will send a batch again."""
        if batch.own:
            self._count_result(batch, reason, batch.items)
            return
        self._done[batch.signal] += batch.items
        self._count_dropped(batch.signal, reason, batch.items)

    def lost(self, lost: Mapping[Signal, int]) -> None:
        """The log could not give these back."""
        for signal, items in lost.items():
            self._done[signal] += items
            self._count_dropped(signal, "log_damaged", items)

    def retried(self, signal: Signal) -> None:
        """An attempt failed that will be repeated."""
        self._telemetry.count(semconv.PROCESSOR_RETRIES, processor_signal=signal.value, processor_exporter=self._name)

    def _count_dropped(self, signal: Signal, reason: str, items: int) -> None:
        self._telemetry.count(
            semconv.PROCESSOR_DROPPED,
            items,
            processor_signal=signal.value,
            processor_exporter=self._name,
            drop_reason=reason,
        )

    def _count_result(self, batch: Batch, outcome: str, items: int) -> None:
        self._telemetry.count(
            semconv.PROCESSOR_RESULTS,
            items,
            processor_signal=batch.signal.value,
            processor_exporter=self._name,
            processor_outcome=outcome,
        )
