"""The `drift` processor: merges the snapshots that were accepted and gives drift, data quality and alerts back.

What it has merged it keeps in checkpoints, each with the place in the log up to which it holds: after a crash it reads
on from there. Results go into the log before the checkpoint that no longer has their window, so a crash in between
says them twice rather than never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from collector_processor.component import Consumer, DeadLetters, Entry, Log, Request, Results, Store
from collector_processor.errors import StartError
from collector_processor.history import AlertRecord, WindowRecord
from collector_processor.processors import checkpoint, report
from collector_processor.processors.alerts import Alert, AlertBook, AlertState
from collector_processor.processors.common_changes import SECTION as COMMON_CHANGES
from collector_processor.processors.common_changes import CommonChanges
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation import Evaluator, WindowEvaluation
from collector_processor.processors.evaluation.classifier import RowClassifier
from collector_processor.processors.merging import SOURCE, Merger
from collector_processor.processors.plain_histograms import SECTION as HISTOGRAMS
from collector_processor.processors.plain_histograms import Increments
from collector_processor.processors.record import alert_record, window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.files import BaselineFiles
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences, Selection
from collector_processor.processors.references.watching import BaselineWatch
from collector_processor.processors.series import ConceptAlarm, SeriesWatch
from collector_processor.processors.series.alarms import series_of
from collector_processor.processors.settings import DriftSettings
from collector_processor.processors.silence import say_why_not
from collector_processor.processors.telling import news
from collector_processor.processors.windows import Window, WindowStore
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import special
from otel_ml.drift.detector import DriftDetector
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment

ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)

# How often to look for windows whose time has come by the clock alone.
_TICK_S: Final = 0.25
# Gauges are repeated while they are news: for this many windows after the last one.
_REPEATED_WINDOWS: Final = 3
# A checkpoint is written whenever so much was merged since the last one: reading it again takes a fraction of a second.
_CHECKPOINT_BYTES: Final = 64 * 1024 * 1024
# Or, in a smaller log, such a part of it: what no checkpoint covers stays there, whoever else is done with it.
_CHECKPOINT_SHARE: Final = 4
_RECOVERY_BYTES: Final = 4 * 1024 * 1024
# What detectors need and starting does not is loaded so long after it: by then whoever waited has been served.
_WARM_UP_S: Final = 5.0


class DriftProcessor:
    """Merges snapshots, closes windows, evaluates them and reports.

    Args:
        results: Takes gauges and events.
        log: Where to read on after a restart.
        reread: What an entry of the log holds for us.
        dead_letters: Where snapshots go that belong into no window.
        checkpoint_interval_s: How often to write what a restart should find; None keeps nothing and evaluates the open
            windows before it stops.
    """

    def __init__(
        self,
        settings: DriftSettings,
        baselines: Iterable[Baseline],
        detectors: Mapping[str, DriftDetector],
        *,
        results: Consumer[Results],
        log: Log,
        reread: Callable[[Entry], Request],
        store: Store,
        dead_letters: DeadLetters,
        telemetry: SelfTelemetry,
        checkpoint_interval_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._results = results
        self._log = log
        self._reread = reread
        self._dead_letters = dead_letters
        self._store = store
        self._telemetry = telemetry
        self._checkpoint_interval_s = checkpoint_interval_s
        deployments = settings.references.stable.dimension
        self._windows = WindowStore(settings, deployments=deployments)
        self._deduplicator = Deduplicator(settings.limits.producers)
        self._increments = Increments(settings)
        self._merger = Merger(self._windows, self._deduplicator, self._increments, telemetry)
        self._alerts = AlertBook(settings.alerts)
        self._common_changes = CommonChanges(settings.alerts, self._alerts, settings.window)
        self._series = SeriesWatch(settings.slow_drift, settings.concept, settings.alerts.alpha)
        self._references = references = References(baselines)
        self._evaluator = Evaluator(
            references,
            detectors,
            settings.decide_by,
            settings.quality,
            settings.min_rows,
            settings.rule,
            deployments=deployments,
        )
        self.baselines = BaselineWatch(
            BaselineFiles(settings.baselines, settings.accept_baselines),
            references,
            telemetry,
            forget_others=self._evaluator.forget_others,
        )
        """What windows are compared with, and who sends more."""
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
        self._checkpoint_due = asyncio.Event()
        self._checkpoint_position = 0
        self._checkpoint_bytes = min(_CHECKPOINT_BYTES, log.largest // _CHECKPOINT_SHARE)
        # Until what is kept is known to be what we know: then a checkpoint is of what has changed.
        self._keeps_all = True

    async def start(self) -> None:
        """Remember what was kept, read on in the log, and begin to close windows.

        Raises:
            StartError: A streaming detector is configured that cannot be made, for want of river, perhaps.
        """
        try:
            await asyncio.to_thread(self._series.prepare)
        except ConfigurationError as error:
            raise StartError(str(error)) from error
        try:
            checkpoint.restore(self._store, self._windows, self._deduplicator, self._alerts, self._evaluator.correction)
            self._increments.restore(self._store.read(HISTOGRAMS))
            self._history.restore(self._store)
            self._series.restore(self._store)
            self._evaluator.deciding.restore(self._store)
        except Exception as error:
            # Of another version, perhaps: better to begin anew than not at all.
            self._telemetry.failed("restore", error)
        try:
            # In any case: an alert that was restored is to end, whatever else is not known any more.
            self._common_changes.restore(self._store.read(COMMON_CHANGES))
        except Exception as error:
            self._telemetry.failed("restore", error)
        await self._read_on()
        self._run("close_windows", self._close_windows)
        self._run("warm_up", self._warm_up)
        if self._settings.baselines or self._settings.accept_baselines:
            self._run("baselines", self.baselines.run)
        if self._settings.repeat:
            self._run("repeat", self._repeat)
        if self._checkpoint_interval_s is not None:
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
                await self._put_aside()
                try:
                    await self._write()
                except Exception as error:
                    # A full disk, say. The log still holds what the last checkpoint does not.
                    self._telemetry.failed("keep", error)
            await asyncio.gather(*self._tasks, return_exceptions=True)
        except Exception as error:
            self._telemetry.failed("shutdown", error)
        await asyncio.to_thread(self._thread.shutdown)

    def observe(self, request: Request, end: int) -> None:
        """Merge what an accepted request holds for us; it ends there in the log."""
        self._merger.observe(request, end)
        if request.snapshots:
            self._window_due.set()
        if end - self._checkpoint_position > self._checkpoint_bytes:
            self._checkpoint_due.set()

    async def _read_on(self) -> None:
        """Merge again what was accepted after the last checkpoint."""
        if self._checkpoint_interval_s is None:
            return
        position = checkpoint.position(self._store)
        begin, end = self._log.begin.position, self._log.end.position
        if not begin <= position <= end:
            if position:
                self._telemetry.say_once(
                    "position", "the log does not hold what the last checkpoint says; reading all there is"
                )
            position = begin
        self._log.hold(SOURCE, position)
        self._checkpoint_position = self._merger.position = position
        while found := await self._log.read(self._merger.position, _RECOVERY_BYTES):
            for stored in found:
                entry = stored.entry
                request = Request(entry.signal, b"", 0, own=entry.own)
                if not entry.own and (entry.taken or entry.is_watched):
                    try:
                        request = self._reread(entry)
                    except Exception as error:
                        self._telemetry.failed("recover", error)
                self._merger.observe(request, stored.end)

    async def _warm_up(self) -> None:
        """Load what the first evaluation would otherwise load before it evaluates."""
        await asyncio.sleep(_WARM_UP_S)
        await self._in_thread(special.load)

    async def _close_windows(self) -> None:
        # Before Python 3.12, wait_for forgets a cancellation that meets the end of what it waits for: a snapshot that
        # comes just before the end would keep this task, and the process, alive for ever.
        while not self._is_stopping:
            self._window_due.clear()
            async with self._closing:
                due = self._windows.close_due()
                await self._conclude(due)
                ended = await self._end_unheard()
                if (due or ended) and self._checkpoint_interval_s is not None:
                    # Or a crash would bring back a window that is already concluded.
                    await self._write()
                await self._put_aside()
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
        outcome = "revised" if evaluation.revision else evaluation.outcome
        self._telemetry.count(semconv.PROCESSOR_WINDOWS, processor_outcome=outcome)
        say_why_not(self._telemetry, evaluation, self._settings.min_rows)
        now = time.time_ns()
        # In the thread, because the first one loads scipy.stats: a second in which nobody would be answered.
        standing = await self._in_thread(partial(self._common_changes.observe, evaluation))
        events, told = news(evaluation, self._alerts, self._common_changes, standing, changed, now)
        for alarm in changed:
            self._telemetry.count(semconv.CONCEPT_ALARMS, **series_of(alarm))
        for event in events:
            if event.name != semconv.EVENT_DRIFT_DETECTED:
                _log.info("%s", event.body)
        # Gauges say how things are: what is known of an older window now is for the history.
        if evaluation.is_newest:
            gauges = report.measurements(evaluation, self._settings.alerts.alpha)
            subject = (evaluation.model, evaluation.segment)
            self._latest[subject] = (time.monotonic(), gauges)
            gauges = [*gauges, *report.alert_measurements(self._alerts.of(*subject))]
            await self._results.consume(Results(report.points(gauges, now), events))
        await self._store.write({}, [await self._in_thread(partial(self._record, evaluation, told))])

    async def _end_unheard(self) -> bool:
        """Tell that changes are over that nobody can say anything about any more; whether there was one."""
        ended, now = self._common_changes.unheard(), time.time_ns()
        for told in ended:
            event = report.common_change_event(told, now)
            gauges = report.alert_measurements({told.key: Alert()})
            await self._results.consume(Results(report.points(gauges, now), [event]))
            await self._store.write({}, told=[alert_record(event, told.model)])
            self._common_changes.end(told.model)
            _log.info("%s", event.body)
        return bool(ended)

    def _record(self, evaluation: WindowEvaluation, told: Sequence[AlertRecord]) -> WindowRecord:
        baseline = self._references.find(evaluation.model)
        alerts = self._alerts.of(evaluation.model, evaluation.segment)
        return window_record(
            evaluation,
            self._settings.alerts.alpha,
            importances=None if baseline is None else baseline.importances,
            firing=[key for key, alert in alerts.items() if alert.state is AlertState.FIRING],
            alerts=told,
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
        while not self._is_stopping:
            self._checkpoint_due.clear()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._checkpoint_due.wait(), self._checkpoint_interval_s)
            async with self._closing:
                # A window that had to make room is in no checkpoint any more: its last word comes first.
                while due := self._windows.close_due():
                    await self._conclude(due)
                await self._write()

    async def _write(self) -> None:
        # All of it is of one moment: nothing is merged before the first await.
        position = self._merger.position
        parts = self._windows, self._deduplicator, self._alerts, self._evaluator.correction, position
        changes: checkpoint.Changes = {}
        if self._keeps_all:
            kept = checkpoint.sections(*parts)
            kept |= {HISTOGRAMS: self._increments.encode(), COMMON_CHANGES: self._common_changes.encode()}
        else:
            kept, changed = checkpoint.increment(*parts)
            changes = changed | {
                HISTOGRAMS: self._increments.changes(),
                COMMON_CHANGES: self._common_changes.changes(),
            }
        others = {**self._evaluator.deciding.sections(), **self._series.sections(), **self._history.sections()}
        self._keeps_all = True
        await self._store.write({**kept, **others}, changes=changes)
        self._keeps_all = False
        self._history.written()
        if self._checkpoint_interval_s is not None:
            self._log.hold(SOURCE, position)
            self._checkpoint_position = position

    async def _put_aside(self) -> None:
        letters, self._merger.aside = self._merger.aside, []
        if letters:
            await self._dead_letters.put(letters)

    def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._telemetry.guard(name, work)))
