"""The whole service in one process, with real gRPC on both sides."""

import asyncio
import shutil
import time
from dataclasses import replace

import grpc
import numpy as np
import pytest
from otlp_sink import OtlpSink, attributes
from processor_samples import (
    MINUTE,
    START,
    Producer,
    categorical,
    logs_request,
    metrics_request,
    numeric,
    snapshot_record,
    text_record,
    traces_request,
)
from running_service import alerts, gauge, running, until

from collector_processor import config
from collector_processor.component import Request, Signal
from collector_processor.errors import StartError
from collector_processor.processors.drift import DriftProcessor
from collector_processor.receivers import decode
from collector_processor.service import Service
from collector_processor.store.dead_letters import DeadLetterBox
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.snapshot import Segment

COUNTRIES = ["DE", "FR", "ES", "IT"]


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """The path of a baseline of three columns and a prediction."""
    random = np.random.default_rng(1)
    data = {
        "amount": random.lognormal(3, 1, 5000),
        "age": random.normal(40, 10, 5000),
        "country": random.choice(COUNTRIES, 5000).tolist(),
        "risk": random.uniform(0, 1, 5000),
    }
    path = tmp_path_factory.mktemp("baselines") / "fraud-3.baseline"
    Baseline.build(data, model="fraud", version="3", predictions="risk").save(path)
    return path


class Traffic:
    """A model server whose inputs can be made to drift."""

    def __init__(self, seed=2):
        self._random = np.random.default_rng(seed)
        self.producer = Producer()

    def window(self, number, rows=1000, *, scale=1.0, missing=0, new_country=0):
        """One snapshot that fills a window of one minute."""
        random = self._random
        counts = dict.fromkeys(COUNTRIES, (rows - new_country) // 4)
        if new_country:
            counts["XX"] = new_country
        return self.producer.snapshot(
            numeric("amount", scale * random.lognormal(3, 1, rows)),
            numeric("age", random.normal(40, 10, rows - missing), missing=missing),
            categorical("country", counts),
            rows=rows,
            start=START + number * MINUTE,
        )


async def test_everything_that_is_not_ours_passes_through_unchanged(tmp_path):
    """Byte for byte, all three signals."""
    requests = {
        Signal.TRACES: traces_request(),
        Signal.METRICS: metrics_request(),
        Signal.LOGS: logs_request(text_record()),
    }
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            for signal, request in requests.items():
                await service.send(signal, request)
            service.assert_nothing_lost()

        assert [*sink.traces, *sink.metrics, *sink.logs] == list(requests.values())
        service.assert_nothing_lost()


async def test_an_incident_fires_on_its_columns_and_resolves_with_the_fix(tmp_path, baseline):
    """A unit change, nulls and a new category: found, explained, and over when it is over."""
    traffic = Traffic()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            for number in range(3):
                await service.snapshots(traffic.window(number))
            for number in range(3, 6):
                await service.snapshots(traffic.window(number, scale=0.5, missing=300, new_country=200))
            for number in range(6, 11):
                await service.snapshots(traffic.window(number))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 11)
            await until(lambda: len(alerts(sink)) >= 8)

        found = alerts(sink)
        expected = [("amount", "drift"), ("age", "missing"), ("country", "drift"), ("country", "unseen_category")]
        assert sorted(found[:4]) == sorted((*alert, "firing") for alert in expected)
        assert sorted(found[4:]) == sorted((*alert, "resolved") for alert in expected)
        drifted = [attributes(record) for record in sink.log_records("ml.drift.detected")]
        assert sorted(event["ml.feature.name"] for event in drifted) == ["amount", "country"]
        assert all(event["ml.drift.score"] > event["ml.drift.threshold"] for event in drifted)
        (fired,) = [
            record
            for record in sink.log_records("ml.alert")
            if attributes(record)["ml.alert.name"] == "drift"
            and attributes(record).get("ml.feature.name") == "amount"
            and attributes(record)["ml.alert.state"] == "firing"
        ]
        assert fired.severity_number == 13
        reason = attributes(fired)["ml.alert.reason"]
        assert reason.startswith("PSI ")
        assert reason.endswith(f"n=1000, 2 of 3 windows, baseline {Baseline.load(baseline).id[:8]}")


async def test_gauges_carry_model_version_and_feature_on_the_points(tmp_path, baseline):
    """Few backends keep attributes of the resource."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            await service.snapshots(Traffic().window(0, missing=100))
            await until(lambda: sink.metrics_named("ml.feature.drift.psi"))

        model = {"ml_model_name": "fraud", "ml_model_version": "3"}
        assert gauge(sink, "ml.model.window.rows", **model) == [1000]
        assert gauge(sink, "ml.model.drift.share", **model) == [0.0]
        assert gauge(sink, "ml.feature.missing.ratio", **model, ml_feature_name="age") == [0.1]
        assert 0 <= gauge(sink, "ml.feature.drift.psi", **model, ml_feature_name="amount")[0] < 0.1
        assert len(gauge(sink, "ml.feature.drift.ks", **model)) == 2


async def test_predictions_have_metrics_of_their_own(tmp_path, baseline):
    """A model's output drifts as its inputs do."""
    from otel_ml.sketch.feature import FeatureRole

    values = np.random.default_rng(3).uniform(0, 0.4, 1000)
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            prediction = numeric("prediction", values, role=FeatureRole.PREDICTION)
            await service.snapshots(Producer().snapshot(prediction))
            await until(lambda: sink.metrics_named("ml.prediction.drift.psi"))

        assert gauge(sink, "ml.prediction.drift.psi", ml_prediction_name="prediction")[0] > 0.2
        assert gauge(sink, "ml.prediction.missing.ratio", ml_prediction_name="prediction") == [0.0]
        assert sink.metrics_named("ml.feature.drift.psi") == []


async def test_a_column_that_is_no_longer_sent_is_missing(tmp_path, baseline):
    """The commonest break of a schema is silence."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            values = np.random.default_rng(3).normal(40, 10, 1000)
            await service.snapshots(Producer().snapshot(numeric("age", values)))
            await until(lambda: sink.metrics_named("ml.feature.missing.ratio"))

        assert gauge(sink, "ml.feature.missing.ratio", ml_feature_name="amount") == [1.0]
        assert gauge(sink, "ml.feature.missing.ratio", ml_feature_name="age") == [0.0]


async def test_a_column_of_another_kind_is_a_type_mismatch(tmp_path, baseline):
    """Text where there were numbers."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            await service.snapshots(Producer().snapshot(categorical("amount", {"12,50": 1000})))
            await until(lambda: sink.metrics_named("ml.feature.type_mismatch.ratio"))

        assert gauge(sink, "ml.feature.type_mismatch.ratio", ml_feature_name="amount") == [1.0]


async def test_too_few_rows_give_no_verdict(tmp_path, baseline, caplog):
    """A score of 50 rows would be noise, and zero would be a lie."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            for number in range(3):
                await service.snapshots(Traffic().window(number, rows=52, scale=9.0))
            await until(lambda: len(sink.metrics_named("ml.model.window.rows")) >= 1)
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS, processor_outcome="insufficient_rows") >= 1)

        assert sink.metrics_named("ml.feature.drift.psi") == []
        assert sink.metrics_named("ml.model.drift.share") == []
        assert alerts(sink) == []
        said = [record for record in caplog.records if "nothing is concluded from fewer than 200" in record.message]
        assert len(said) == 1


async def test_without_a_baseline_there_is_quality_without_reference(tmp_path, caplog):
    """Said once, not every window."""
    traffic = Traffic()
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            for number in range(3):
                await service.snapshots(traffic.window(number, missing=100))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS, processor_outcome="no_baseline") == 3)

        assert gauge(sink, "ml.feature.missing.ratio", ml_feature_name="age") == [0.1] * 3
        assert len([record for record in caplog.records if "has no baseline" in record.message]) == 1


async def test_duplicates_and_late_ones_are_counted_and_change_nothing(tmp_path):
    """Retries, batch splits and slow networks are normal."""
    traffic = Traffic()
    first, second = traffic.window(0, rows=400), traffic.window(1, rows=400)
    late = traffic.window(0, rows=400)
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"allowed_lateness": "0s"}) as service:
            await service.snapshots(first, first)
            await service.snapshots(first)
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 1)
            await service.snapshots(second, late)
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 2)

            outcomes = {
                outcome: service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome=outcome)
                for outcome in ("merged", "duplicate", "late")
            }
            assert outcomes == {"merged": 2, "duplicate": 2, "late": 1}
            assert service.total(semconv.PROCESSOR_ROWS, model_name="fraud", model_version="3") == 800

        assert gauge(sink, "ml.model.window.rows") == [400, 400]
        assert sink.log_records("ml.sketch.snapshot") == []
        service.assert_nothing_lost()


async def test_a_snapshot_that_is_too_late_is_put_aside(tmp_path):
    """Counted apart, with its rows, and kept so that somebody can look at it."""
    traffic, store = Traffic(), tmp_path / "store"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, store=store, drift={"allowed_lateness": "0s"}) as service:
            await service.snapshots(traffic.window(0, rows=400))
            await service.snapshots(traffic.window(1, rows=400))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 1)
            await service.snapshots(traffic.window(0, rows=70))
            await until(lambda: service.total(semconv.PROCESSOR_DEAD_LETTERS, processor_outcome="kept") == 1)
            assert service.total(semconv.PROCESSOR_ROWS_LATE) == 70
            assert service.total(semconv.PROCESSOR_ROWS) == 800

    with DeadLetterBox(store) as box:
        (letter,) = box.letters(reasons=["late"])
        (kept,) = decode.read_logs(box.body(letter.id), take=False).snapshots
    assert kept.rows == 70


async def test_a_clock_that_runs_ahead_moves_nobody_elses_windows_and_is_put_aside(tmp_path):
    """An hour is more than the ten minutes that are allowed."""
    ahead = replace(
        Producer(b"ahead" * 3 + b"!").snapshot(numeric("amount", range(30))),
        start_time_unix_nano=time.time_ns() + 3_540_000_000_000,
        end_time_unix_nano=time.time_ns() + 3_600_000_000_000,
    )
    store = tmp_path / "store"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, store=store) as service:
            await service.snapshots(ahead)
            await until(lambda: service.total(semconv.PROCESSOR_DEAD_LETTERS, processor_outcome="kept") == 1)
            assert service.total(semconv.PROCESSOR_ROWS) == 0

    with DeadLetterBox(store) as box:
        assert [(letter.reason, letter.items) for letter in box.letters()] == [("future", 1)]


async def test_what_was_accepted_is_merged_after_a_crash(tmp_path):
    """No checkpoint was written since: the log has it, and a client that sends it again changes nothing."""
    traffic, store = Traffic(), tmp_path / "store"
    snapshots = [traffic.window(0, rows=400) for _ in range(5)]
    with OtlpSink() as sink:
        async with running(tmp_path, sink, store=store, drift={"window": "1h"}) as service:
            for snapshot in snapshots:
                await service.snapshots(snapshot)
            crashed = tmp_path / "crashed"
            shutil.copytree(store, crashed)
        async with running(tmp_path, sink, store=crashed, drift={"window": "1h"}) as service:
            assert service.total(semconv.PROCESSOR_ROWS) == 2000
            await service.snapshots(*snapshots)
            assert service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="duplicate") == 5
            assert service.total(semconv.PROCESSOR_ROWS) == 2000


async def test_snapshots_are_forwarded_where_configured(tmp_path):
    """For a second processor down the road."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"forward_snapshots": True}) as service:
            await service.snapshots(Traffic().window(0))
            await until(lambda: sink.log_records("ml.sketch.snapshot"))

        service.assert_nothing_lost()


async def test_a_dead_backend_makes_the_clients_wait_and_loses_nothing(tmp_path):
    """Refused with UNAVAILABLE once the log is full; what was taken arrives when the backend is back."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        async with running(tmp_path, sink, drift={"window": "1h"}, log={"max_size_mib": 4}) as service:
            request = logs_request(text_record("x" * 1_000_000), snapshot_record(Traffic().window(0)))
            for _ in range(3):
                await service.send(Signal.LOGS, request)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.send(Signal.LOGS, request)
            service.assert_nothing_lost()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            # The snapshot in the refused request was not merged either: it comes again with the rest.
            assert service.total(semconv.PROCESSOR_SNAPSHOTS) == 3
            sink.recover()
            await until(lambda: len(sink.log_records()) == 3)

        service.assert_nothing_lost()


async def test_a_small_log_has_room_again_as_soon_as_a_backend_has_all_of_it(tmp_path):
    """Whatever the interval of checkpoints: there is one whenever a quarter of the log was merged."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, store=tmp_path / "store", log={"max_size_mib": 4}) as service:
            for number in range(12):
                await until_taken(service, logs_request(text_record(f"{number}" * 500_000)))
            await until(lambda: len(sink.log_records()) == 12)

        service.assert_nothing_lost()


async def until_taken(service, request):
    """Send again, as clients do, while there is no room."""
    for _ in range(400):
        try:
            return await service.send(Signal.LOGS, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.01)
    raise AssertionError("there is never any room")


async def test_a_backend_that_never_comes_back_is_counted_at_the_end(tmp_path):
    """Nothing disappears without a number."""
    with OtlpSink() as sink:
        sink.refuse()
        async with running(tmp_path, sink, shutdown="200ms") as service:
            await service.send(Signal.TRACES, traces_request(spans=7))

        assert service.total(semconv.PROCESSOR_DROPPED, drop_reason="shutdown") == 7
        service.assert_nothing_lost()


async def test_alerts_marks_and_open_windows_survive_a_restart(tmp_path, baseline):
    """Half a window before, half after: one window; and what fired goes on firing."""
    traffic, store = Traffic(), tmp_path / "store"
    open_window = traffic.window(5, rows=600)
    open_window = type(open_window)(
        open_window.producer_id,
        open_window.sequence,
        open_window.model,
        open_window.start_time_unix_nano,
        open_window.end_time_unix_nano - 30_000_000_000,
        open_window.rows,
        0,
        open_window.features,
    )
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, store=store) as service:
            for number in range(3):
                await service.snapshots(traffic.window(number, scale=0.5))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 3)
            await service.snapshots(open_window)
        assert alerts(sink) == [("amount", "drift", "firing")]
        assert gauge(sink, "ml.model.window.rows") == [1000] * 3

        async with running(tmp_path, sink, baseline, store=store) as service:
            await service.snapshots(open_window)
            assert service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="duplicate") == 1
            await service.snapshots(traffic.window(5, rows=400))
            for number in (6, 7):
                await service.snapshots(traffic.window(number))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 3)

        assert gauge(sink, "ml.model.window.rows") == [1000] * 6
        assert alerts(sink) == [("amount", "drift", "firing"), ("amount", "drift", "resolved")]


async def test_without_a_store_open_windows_are_evaluated_at_the_end(tmp_path, baseline):
    """Or what they hold would be lost."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, drift={"window": "1h"}) as service:
            await service.snapshots(Traffic().window(0))
            assert service.total(semconv.PROCESSOR_WINDOWS) == 0

        assert gauge(sink, "ml.model.window.rows") == [1000]


async def test_the_service_reports_on_itself(tmp_path):
    """Cumulative sums with the start of the process, through the same exporters, apart from what passes through."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, telemetry="50ms") as service:
            await service.send(Signal.LOGS, logs_request(text_record(), snapshot_record(Traffic().window(0))))
            await until(lambda: sink.metrics_named("ml.processor.forwarded"))

        metric = sink.metrics_named("ml.processor.received")[-1]
        (point,) = metric.sum.data_points
        assert metric.sum.is_monotonic
        assert (point.as_int, attributes(point)) == (2, {"ml.processor.signal": "logs"})
        assert 0 < point.start_time_unix_nano < point.time_unix_nano
        assert sink.metrics_named("ml.processor.pending")
        assert "otel-ml-processor" in {resource["service.name"] for resource in sink.resources()}
        assert service.total(semconv.PROCESSOR_RECEIVED, processor_signal="metrics") == 0
        service.assert_nothing_lost()


async def test_gauges_are_repeated_for_backends_that_forget_them(tmp_path):
    """A window may be longer than the few minutes after which Prometheus calls a gauge stale."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"repeat": "30ms"}) as service:
            await service.snapshots(Traffic().window(0))

            await until(lambda: len(gauge(sink, "ml.model.window.rows")) >= 3)


async def test_a_failing_evaluation_is_counted_and_the_next_window_is_evaluated(tmp_path, baseline, caplog):
    """The service never goes down over one model's data."""

    class Broken:
        name = "broken"
        threshold = 0.1

        def applies_to(self, distribution):
            return True

        def compare(self, reference, current):
            raise RuntimeError("a detector of somebody else")

    traffic = Traffic()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            drift = service.service._stages[2][0]
            drift._evaluator._detectors = {"broken": Broken()}
            for number in range(2):
                await service.snapshots(traffic.window(number))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS, processor_outcome="failed") == 2)

            await service.send(Signal.LOGS, logs_request(text_record()))
            assert service.total(semconv.PROCESSOR_ERRORS, processor_task="evaluate") == 2
        assert len([record for record in caplog.records if "evaluate failed" in record.message]) == 1


async def test_a_port_that_is_taken_stops_the_start_and_leaves_nothing_behind(tmp_path):
    """The store is free again for the next try."""
    store = tmp_path / "store"
    with OtlpSink() as sink:
        path = tmp_path / "taken.yaml"
        port = sink.endpoint.rpartition(":")[2]
        path.write_text(
            f"""
            receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
            exporters: {{otlp_grpc: {{endpoint: "{sink.endpoint}"}}}}
            store: {{directory: "{store}"}}
            service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}
            """
        )
        for _ in range(2):
            with pytest.raises(StartError, match="Address already in use"):
                await Service(config.load(path, {})).start()


async def test_a_snapshot_just_before_the_end_does_not_keep_it_running(tmp_path):
    """Woken and told to stop at one moment, the task that closes windows stops."""
    snapshot = Producer().snapshot(numeric("amount", range(30)))
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            stages = service.service._stages
            drift = next(part for stage in stages for part in stage if isinstance(part, DriftProcessor))
            await asyncio.sleep(0.05)

            async def consume_and_stop():
                await drift.consume(Request(Signal.LOGS, b"", 0, snapshots=[snapshot]))
                await drift.shutdown(1.0)

            stopping = asyncio.create_task(consume_and_stop())
            done, _ = await asyncio.wait({stopping}, timeout=10)
            stopping.cancel()

    assert done


NORWAY = Segment("country", "NO")


def with_exemplars(snapshot, feature, *exemplars):
    """The snapshot, with requests that show what its column `feature` holds."""
    for summary in snapshot.features:
        if summary.key.name == feature:
            summary.exemplars = list(exemplars)
    return snapshot


async def test_a_segment_is_measured_and_only_its_data_quality_is_an_alarm(tmp_path, baseline):
    """It differs from the whole that the baseline is of: that is no news, but that values are missing is."""
    traffic = Traffic()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, drift={"lateness": "1s"}) as service:
            for number in range(3):
                await service.snapshots(
                    traffic.window(number),
                    replace(traffic.window(number, scale=0.5, missing=300), segment=NORWAY),
                )
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 6)
            await until(lambda: alerts(sink))

        of_norway = {"ml_segment_dimension": "country", "ml_segment_value": "NO"}
        assert max(gauge(sink, "ml.feature.drift.psi", ml_feature_name="amount", **of_norway)) > 0.2
        assert alerts(sink) == [("age", "missing", "firing")]
        (fired,) = map(attributes, sink.log_records("ml.alert"))
        assert (fired["ml.segment.dimension"], fired["ml.segment.value"]) == NORWAY
        assert service.total(semconv.PROCESSOR_ROWS) == 3_000


async def test_a_segments_open_window_survives_a_restart(tmp_path, baseline):
    """Beside the whole's, with the rows it had."""
    traffic, store = Traffic(), tmp_path / "store"
    half = replace(traffic.window(0, rows=600), end_time_unix_nano=START + MINUTE // 2, segment=NORWAY)
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, store=store) as service:
            await service.snapshots(half)
        async with running(tmp_path, sink, baseline, store=store) as service:
            await service.snapshots(replace(traffic.window(0, rows=400), segment=NORWAY))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 1)

        assert gauge(sink, "ml.model.window.rows", ml_segment_value="NO") == [1000]


async def test_an_alert_leads_to_the_requests_behind_it(tmp_path, baseline):
    """Traces and ids on the event, exemplars on the gauge; what shows something else is left out."""
    traffic = Traffic()
    missing = Exemplar(ExemplarReason.MISSING, 0xABC, 0xDEF, START, "order-7")
    largest = Exemplar(ExemplarReason.LARGEST, 0x123, 0x456, START, "order-8", 99.0)
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            for number in range(3):
                await service.snapshots(with_exemplars(traffic.window(number, missing=300), "age", missing, largest))
            await until(lambda: alerts(sink))

        (fired,) = map(attributes, sink.log_records("ml.alert"))
        assert list(fired["ml.exemplar.trace.ids"]) == [f"{0xABC:032x}"]
        assert list(fired["ml.exemplar.prediction.ids"]) == ["order-7"]
        (shown,) = {
            (exemplar.trace_id, exemplar.span_id)
            for metric in sink.metrics_named("ml.feature.missing.ratio")
            for point in metric.gauge.data_points
            for exemplar in point.exemplars
        }
        assert shown == ((0xABC).to_bytes(16, "big"), (0xDEF).to_bytes(8, "big"))


async def test_a_changed_dependency_shows_in_the_number_of_processes(tmp_path, baseline):
    """One series a digest: the old one ends where the new one begins."""
    traffic = Traffic()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline) as service:
            for number, digest in enumerate(("a" * 16, "b" * 16, "b" * 16)):
                await service.snapshots(replace(traffic.window(number), packages_digest=digest))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS) == 3)

        assert gauge(sink, "ml.model.window.producers", ml_runtime_packages_digest="a" * 16) == [1]
        assert gauge(sink, "ml.model.window.producers", ml_runtime_packages_digest="b" * 16) == [1, 1]
