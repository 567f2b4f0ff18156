"""The thread that turns what waits in the queue into summaries, in bursts too short for a request to notice."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import numpy as np

from otel_ml import semconv
from otel_ml.recording.event_pace import EventPace
from otel_ml.recording.events import ResultEvents
from otel_ml.recording.guard import failed
from otel_ml.recording.outputs import length_of
from otel_ml.recording.packages import packages_digest
from otel_ml.recording.privacy import PrivacyPolicy, Redactor, names_of
from otel_ml.recording.queue import MAX_MODELS, QUEUE_FULL, TOO_LARGE
from otel_ml.recording.readers import extend_readers
from otel_ml.recording.row_sample import sampled_rows
from otel_ml.recording.slots import Slot, Slots
from otel_ml.recording.snapshots import SeriesPublisher, SnapshotEmitter, model_attributes
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_ml.baseline import Baseline
    from otel_ml.config import Settings
    from otel_ml.recording.accumulator import ModelAccumulator
    from otel_ml.recording.column_set import DrainedColumn
    from otel_ml.recording.inference import ModelInfo
    from otel_ml.recording.labels import LabelQueue
    from otel_ml.recording.metrics import Attributes, MetricStore
    from otel_ml.recording.queue import InferenceQueue
    from otel_ml.recording.told import ToldReader

BURST_S: Final = 0.000_25
"""Longest stretch of work before requests may have the GIL: 2,048-row steps add 0.86 ms to a p99, 128-row ones 0.11."""
_BREATH_S: Final = 0.000_5
_IDLE_S: Final = 0.25
"""How long an inference waits at most before it is looked at. Nobody wakes the worker: that would cost the request.
At 900 requests a second, twenty looks a second took 19 µs of all other threads' time a request, four took 13."""
_BUSY_S: Final = 0.05
_MANY: Final = 1_024
"""So many at one look are not let wait as long the next time: the queue is bounded."""
_CHUNK: Final = 128
_LARGEST_CHUNK: Final = 1_024
_PUBLISH_S: Final = 1.0
_LABELS_S: Final = 4.0
"""Of a flush, for labels: all that waits goes out at once then."""

MAX_MODELS_REASON: Final = "max_models"
_OTHER_MODELS: Final = ModelKey(semconv.OTHER_LABEL)


class Worker:
    """Owns every summary of the process; nobody else touches them, so nothing is locked.

    Args:
        queue: What to summarise.
        labels: What to emit as it is.
        store: Series that metric readers collect.
        told: Reads what `record()` was told.
        baselines: By model; one of version "" stands for every version of its model.
        on_provider: Called when a metric reader was found, after which the flush at exit must be registered again.
    """

    def __init__(
        self,
        queue: InferenceQueue,
        labels: LabelQueue,
        settings: Settings,
        store: MetricStore,
        told: ToldReader,
        baselines: Callable[[], dict[ModelKey, Baseline]],
        on_provider: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._labels = labels
        self._settings = settings
        self._store = store
        self._told = told
        self._load_baselines = baselines
        self._on_provider = on_provider
        self._emitter = SnapshotEmitter()
        self._publisher = SeriesPublisher(store)
        self._pace = EventPace()
        self._privacy = PrivacyPolicy(settings)
        self._redactors: dict[ModelKey, Redactor] = {}
        self._events = ResultEvents(self._pace, self._privacy) if settings.capture_events else None
        self._infos: WeakSet[ModelInfo] = WeakSet()
        self._reported = dict(self._totals())
        self._let_go: dict[ModelKey, int] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._flushes: list[threading.Event] = []
        self._burst_began = 0.0
        self._found = 0
        self._interval_ns = settings.export_interval_ms * 1_000_000
        self._slots = Slots(
            interval_ns=self._interval_ns,
            max_features=settings.max_features,
            privacy=self._privacy,
            sample_rows=sampled_rows(settings),
            correlations=settings.correlations,
        )
        self._interval_start = time.time_ns() // self._interval_ns * self._interval_ns
        self._since = self._interval_start
        self._thread = threading.Thread(target=self._run, name="otel-ml-recording", daemon=True)

    @property
    def is_alive(self) -> bool:
        """False before `start` and after `stop`, and in a child that was forked meanwhile."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Have everything that waits summarised and emitted; False if that took too long."""
        done = threading.Event()
        if threading.current_thread() is self._thread or not self.is_alive:
            return False
        self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_s)

    def stop(self, timeout_s: float) -> None:
        """Flush and end."""
        self._stopping = True
        self._wake.set()
        if threading.current_thread() is not self._thread and self.is_alive:
            self._thread.join(timeout_s)

    def active(self) -> dict[Attributes, int]:
        """Calls that are running now, by model."""
        counts: dict[Attributes, int] = {}
        for info in self._seen_infos():
            attributes = model_attributes(info.key)
            counts[attributes] = counts.get(attributes, 0) + max(0, info.active)
        return counts

    def _seen_infos(self) -> list[ModelInfo]:
        while True:
            try:
                return list(self._infos)
            except RuntimeError:  # asked by a reader's thread while the worker saw a new model
                time.sleep(0)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            packages_digest()  # some milliseconds, which the first snapshot need not take
            self._slots.baselines = self._load_baselines()
        except Exception as error:
            failed("loading baselines", error)
        published = 0.0
        while True:
            try:
                self._wake.clear()
                stopping = self._stopping
                flushes, self._flushes = self._flushes, []
                if time.monotonic() - published >= _PUBLISH_S:
                    published = time.monotonic()
                    self._publish_calls()
                if stopping or flushes:
                    self._flush_now(flushes)
                    if stopping:
                        return
                elif (now := time.time_ns()) >= self._interval_start + self._interval_ns:
                    self._export(now)
                for _ in self._labels.steps(self._pace):
                    self._breathe()
                if not self._drain_some():
                    self._wake.wait(self._pause_s())
                    self._found = len(self._queue)
            except Exception as error:
                failed("recording", error)
                if self._stopping:
                    return
                time.sleep(_IDLE_S)

    def _flush_now(self, waiting: list[threading.Event]) -> None:
        try:
            self._drain_all()
            self._export(time.time_ns())
            self._labels.emit_all(_LABELS_S)
        finally:
            for done in waiting:
                done.set()

    def _pause_s(self) -> float:
        """Until the next look into the queue, or the end of the interval if that comes first."""
        left = (self._interval_start + self._interval_ns - time.time_ns()) / 1e9
        return min(_BUSY_S if self._found >= _MANY else _IDLE_S, max(left, 0.0))

    def _drain_some(self) -> bool:
        """Summarise one chunk, larger only when many wait; False when none did."""
        waiting = len(self._queue)
        if not waiting:
            return False
        self._burst_began = time.perf_counter()
        self._summarise(self._queue.take(min(max(_CHUNK, waiting // 8), _LARGEST_CHUNK)), pause=self._breathe)
        if len(self._queue):
            self._let_others_run()
        return True

    def _drain_all(self) -> None:
        """Summarise what waits now, without long breaks: somebody is waiting for it."""
        waiting = len(self._queue)
        while waiting > 0:
            taken = self._queue.take(_LARGEST_CHUNK)
            if not taken:
                return
            waiting -= len(taken)
            self._summarise(taken, pause=lambda: time.sleep(0))

    def _breathe(self) -> None:
        if time.perf_counter() - self._burst_began >= BURST_S:
            self._let_others_run()
            self._burst_began = time.perf_counter()

    def _let_others_run(self) -> None:
        # With half the queue full, time that nobody else asks for is better spent on it than on breaks.
        time.sleep(_BREATH_S if len(self._queue) < self._settings.queue_size // 2 else 0.0)

    def _summarise(self, taken: list[Any], pause: Callable[[], None]) -> None:
        inferences = self._told.inferences(taken)
        self._infos.update({inference[0] for inference in inferences})
        for (key, slot), of_slot in self._slots.grouped(inferences).items():
            accumulator = self._slots.of(key, slot)
            if accumulator is None:
                if slot.segment is None:
                    rows = sum(length_of(inference[2]) for inference in of_slot)
                    self._count_dropped(_OTHER_MODELS, MAX_MODELS_REASON, rows)
                continue
            steps = self._steps(accumulator, of_slot) if slot.segment is None else accumulator.steps(of_slot)
            for _ in steps:
                pause()
            for past, summaries in self._slots.past_windows(key) if slot.window else ():
                # What was counted so far is a delta like any other.
                self._emit(key, past, summaries, (past.window, past.window + self._interval_ns))
        self._queue.release(taken)

    def _steps(self, accumulator: ModelAccumulator, inferences: list[Any]) -> Iterator[None]:
        yield from accumulator.steps(inferences)
        if self._events is not None:
            for inference in inferences:
                try:
                    yield from self._events.steps(inference, accumulator.names_for(inference[0]))
                except Exception as error:
                    failed("emitting an event", error)

    # --- once per interval -------------------------------------------------------------------------------------------

    def _export(self, now: int) -> None:
        """Emit a snapshot of every model that did something."""
        self._publish_calls()
        boundary = self._interval_start + self._interval_ns
        end = max(min(now, boundary), self._since + 1)
        for key, slot, accumulator in self._slots.items():
            interval = (slot.window, slot.window + self._interval_ns) if slot.window else (self._since, end)
            try:
                self._emit(key, slot, accumulator, interval)
            except Exception as error:
                failed("emitting a snapshot", error)
            time.sleep(_BREATH_S)
        self._slots.end_interval()
        self._since = end
        if now >= boundary:
            self._interval_start = self._since = now // self._interval_ns * self._interval_ns

    def _emit(self, key: ModelKey, slot: Slot, accumulator: ModelAccumulator, interval: tuple[int, int]) -> None:
        self._publish_calls_of(key, slot, accumulator)
        columns: list[DrainedColumn] = []
        for _ in accumulator.drain_steps(columns):
            self._breathe()
        drained = accumulator.drained(columns)
        redactor = self._redactors.get(key)
        if redactor is None:
            if len(self._redactors) >= 2 * MAX_MODELS:  # of models that are long gone: names may go on for ever
                self._redactors.pop(next(iter(self._redactors)))
            redactor = self._redactors[key] = Redactor(self._privacy, names_of(self._slots.baseline(key)))
        redactor.redact(columns, accumulator.classes, is_segment=slot.segment is not None)
        if drained.row_sample is not None:
            drained = drained._replace(row_sample=redactor.redact_rows(drained.row_sample, columns))
        if slot.segment is not None:
            # A slice of what the whole counts already: no series, no drops.
            if drained.rows:
                self._emitter.emit(key, interval, drained, 0, slot.segment)
            return
        for reason, rows in drained.let_go.items():
            self._count_dropped(key, reason, rows)
        dropped = 0 if slot.window else self._let_go.pop(key, 0)
        if not drained.rows and not drained.columns and not dropped and drained.calls is None:
            return
        self._slots.was_busy(key)
        self._publisher.publish(key, drained)
        self._emitter.emit(key, interval, drained, dropped)

    # --- counts ------------------------------------------------------------------------------------------------------

    def _publish_calls(self) -> None:
        """Durations, batch sizes and drops since the last time; and a look for readers that came late."""
        if extend_readers(self._store, self.active):
            self._on_provider()
        for key, slot, accumulator in self._slots.items():
            self._publish_calls_of(key, slot, accumulator)
        if self._labels.left_out:
            left_out, self._labels.left_out = self._labels.left_out, 0
            self._store.add_sum(semconv.LABELS_DROPPED, (), left_out)
        if self._events is not None and self._events.left_out:
            self._store.add_sum(semconv.INFERENCE_EVENTS_DROPPED, (), self._events.left_out)
            self._events.left_out = 0
        for (key, reason), total in self._totals():
            new = total - self._reported.get((key, reason), 0)
            if new:
                self._reported[key, reason] = total
                self._let_go[key] = self._let_go.get(key, 0) + new
                self._count_dropped(key, reason, new)
                self._slots.of(key, Slot())  # so that the next snapshot can say it, even with no row to show

    def _publish_calls_of(self, key: ModelKey, slot: Slot, accumulator: ModelAccumulator) -> None:
        """Those of a slot, which are in its next snapshot from here on: each is in both, or waits for both."""
        for kind, calls in accumulator.take_calls().items():
            if slot.segment is not None:
                continue
            attributes: Attributes = (*model_attributes(key), (semconv.OPERATION_NAME, kind.operation))
            if kind.system:
                attributes = (*attributes, (semconv.SYSTEM_NAME, kind.system))
            if kind.error_type:
                attributes = (*attributes, (semconv.ERROR_TYPE, kind.error_type))
            durations = np.array(calls.durations_s, np.float64)
            accumulator.measured.add(durations, kind.error_type, calls.slowest)
            self._store.add_explicit(semconv.INFERENCE_DURATION, attributes, durations, calls.slowest)
            sizes = np.array(calls.sizes, np.float64)
            self._store.add_explicit(semconv.INFERENCE_BATCH_SIZE, attributes, sizes)

    def _totals(self) -> Iterator[tuple[tuple[ModelKey, str], int]]:
        """Rows let go on request threads since the process began."""
        for key, tally in self._queue.tallies():
            yield (key, QUEUE_FULL), tally.queue_full
            yield (key, TOO_LARGE), tally.too_large

    def _count_dropped(self, key: ModelKey, reason: str, rows: int) -> None:
        self._store.add_sum(semconv.INFERENCE_DROPPED, (*model_attributes(key), (semconv.DROP_REASON, reason)), rows)
