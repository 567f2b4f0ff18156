"""What the service counts about itself.

For each signal and each exporter of its pipeline, at any time:

    received + recovered = forwarded + dropped + consumed + pending

where `recovered` is what the log held for that exporter at start, and `dropped` without an exporter (a corrupt
snapshot) belongs to every exporter. What is made here is counted apart, as results, so that it cannot hide a loss.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from collector_processor.component import AttributeValue, Consumer, Point, Results
from collector_processor.readings import EVERY_S, Readings, Recent, SeriesKey
from otel_ml import semconv
from otel_ml.semconv import Metric

_log = logging.getLogger(__name__)

Attributes = tuple[tuple[str, AttributeValue], ...]
Gauges = Callable[[], Iterable[tuple[Metric, float, Mapping[str, AttributeValue]]]]

_RESTART_DELAY_S = 1.0
# Of one metric; further ones share a series, for names come from whoever sends.
_SERIES_LIMIT = 1000
_SAID_LIMIT = 1000


class Series:
    """One sum that somebody adds to often."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Add to it."""
        self.value += amount


class SelfTelemetry:
    """Counters and gauges of the service. Used from the event loop only."""

    def __init__(self, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._now = wall_clock_ns
        self._start_time_unix_nano = wall_clock_ns()
        self._readings = Readings()
        self._sums: dict[Metric, dict[Attributes, Series]] = {}
        self._gauges: list[Gauges] = []
        self._said: set[str] = set()

    def count(self, metric: Metric, amount: int = 1, /, **attributes: AttributeValue) -> None:
        """Add to a sum; keywords name attributes by the constants of `semconv`, in lower case."""
        if amount:
            self.series(metric, **attributes).add(amount)

    def series(self, metric: Metric, /, **attributes: AttributeValue) -> Series:
        """The sum with these attributes, to be added to; nothing is told of it while it is 0."""
        sums = self._sums.setdefault(metric, {})
        key = tuple(sorted((getattr(semconv, name.upper()), value) for name, value in attributes.items()))
        if key not in sums and len(sums) >= _SERIES_LIMIT:
            key = tuple((name, semconv.OTHER_LABEL) for name, _ in key)
        return sums.setdefault(key, Series())

    def total(self, metric: Metric, /, **attributes: AttributeValue) -> int:
        """The sum over all series that carry these attributes."""
        wanted = {(getattr(semconv, name.upper()), value) for name, value in attributes.items()}
        return sum(series.value for key, series in self._sums.get(metric, {}).items() if wanted <= set(key))

    def observe(self, gauges: Gauges) -> None:
        """Ask `gauges` for values whenever points are taken."""
        self._gauges.append(gauges)

    def points(self) -> list[Point]:
        """Everything counted and observed, now."""
        now = self._now()
        counted = [
            Point(metric, series.value, now, dict(key), self._start_time_unix_nano)
            for metric, sums in self._sums.items()
            for key, series in sums.items()
            if series.value
        ]
        gauges = [
            Point(metric, value, now, attributes) for observe in self._gauges for metric, value, attributes in observe()
        ]
        return counted + gauges

    def read(self) -> None:
        """Take a reading of all sums, so that `recent` knows of this moment; once a minute."""
        self._readings.take(self._now(), self._values())

    def recent(self) -> Mapping[SeriesKey, Recent]:
        """By how much each sum has grown in the last hour, and when last."""
        return self._readings.recent(self._now(), self._values())

    def _values(self) -> dict[SeriesKey, int]:
        return {
            (metric.name, frozenset(key)): series.value
            for metric, sums in self._sums.items()
            for key, series in sums.items()
            if series.value
        }

    def failed(self, task: str, error: BaseException) -> None:
        """Count a failure of our own; the first of its kind is logged with its traceback, the rest only counted."""
        self.count(semconv.PROCESSOR_ERRORS, processor_task=task)
        self.say_once(f"{task}:{type(error).__name__}", "%s failed; later failures are only counted", task, error=error)

    def say_once(self, key: str, message: str, *values: object, error: BaseException | None = None) -> None:
        """Log a warning unless something with this key was logged before."""
        if key not in self._said and len(self._said) < _SAID_LIMIT:
            self._said.add(key)
            _log.warning(message, *values, exc_info=error)

    async def guard(self, task: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns by itself; if it raises, count that and run it again."""
        while True:
            try:
                return await work()
            except Exception as error:
                self.failed(task, error)
                await asyncio.sleep(_RESTART_DELAY_S)


class SelfTelemetryReading:
    """Reads what was counted once a minute, so that what is new can be told from what is old."""

    def __init__(self, telemetry: SelfTelemetry) -> None:
        self._telemetry = telemetry
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read from now on."""
        self._task = asyncio.create_task(self._telemetry.guard("readings", self._run))

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing is left to do
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._telemetry.read()
            await asyncio.sleep(EVERY_S)


class SelfTelemetryExport:
    """Sends what was counted to a consumer, every so often and once more at the end.

    Args:
        interval_s: 0 sends nothing.
    """

    def __init__(self, telemetry: SelfTelemetry, consumer: Consumer[Results], interval_s: float) -> None:
        self._telemetry = telemetry
        self._consumer = consumer
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Send from now on."""
        if self._interval_s:
            self._task = asyncio.create_task(self._telemetry.guard("self_telemetry", self._run))

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - one send into a queue takes no time
        """Send a last time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._send()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._send()

    async def _send(self) -> None:
        try:
            await self._consumer.consume(Results(points=self._telemetry.points()))
        except Exception as error:
            self._telemetry.failed("self_telemetry", error)
