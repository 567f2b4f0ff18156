"""What the processor makes of series: alerts, events and counters, also over a restart."""

import asyncio
import json
import math
from contextlib import asynccontextmanager

import numpy as np
import pytest
from processor_samples import Producer, numeric
from reference_samples import HOUR, MONDAY, Shelf

from collector_processor.component import Request, Signal
from collector_processor.errors import InvalidConfigurationError, StartError
from collector_processor.processors.drift import DriftProcessor
from collector_processor.processors.settings import DriftSettings
from collector_processor.receivers.reread import reread
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.dead_letters import DeadLetterStore
from collector_processor.store.log.memory_log import MemoryLog
from collector_processor.store.settings import DeadLetterSettings, LogSettings
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.feature import FeatureRole

ROWS = 1_000
LEARNT = 7 * 24


class Memory(Shelf):
    """A store in memory that keeps the history, too."""

    def __init__(self):
        super().__init__()
        self.history = []

    async def write(self, sections, history=(), changes=None, told=()):
        self.take(sections, changes)
        self.history += history


class Sink:
    """Everything that the processor says."""

    def __init__(self):
        self.events = []

    async def consume(self, results):
        self.events += results.events

    def named(self, name):
        return [event for event in self.events if event.name == name]


@pytest.fixture(scope="module")
def baseline():
    """Of a column that follows the hour of the day, and a prediction."""
    random = np.random.default_rng(1)
    hours = random.integers(0, 24, 30_000)
    amount = random.normal(0, 1, 30_000) + 0.2 * np.cos(2 * math.pi * hours / 24)
    return Baseline.build(
        {"amount": amount, "risk": random.normal(10, 2, 30_000)}, model="fraud", version="3", predictions="risk"
    )


def settings_of(**settings):
    return DriftSettings.model_validate({"window": "1h", "lateness": "0s", "repeat": "0s", **settings})


@asynccontextmanager
async def processing(baseline, store, **settings):
    """A processor that runs, its sink and what it counts."""
    sink, telemetry = Sink(), SelfTelemetry()
    processor = DriftProcessor(
        settings_of(**settings),
        [baseline],
        {name: create(name) for name in ("psi", "ks")},
        results=sink,
        log=MemoryLog(LogSettings(), ["drift"]),
        reread=reread,
        store=store,
        dead_letters=DeadLetterStore(None, DeadLetterSettings(), telemetry),
        telemetry=telemetry,
        checkpoint_interval_s=3600,
    )
    await processor.start()
    try:
        yield processor, sink, telemetry
    finally:
        await processor.shutdown(5)


async def send(processor, telemetry, producer, hours, *, shift=0.0, risk=0.0):
    """Snapshots of an hour each; the last one stays open."""
    for hour in hours:
        random = np.random.default_rng([hour, 7])
        season = 0.2 * math.cos(2 * math.pi * hour / 24)
        snapshot = producer.snapshot(
            numeric("amount", random.normal(season + shift, 1, ROWS)),
            numeric("prediction", random.normal(10 + 2 * risk, 2, ROWS), role=FeatureRole.PREDICTION),
            start=MONDAY + hour * HOUR,
            length=HOUR,
        )
        closed = telemetry.total(semconv.PROCESSOR_WINDOWS)
        processor.observe(Request(Signal.LOGS, b"", 0, [snapshot]), hour)
        if hour != hours[0]:
            await until_closed(telemetry, closed + 1)


async def until_closed(telemetry, windows):
    for _ in range(5_000):
        if telemetry.total(semconv.PROCESSOR_WINDOWS) >= windows:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{telemetry.total(semconv.PROCESSOR_WINDOWS)} of {windows} windows")


async def test_slow_drift_is_an_alert_that_remembers_over_a_restart(baseline):
    """What a week has taught survives an update of the service, and a shift of two tenths is found in hours."""
    store, producer, before = Memory(), Producer(), LEARNT + 12
    async with processing(baseline, store) as (processor, quiet, telemetry):
        await send(processor, telemetry, producer, range(before))
        await until_closed(telemetry, before - 1)
    async with processing(baseline, store) as (processor, sink, telemetry):
        await send(processor, telemetry, producer, range(before, before + 20), shift=0.2)
        await until_closed(telemetry, 20)

    assert quiet.named(semconv.EVENT_ALERT) == []
    (event,) = [
        event for event in sink.named(semconv.EVENT_ALERT) if event.attributes[semconv.ALERT_NAME] == "slow_drift"
    ]
    assert event.attributes[semconv.FEATURE_NAME] == "amount"
    assert event.attributes[semconv.ALERT_STATE] == "firing"
    assert event.attributes[semconv.DRIFT_REFERENCE] == "same_hour"
    assert "standard deviations above the same hours of the days before" in event.attributes[semconv.ALERT_REASON]
    checks = [
        feature["checks"]
        for feature in json.loads(store.history[-1].details)["features"]
        if feature["name"] == "amount"
    ]
    assert "slow_drift" in checks[0]


async def test_a_changed_series_is_counted_and_told(baseline):
    """Whatever the model predicts, river's detectors may watch it."""
    store = Memory()
    concept = [{"method": "page_hinkley", "settings": {"threshold": 3.0, "delta": 0.1}}]
    async with processing(baseline, store, concept=concept) as (processor, sink, telemetry):
        producer = Producer()
        await send(processor, telemetry, producer, range(40))
        await send(processor, telemetry, producer, range(40, 60), risk=1.0)
        await until_closed(telemetry, 59)

    (event,) = sink.named(semconv.EVENT_CONCEPT_ALARM)
    assert event.attributes[semconv.PREDICTION_NAME] == "prediction"
    assert event.attributes[semconv.DRIFT_METHOD] == "page_hinkley"
    assert event.attributes[semconv.DRIFT_SERIES] == "prediction_mean"
    assert event.attributes[semconv.DRIFT_VALUE] == pytest.approx(1.0, abs=0.2)
    alarms = telemetry.total(
        semconv.CONCEPT_ALARMS,
        model_name="fraud",
        drift_series="prediction_mean",
        drift_method="page_hinkley",
        prediction_name="prediction",
    )
    assert alarms == 1


async def test_what_was_kept_by_another_version_is_no_reason_not_to_start(baseline):
    """Better to begin anew than not at all."""
    store = Memory()
    store.take({"slow_drift": {'[0, "fraud", "3"]': b"nonsense"}, "concept": {"nonsense": b""}})
    async with processing(baseline, store) as (processor, _, telemetry):
        await send(processor, telemetry, Producer(), range(3))
        await until_closed(telemetry, 2)

    assert telemetry.total(semconv.PROCESSOR_ERRORS, processor_task="restore") == 1
    assert "amount" in str(store.read("slow_drift"))


async def test_a_detector_that_cannot_be_made_keeps_the_processor_from_starting(baseline):
    """Not the first window."""
    concept = [{"method": "adwin", "settings": {"detla": 0.1}}]
    with pytest.raises(StartError, match="did you mean 'delta'"):
        async with processing(baseline, Memory(), concept=concept):
            pass


def test_a_detector_that_cannot_be_made_is_a_problem_of_the_configuration(tmp_path):
    """At its place, with what would be right."""
    from collector_processor import config

    path = tmp_path / "processor.yaml"
    path.write_text(
        """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {drift: {concept: [{method: adwin, settings: {detla: 0.1}}]}}
exporters: {otlp_grpc: {endpoint: "http://127.0.0.1:4318"}}
service: {pipelines: {logs: {receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}}}
""",
        encoding="utf-8",
    )

    with pytest.raises(InvalidConfigurationError) as caught:
        config.load(path, {})

    assert any(
        str(problem).startswith("processors::drift::concept::0::adwin::detla: unknown setting")
        for problem in caught.value.problems
    )
