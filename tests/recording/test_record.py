"""`otel_ml.record()` as users call it."""

import asyncio
import threading

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml.recording import guard
from otel_ml.recording.request import request_scope
from otel_ml.testing import captured_telemetry


class Scope:
    """A server's scope, as the instrumentation opens one."""

    def __init__(self):
        self.prediction_id = "request-7"
        self.models = []

    def recorded(self, model):
        self.models.append(model.key)


def test_model_and_version_come_from_the_call_then_from_the_settings():
    """And where neither says anything, the model is called "default"."""
    with captured_telemetry(model_name="configured", model_version="9") as telemetry:
        otel_ml.record({"a": 1.0})
        otel_ml.record({"a": 1.0}, model="told")
        otel_ml.record({"a": 1.0}, model="told", version="2")
        models = {tuple(snapshot.model) for snapshot in telemetry.snapshots()}
    with captured_telemetry() as telemetry:
        otel_ml.record({"a": 1.0})

        unnamed = {tuple(snapshot.model) for snapshot in telemetry.snapshots()}

    assert models == {("configured", "9"), ("told", ""), ("told", "2")}
    assert unnamed == {("default", "")}


def test_names_of_columns_can_be_given_with_a_matrix():
    """Before those of the model, and before f0, f1, …"""
    with captured_telemetry() as telemetry:
        otel_ml.record(np.ones((2, 2)), model="m", feature_names=["width", "height"])

        (snapshot,) = telemetry.snapshots()

    assert [summary.key.name for summary in snapshot.features] == ["width", "height"]


def test_a_caller_may_reuse_its_array_and_its_frame_at_once():
    """They are copied before `record` returns."""
    with captured_telemetry() as telemetry:
        values = np.ones((1, 1))
        frame = pd.DataFrame({"b": [1.0]})
        for _ in range(50):
            otel_ml.record(values, model="array")
            otel_ml.record(frame, model="frame")
            values += 1.0
            frame["b"] += 1.0

        means = {s.model.name: s.features[0].content.moments.mean for s in telemetry.snapshots()}

    assert means == {"array": 25.5, "frame": 25.5}


def test_within_a_request_the_scope_is_told():
    """So that hooks do not record the same once more."""
    with captured_telemetry(capture_events=True) as telemetry:
        scope = Scope()
        token = request_scope.set(scope)
        try:
            otel_ml.record({"a": 1.0}, 0.5, model="m")
        finally:
            request_scope.reset(token)
        otel_ml.record({"a": 1.0}, 0.5, model="outside")

        events = {e.attributes["ml.model.name"]: dict(e.attributes) for e in telemetry.events("ml.inference.result")}

    assert scope.models == [("m", "")]
    assert events["m"]["ml.prediction.id"] == "request-7"
    assert "ml.prediction.id" not in events["outside"]


@pytest.mark.parametrize(
    "arguments",
    [
        ((None,), {}),
        ((object(),), {}),
        ((lambda: 1, lambda: 2), {}),
        (({"a": 1.0}, object()), {}),
        (({"a": 1.0},), {"model": object(), "version": 3.5}),
        (({"a": 1.0},), {"model": ["unhashable"]}),
        ((np.zeros((2, 2, 2, 2)),), {}),
        (([1, 2, "x"], [[[]]]), {"feature_names": 7}),
        ((iter([]),), {"timestamp": object()}),
        (({1: 2, None: 3, (): 4},), {}),
    ],
    ids=str,
)
def test_whatever_it_is_given_it_never_raises(arguments):
    """What cannot be read is counted; the next row is fine."""
    with captured_telemetry() as telemetry:
        args, kwargs = arguments
        otel_ml.record(*args, **kwargs)
        otel_ml.record({"fine": 1.0}, model="fine")

        rows = {snapshot.model.name: snapshot.rows for snapshot in telemetry.snapshots()}

    assert rows["fine"] == 1


def test_threads_and_tasks_together_lose_and_repeat_nothing():
    """The queue takes no lock and still counts every row."""
    with captured_telemetry(queue_size=100_000) as telemetry:

        def many():
            for _ in range(2_000):
                otel_ml.record({"a": 1.0}, 0.5, model="m")

        async def some():
            for _ in range(1_000):
                otel_ml.record({"a": 1.0}, 0.5, model="m")
                await asyncio.sleep(0)

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        asyncio.run(some())
        for thread in threads:
            thread.join()

        snapshots = telemetry.snapshots()

    assert sum(snapshot.rows for snapshot in snapshots) == 17_000
    assert sum(snapshot.features[0].counters.rows for snapshot in snapshots) == 17_000
    assert guard.failures() == {}
