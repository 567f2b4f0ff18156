"""What the service counts, and how it deals with failures of its own."""

from running_service import until

from collector_processor.readings import Recent
from collector_processor.self_telemetry import SelfTelemetry, SelfTelemetryReading
from otel_ml import semconv


def test_totals_add_up_the_series_that_carry_the_attributes():
    """As a query over the exported sums would."""
    telemetry = SelfTelemetry()
    telemetry.count(semconv.PROCESSOR_DROPPED, 2, processor_signal="logs", drop_reason="a")
    telemetry.count(semconv.PROCESSOR_DROPPED, 3, processor_signal="logs", drop_reason="b")
    telemetry.count(semconv.PROCESSOR_DROPPED, 5, processor_signal="traces", drop_reason="a")

    assert telemetry.total(semconv.PROCESSOR_DROPPED, processor_signal="logs") == 5
    assert telemetry.total(semconv.PROCESSOR_DROPPED, drop_reason="a") == 7


def test_series_are_bounded_and_nothing_is_lost_from_the_total():
    """Model names come from whoever sends."""
    telemetry = SelfTelemetry()
    for number in range(3000):
        telemetry.count(semconv.PROCESSOR_ROWS, 1, model_name=f"model {number}", model_version="")

    points = [point for point in telemetry.points() if point.metric is semconv.PROCESSOR_ROWS]
    assert len(points) == 1001
    assert sum(point.value for point in points) == 3000


async def test_guarded_work_that_fails_is_counted_said_once_and_run_again(monkeypatch, caplog):
    """No task of the service ends because of an exception."""
    monkeypatch.setattr("collector_processor.self_telemetry._RESTART_DELAY_S", 0.0)
    telemetry, runs = SelfTelemetry(), []

    async def work():
        runs.append(1)
        if len(runs) < 4:
            raise ValueError("three times")

    await telemetry.guard("work", work)

    assert len(runs) == 4
    assert telemetry.total(semconv.PROCESSOR_ERRORS, processor_task="work") == 3
    assert len(caplog.records) == 1


def test_what_a_sum_has_grown_by_lately_is_known_by_its_attributes():
    """From the first reading on, and before it."""
    clock = [1_000]
    telemetry = SelfTelemetry(lambda: clock[0])
    telemetry.count(semconv.PROCESSOR_DROPPED, 2, processor_signal="logs", drop_reason="a")
    unread = telemetry.recent()
    telemetry.read()
    clock[0] += 5
    telemetry.count(semconv.PROCESSOR_DROPPED, 1, processor_signal="logs", drop_reason="b")

    (one, other) = (
        (semconv.PROCESSOR_DROPPED.name, frozenset({(semconv.PROCESSOR_SIGNAL, "logs"), (semconv.DROP_REASON, reason)}))
        for reason in "ab"
    )
    assert unread == {one: Recent(2, 1_000)}
    assert telemetry.recent() == {one: Recent(2, 1_000), other: Recent(1, 1_005)}


async def test_readings_are_taken_from_the_start_on(monkeypatch):
    """While nobody looks."""
    monkeypatch.setattr("collector_processor.self_telemetry.EVERY_S", 0.0)
    clock = [1_000]
    telemetry = SelfTelemetry(lambda: clock[0])
    telemetry.count(semconv.PROCESSOR_DROPPED)
    reading = SelfTelemetryReading(telemetry)

    def is_read():
        # What no reading has seen is of this moment, whenever that is.
        clock[0] += 1
        return [recent.latest_unix_nano < clock[0] for recent in telemetry.recent().values()] == [True]

    before = is_read()
    await reading.start()
    await until(is_read)
    await reading.shutdown(1.0)

    assert not before
    assert telemetry.total(semconv.PROCESSOR_ERRORS) == 0
