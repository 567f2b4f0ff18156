"""The alert about a change that many features have in common, through the whole service and real gRPC."""

import sqlite3

import numpy as np
import pytest
from otlp_sink import OtlpSink, attributes
from processor_samples import MINUTE, START, Producer, numeric
from running_service import gauge, running, until

from collector_processor.processors import common_changes
from collector_processor.store.history import SqliteArchive
from otel_ml import semconv
from otel_ml.baseline import Baseline

NAMES = [f"f{number}" for number in range(6)]
ROWS = 600


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """The path of a baseline of six columns."""
    random = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("baselines") / "fraud-3.baseline"
    Baseline.build({name: random.normal(size=5_000) for name in NAMES}, model="fraud", version="3").save(path)
    return path


class Traffic:
    """A model server whose source upstream changes, a minute a window."""

    def __init__(self):
        self._random, self._producer, self._minute = np.random.default_rng(2), Producer(), 0

    async def send(self, service, minutes, *, shift=0.0):
        """Windows, each closed by the one after it; the last one stays open."""
        for _ in range(minutes):
            columns = [numeric(name, self._random.normal(shift, 1, ROWS)) for name in NAMES]
            start = START + self._minute * MINUTE
            await service.snapshots(self._producer.snapshot(*columns, start=start, length=MINUTE))
            self._minute += 1


def told(sink):
    """The state of the alert, in order of its events."""
    found = map(attributes, sink.log_records("ml.alert"))
    return [alert["ml.alert.state"] for alert in found if alert["ml.alert.name"] == "common_change"]


def states(sink):
    """Of its gauge, each once."""
    values = gauge(sink, "ml.alert.state", **{semconv.ALERT_NAME: "common_change"})
    return [value for place, value in enumerate(values) if place == 0 or values[place - 1] != value]


def history(store):
    """What fires, and what was told of common changes, the latest first."""
    connection = sqlite3.connect(store / "state.db")
    try:
        archive = SqliteArchive(connection)
        firing = [alert.check for alert in archive.firing()]
        return firing, [alert.state for alert in archive.alerts(0, 1 << 62) if alert.check == "common_change"]
    finally:
        connection.close()


def windows(service):
    return service.total(semconv.PROCESSOR_WINDOWS)


async def test_it_fires_once_and_resolves_once_over_a_restart(tmp_path, baseline):
    """As event, as gauge and in the history; and a part of it refers to it."""
    traffic, store = Traffic(), tmp_path / "store"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 3)
            await traffic.send(service, 4, shift=1.0)
            await until(lambda: windows(service) == 7)
        firing, before = history(store)
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 3, shift=1.0)
            await traffic.send(service, 5)
            await until(lambda: windows(service) == 8)
            await until(lambda: told(sink)[1:])
        after = history(store)

    assert told(sink) == ["firing", "resolved"]
    assert states(sink) == [2, 0]
    assert ("common_change" in firing, before) == (True, ["firing"])
    assert after == ([], ["resolved", "firing"])
    parts = [found for found in map(attributes, sink.log_records("ml.alert")) if found["ml.alert.name"] == "drift"]
    assert {found["ml.alert.cause"] for found in parts if found["ml.alert.state"] == "firing"} == {"common_change"}


async def test_of_a_model_that_is_gone_it_resolves_by_the_clock(tmp_path, baseline, monkeypatch):
    """Though no window ever comes again."""
    monkeypatch.setattr(common_changes, "_LEAST_WINDOWS", 0)
    monkeypatch.setattr(common_changes, "_GRACE_S", 0.0)
    monkeypatch.setattr(common_changes, "_LOOK_EVERY_S", 0.0)
    traffic, store = Traffic(), tmp_path / "store"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 3)
            await traffic.send(service, 4, shift=1.0)
            await until(lambda: windows(service) == 7)
        monkeypatch.setattr(common_changes, "_PATIENCE_S", 0.0)
        async with running(tmp_path, sink, baseline, store=store):
            await until(lambda: told(sink)[1:] and states(sink)[1:])
        after = history(store)
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 2, shift=1.0)
            await until(lambda: windows(service) == 2)

    assert told(sink) == ["firing", "resolved"]
    assert states(sink) == [2, 0]
    assert "common_change" not in after[0]
    assert after[1] == ["resolved", "firing"]
    assert service.total(semconv.PROCESSOR_ERRORS) == 0


async def test_what_a_lost_checkpoint_knew_does_not_fire_in_the_history_for_ever(tmp_path, baseline):
    """The processor begins anew; its next window says what fires."""
    traffic, store = Traffic(), tmp_path / "store"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 3)
            await traffic.send(service, 4, shift=1.0)
            await until(lambda: windows(service) == 7)
        before, _ = history(store)
        connection = sqlite3.connect(store / "state.db", isolation_level=None)
        connection.execute("DELETE FROM entry WHERE section IN ('alerts', 'common_changes')")
        connection.close()
        async with running(tmp_path, sink, baseline, store=store) as service:
            await traffic.send(service, 2)
            await until(lambda: windows(service) == 2)
        after, _ = history(store)

    assert {"common_change", "drift"} <= set(before)
    assert after == []
