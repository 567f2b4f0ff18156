"""The `drift` processor: takes snapshots out of the stream and gives drift, data quality and alerts back.

Requests go on first and snapshots are merged after: if there is no room further down, the client sends everything
again, and nothing was counted yet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from pydantic import Field, model_validator

from collector_processor.component import Consumer, Event, Request, Results, Store
from collector_processor.errors import StartError
from collector_processor.processors import checkpoint, report
from collector_processor.processors.alerts import AlertBook, AlertSettings
from collector_processor.processors.common_changes import CommonChanges
from collector_processor.processors.deduplication import Admission, Deduplicator
from collector_processor.processors.evaluation import (
    DRIFT,
    DecisionSettings,
    Evaluator,
    QualitySettings,
    Rule,
    WindowEvaluation,
)
from collector_processor.processors.evaluation.classifier import ClassifierSettings, RowClassifier
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences, Selection
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.series import ConceptAlarm, ConceptSettings, SeriesWatch, SlowDriftSettings
from collector_processor.processors.series.alarms import alarm_event, series_of
from collector_processor.processors.windows import Outcome, Window, WindowSettings, WindowStore
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Duration
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.registry import DEFAULT_DETECTORS
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment, Snapshot

ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)

# How often to look for windows whose time has come by the clock alone.
_TICK_S: Final = 0.25
# Gauges are repeated while they are news: for this many windows after the last one.
_REPEATED_WINDOWS: Final = 3


def _default_detectors() -> dict[str, dict[str, object]]:
    return {name: {} for name in DEFAULT_DETECTORS}


class DriftSettings(WindowSettings):
    """A `drift` processor.

    Attributes:
        baselines: Files that `otel-ml baseline build` wrote.
        detectors: Settings by detector; psi, ks, jensen_shannon, wasserstein, hellinger and chi_squared when absent.
        min_rows: Values below which nothing is concluded from a window.
        repeat: How often the gauges of the latest window are sent again, for backends that forget a gauge after a few
            minutes; 0 sends them once.
        references: What windows are compared with beside the baseline.
        classifier: What tells a window's rows from the training data's, where both hold some.
        slow_drift: Small changes that add up over many windows.
        concept: Streaming detectors of river, each on a series of every model; none by default.
        forward_snapshots: Leave the snapshots in what is passed through.
    """

    baselines: tuple[str, ...] = Field(default=(), strict=False)
    detectors: Mapping[str, Mapping[str, object] | None] = Field(default_factory=_default_detectors)
    decide_by: DecisionSettings = DecisionSettings()
    quality: QualitySettings = QualitySettings()
    min_rows: int = Field(default=200, ge=1)
    alerts: AlertSettings = AlertSettings()
    repeat: Duration = 60.0
    references: ReferenceSettings = ReferenceSettings()
    slow_drift: SlowDriftSettings = SlowDriftSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    concept: tuple[ConceptSettings, ...] = Field(default=(), strict=False)
    forward_snapshots: bool = False

    @model_validator(mode="after")
    def _has_room_for_deployments(self) -> DriftSettings:
        dimension = self.references.stable.dimension
        if dimension is not None and not self.limits.segments:
            raise ValueError(f"references::stable::dimension: {dimension!r} needs limits::segments above 0")
        return self

    @property
    def resource_attributes(self) -> tuple[str, ...]:
        """What snapshots should know of the resource they come with."""
        dimension = self.references.stable.dimension
        return () if dimension is None else (dimension,)

    @property
    def rule(self) -> Rule:
        """When a difference counts, from all that is said about it."""
        return Rule(
            self.alerts.alpha,
            self.alerts.horizon,
            self.references.known_season,
            self.references.seasonal_threshold,
            self.references.rollup_threshold,
        )


class DriftProcessor:
    """Merges snapshots, closes windows, evaluates them and reports.

    Args:
        following: Takes what passes through.
        results: Takes gauges and events.
        checkpoint_interval_s: How often to write what a restart should find; None keeps nothing and evaluates the open
            windows before it stops.
    """

    def __init__(
        self,
        settings: DriftSettings,
        baselines: Iterable[Baseline],
        detectors: Mapping[str, DriftDetector],
        *,
        following: Consumer[Request],
        results: Consumer[Results],
        store: Store,
        telemetry: SelfTelemetry,
        checkpoint_interval_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._following = following
        self._results = results
        self._store = store
        self._telemetry = telemetry
        self._checkpoint_interval_s = checkpoint_interval_s
        deployments = settings.references.stable.dimension
        self._windows = WindowStore(settings, deployments=deployments)
        self._deduplicator = Deduplicator(settings.limits.producers)
        self._alerts = AlertBook(settings.alerts)
        self._common_changes = CommonChanges(settings.alerts.alpha, settings.alerts.windows)
        self._series = SeriesWatch(settings.slow_drift, settings.concept, settings.alerts.alpha)
        references = References(baselines)
        self._evaluator = Evaluator(
            references,
            detectors,
            settings.decide_by,
            settings.quality,
            settings.min_rows,
            settings.rule,
            deployments=deployments,
        )
        self._classifier = RowClassifier(settings.classifier, references.find, self._evaluator.correction, telemetry)
        self._history = WindowHistory(settings.references, settings.window)
        self._named = NamedReferences(
            settings.references, self._history, references.find, settings.min_rows, self._windows
        )
        # A thread of its own: detectors take milliseconds a window, in which the event loop should answer.
        self._thread = ThreadPoolExecutor(1, "evaluation")
        self._tasks: list[asyncio.Task[None]] = []
        self._window_due = asyncio.Event()
        self._closing = asyncio.Lock()
        self._is_stopping = False
        self._latest: dict[tuple[ModelKey, Segment | None], tuple[float, Sequence[report.Measurement]]] = {}
        self._missing = 0
        self._forgotten = 0

    async def start(self) -> None:
        """Remember what was kept, and begin to close windows.

        Raises:
            StartError: A streaming detector is configured that cannot be made, for want of river, perhaps.
        """
        try:
            await asyncio.to_thread(self._series.prepare)
        except ConfigurationError as error:
            raise StartError(str(error)) from error
        try:
            checkpoint.restore(self._store, self._windows, self._deduplicator, self._alerts, self._evaluator.correction)
            self._history.restore(self._store)
            self._series.restore(self._store)
            self._evaluator.deciding.restore(self._store)
        except Exception as error:
            # Of another version, perhaps: better to begin anew than not at all.
            self._telemetry.failed("restore", error)
        self._run("close_windows", self._close_windows)
        if self._settings.repeat:
            self._run("repeat", self._repeat)
        if self._checkpoint_interval_s:
            self._run("checkpoint", self._checkpoint)

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - evaluating takes milliseconds a window
        """Evaluate what is complete, and keep the rest, or evaluate it too where nothing is kept."""
        try:
            # Holding the lock, no task is cut off between taking a window out and reporting it.
            async with self._closing:
                self._is_stopping = True
                for task in self._tasks:
                    task.cancel()
                keeps = self._checkpoint_interval_s is not None
                await self._conclude(self._windows.close_due() if keeps else self._windows.close_all())
                try:
                    await self._write()
                except Exception as error:
                    # A full disk, say. What cannot be kept is worth more evaluated early than never.
                    self._telemetry.failed("keep", error)
                    await self._conclude(self._windows.close_all())
            await asyncio.gather(*self._tasks, return_exceptions=True)
        except Exception as error:
            self._telemetry.failed("shutdown", error)
        await asyncio.to_thread(self._thread.shutdown)

    async def consume(self, request: Request) -> None:
        """Pass the request on, and merge the snapshots that were found in it."""
        if request.items:
            await self._following.consume(request)
        for snapshot in request.snapshots:
            try:
                outcome = self._merge(snapshot)
            except Exception as error:
                self._telemetry.failed("merge", error)
                outcome = "failed"
            self._telemetry.count(semconv.PROCESSOR_SNAPSHOTS, processor_outcome=outcome)
        if request.snapshots:
            self._window_due.set()

    def _merge(self, snapshot: Snapshot) -> str:
        admission = self._deduplicator.admit(snapshot.producer_id, snapshot.sequence)
        self._telemetry.count(semconv.PROCESSOR_SNAPSHOTS_MISSING, self._deduplicator.missing - self._missing)
        self._missing = self._deduplicator.missing
        self._telemetry.count(semconv.PROCESSOR_PRODUCERS_FORGOTTEN, self._deduplicator.forgotten - self._forgotten)
        self._forgotten = self._deduplicator.forgotten
        if admission is not Admission.NEW:
            return str(admission.value)
        outcome = self._windows.merge(snapshot)
        for reason, number in self._windows.features_dropped.items():
            self._telemetry.count(semconv.PROCESSOR_FEATURES_DROPPED, number, drop_reason=reason)
        self._windows.features_dropped.clear()
        if outcome is Outcome.MERGED and snapshot.segment is None:
            self._telemetry.count(
                semconv.PROCESSOR_ROWS,
                snapshot.rows,
                model_name=snapshot.model.name,
                model_version=snapshot.model.version,
            )
        return outcome.value

    async def _close_windows(self) -> None:
        # Before Python 3.12, wait_for forgets a cancellation that meets the end of what it waits for: a snapshot that
        # comes just before the end would keep this task, and the process, alive for ever.
        while not self._is_stopping:
            self._window_due.clear()
            async with self._closing:
                due = self._windows.close_due()
                await self._conclude(due)
                if due and self._checkpoint_interval_s is not None:
                    # Or a crash would bring back a window that is already concluded.
                    await self._write()
            try:
                await asyncio.wait_for(self._window_due.wait(), _TICK_S)
            except (TimeoutError, asyncio.TimeoutError):
                continue

    async def _conclude(self, windows: Sequence[Window]) -> None:
        """Evaluate windows one after the other and report each; one that fails does not hold up the next."""
        if not windows:
            return
        # All of them before the first is compared: versions that close together are each other's reference.
        await self._in_thread(partial(self._remember, windows))
        for window in windows:
            try:
                selections = self._named.select(window)
                evaluation, changed = await self._in_thread(partial(self._evaluate, window, selections))
                self._history.mark_drifted(window, evaluation.confirmed)
                await self._report(evaluation, changed)
            except Exception as error:
                self._telemetry.failed("evaluate", error)
                self._telemetry.count(semconv.PROCESSOR_WINDOWS, processor_outcome="failed")
        for reason, number in self._history.dropped.items():
            self._telemetry.count(semconv.PROCESSOR_HISTORY_DROPPED, number, drop_reason=reason)
        self._history.dropped.clear()

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _remember(self, windows: Iterable[Window]) -> None:
        for window in windows:
            try:
                self._history.remember(window)
            except Exception as error:
                self._telemetry.failed("remember", error)

    def _evaluate(
        self, window: Window, selections: Iterable[Selection]
    ) -> tuple[WindowEvaluation, Sequence[ConceptAlarm]]:
        references = [self._named.read(selection) for selection in selections]
        rollup = self._named.rollup(window) if window.segment is None else None
        evaluation = self._classifier.judged(window, self._evaluator.evaluate(window, references, rollup))
        try:
            return self._series.observe(evaluation)
        except Exception as error:
            # The window itself is still worth reporting.
            self._telemetry.failed("series", error)
            return evaluation, ()

    async def _report(self, evaluation: WindowEvaluation, changed: Sequence[ConceptAlarm] = ()) -> None:
        self._telemetry.count(semconv.PROCESSOR_WINDOWS, processor_outcome=evaluation.outcome)
        self._say_why_not(evaluation)
        now = time.time_ns()
        events: list[Event] = []
        change = self._common_changes.observe(evaluation)
        if change is not None:
            events.append(report.common_change_event(evaluation, change, now))
            _log.info("%s", events[0].body)
        for transition in self._alerts.observe(evaluation):
            is_part = transition.key.check == DRIFT and self._common_changes.explains(
                transition.key.model, transition.key.feature
            )
            cause = report.COMMON_CHANGE if is_part else self._alerts.told_by(transition.key)
            found = report.events(transition, now, cause)
            _log.info("%s", found[0].body)
            events.extend(found)
        for alarm in changed:
            self._telemetry.count(semconv.CONCEPT_ALARMS, **series_of(alarm))
            events.append(alarm_event(alarm, now))
            _log.info("%s", events[-1].body)
        gauges = report.measurements(evaluation, self._settings.alerts.alpha)
        subject = (evaluation.model, evaluation.segment)
        self._latest[subject] = (time.monotonic(), gauges)
        alerts = {key: alert for key, alert in self._alerts.alerts.items() if (key.model, key.segment) == subject}
        gauges = [*gauges, *report.alert_measurements(alerts)]
        await self._results.consume(Results(report.points(gauges, now), events))
        await self._store.write({}, [report.history_entry(evaluation)])

    def _say_why_not(self, evaluation: WindowEvaluation) -> None:
        if evaluation.segment is not None:
            return  # the whole says it
        model = " ".join(part for part in evaluation.model if part)
        if evaluation.outcome == "no_baseline":
            self._telemetry.say_once(
                f"no_baseline:{model}", "model %s has no baseline: no drift, only data quality without reference", model
            )
        elif evaluation.outcome == "insufficient_rows":
            self._telemetry.say_once(
                f"insufficient_rows:{model}",
                "model %s: %d rows in a window, nothing is concluded from fewer than %d (processors::drift::min_rows)",
                model,
                evaluation.rows,
                self._settings.min_rows,
            )
        elif evaluation.joint_insufficient is not None:
            self._telemetry.say_once(
                f"joint:{model}",
                "model %s: correlations are not compared: %s",
                model,
                evaluation.joint_insufficient,
            )

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._settings.repeat)
            oldest = time.monotonic() - max(_REPEATED_WINDOWS * self._settings.window, self._settings.repeat)
            self._latest = {subject: latest for subject, latest in self._latest.items() if latest[0] >= oldest}
            gauges = [gauge for _, latest in self._latest.values() for gauge in latest]
            alerts = {
                key: alert for key, alert in self._alerts.alerts.items() if (key.model, key.segment) in self._latest
            }
            gauges += report.alert_measurements(alerts)
            if gauges:
                await self._results.consume(Results(report.points(gauges, time.time_ns())))

    async def _checkpoint(self) -> None:
        while True:
            await asyncio.sleep(self._checkpoint_interval_s or 0.0)
            async with self._closing:
                await self._write()

    async def _write(self) -> None:
        kept = checkpoint.sections(self._windows, self._deduplicator, self._alerts, self._evaluator.correction)
        chosen = self._evaluator.deciding.sections()
        await self._store.write({**kept, **chosen, **self._series.sections(), **self._history.sections()})
        self._history.written()

    def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._telemetry.guard(name, work)))
