"""A model that fails on some requests, in a real server: how its calls went is in the snapshots."""

import pytest
from otlp_sink import OtlpSink, attributes
from test_bad_input import Served, exporting_to

from otel_ml.sketch import codec
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.exemplar import ExemplarReason
from otel_ml.sketch.feature import ModelKey

pytestmark = pytest.mark.slow

GOOD, NO_NUMBER, FAR_OUT = [[1.0, 2.0], [-1.0, 0.5]], [[None, 1.0]], [[1.0, 1000.0]]


def test_calls_arrive_with_their_errors_and_durations(tmp_path):
    """Those that the server turned into an answer, and those that nobody caught; none is lost when it stops."""
    with OtlpSink() as backend:
        with Served(
            instrumented=True, log=tmp_path / "server.log", app="failing_app", **exporting_to(backend.endpoint)
        ) as server:
            statuses = [server.answer(body)[0] for body in [GOOD] * 20 + [NO_NUMBER] * 5 + [FAR_OUT] * 3]
        payloads = [attributes(record)["ml.sketch.payload"] for record in backend.log_records("ml.sketch.snapshot")]
        spans = backend.spans()
    snapshots = [codec.decode(payload) for payload in payloads]
    calls = CallSummary()
    for snapshot in snapshots:
        if snapshot.calls is not None:
            calls.merge(snapshot.calls)

    assert statuses == [200] * 20 + [422] * 5 + [500] * 3
    assert {snapshot.model for snapshot in snapshots} == {ModelKey("tolerant")}
    assert calls.count == calls.durations.count == 28
    assert calls.errors == {"ArithmeticError": 5, "failing_app.OutOfRangeError": 3}
    assert sum(snapshot.rows for snapshot in snapshots) == 40
    # It sleeps for 20 ms, and how much longer a call takes depends on who else is running.
    low, median, high = calls.quantiles([0.0, 0.5, 1.0])
    assert 0.019 <= low <= median <= high < 30.0
    # Whoever looks at slow and failed calls can open them.
    slowest, failed = (
        {
            exemplar.trace_id.to_bytes(16, "big").hex(): exemplar.value
            for exemplar in calls.exemplars
            if reason in exemplar
        }
        for reason in (ExemplarReason.SLOWEST, ExemplarReason.FAILED)
    )
    assert max(slowest.values()) == pytest.approx(high, rel=0.05)
    assert slowest.keys() <= {span.trace_id.hex() for span in spans}
    with_errors = {span.trace_id.hex() for span in spans if "error.type" in attributes(span)}
    assert failed
    assert failed.keys() <= with_errors


def test_a_model_that_only_fails_is_heard_of(tmp_path):
    """No row, no column, and a snapshot all the same."""
    with OtlpSink() as backend:
        with Served(
            instrumented=True, log=tmp_path / "server.log", app="failing_app", **exporting_to(backend.endpoint)
        ) as server:
            for _ in range(4):
                assert server.answer(FAR_OUT)[0] == 500
        (snapshot, *more) = [
            codec.decode(attributes(record)["ml.sketch.payload"])
            for record in backend.log_records("ml.sketch.snapshot")
        ]

    calls = snapshot.calls
    for other in more:
        calls.merge(other.calls)
    assert (calls.count, calls.errors) == (4, {"failing_app.OutOfRangeError": 4})
    assert sum(found.rows for found in (snapshot, *more)) == 0
