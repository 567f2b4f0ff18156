"""Deployments of one model that differ by an attribute of their resource, through the whole service and real gRPC."""

import numpy as np
import pytest
from otlp_sink import OtlpSink, attributes
from processor_samples import MINUTE, START, Producer, categorical, numeric
from running_service import alerts, gauge, running, until

from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary

VERSION = "service.version"
DEPLOYMENTS = {"references": {"stable": {"dimension": VERSION}}, "lateness": "30s"}
OLD, NEW = {VERSION: "1.4"}, {VERSION: "1.5"}
ROWS = 1_000


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """The path of a baseline of two columns."""
    random = np.random.default_rng(1)
    data = {"amount": random.lognormal(3, 1, 5_000), "country": random.choice(["DE", "FR"], 5_000).tolist()}
    path = tmp_path_factory.mktemp("baselines") / "fraud-3.baseline"
    Baseline.build(data, model="fraud", version="3").save(path)
    return path


class Pods:
    """The pods of one deployment, which may read the amount in another unit."""

    def __init__(self, name, resource, seed):
        self._random = np.random.default_rng(seed)
        self._producer = Producer(name * 16)
        self.resource = resource

    def window(self, number, *, scale=1.0, rows=ROWS, missing=0):
        """What they saw in one minute."""
        return self._producer.snapshot(
            numeric("amount", scale * self._random.lognormal(3, 1, rows), missing=missing),
            categorical("country", {"DE": rows // 2, "FR": rows // 2 + missing}),
            rows=rows + missing,
            start=START + number * MINUTE,
        )


async def serve(service, *minutes):
    """Send what both deployments saw, minute by minute: (old, new) changes of each, or None where one is not there."""
    old, new = Pods(b"o", OLD, 2), Pods(b"n", NEW, 3)
    for number, seen in enumerate(minutes):
        for pods, changes in zip((old, new), seen, strict=True):
            if changes is not None:
                await service.snapshots(pods.window(number, **changes), resource=pods.resource)
        # A later minute moves the watermark of both at once.
        await until(lambda number=number: closed_windows(service) >= number - 1)


def closed_windows(service):
    return service.total(semconv.PROCESSOR_WINDOWS)


def firing(sink):
    return {(feature, alert) for feature, alert, state in alerts(sink) if state == "firing"}


async def test_a_deployment_that_reads_a_column_wrongly_is_named(tmp_path):
    """Cents for euros in the newer one: an alert with its version and the column, without any baseline."""
    wrong = {"scale": 100.0}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=DEPLOYMENTS) as service:
            await serve(service, ({}, None), ({}, None), ({}, wrong), ({}, wrong), ({}, wrong))
            await until(lambda: alerts(sink))
        # What was left open is evaluated at the end.

        found = [attributes(record) for record in sink.log_records("ml.alert")]
        (fired,) = [event for event in found if event["ml.alert.state"] == "firing"]
        assert (fired["ml.alert.name"], fired["ml.feature.name"]) == ("canary_drift", "amount")
        assert (fired["ml.segment.dimension"], fired["ml.segment.value"]) == (VERSION, "1.5")
        assert fired["ml.drift.reference"] == "stable"
        assert fired["ml.drift.reference.description"] == "service.version '1.4' in the same window"
        assert fired["ml.drift.score"] > fired["ml.drift.threshold"]
        (drifted,) = map(attributes, sink.log_records("ml.drift.detected"))
        assert drifted["ml.segment.value"] == "1.5"
        assert service.total(semconv.PROCESSOR_ROWS) == 8 * ROWS
        assert gauge(sink, "ml.model.window.rows", ml_segment_value="1.4") == [ROWS] * 5
        assert gauge(sink, "ml.model.window.rows", ml_segment_value="1.5") == [ROWS] * 3
        assert service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="merged") == 8
        service.assert_nothing_lost()


async def test_two_deployments_that_serve_alike_are_no_news(tmp_path, baseline):
    """A rolling update that changes nothing, and clean data."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, drift=DEPLOYMENTS) as service:
            await serve(service, ({}, None), *[({}, {})] * 4, (None, {}))

        assert alerts(sink) == []
        of_new = {"ml_segment_dimension": VERSION, "ml_segment_value": "1.5", "ml_feature_name": "amount"}
        assert gauge(sink, "ml.model.window.rows", **{k: v for k, v in of_new.items() if k != "ml_feature_name"})
        scores = gauge(sink, "ml.feature.drift.psi", **of_new, ml_drift_reference="baseline")
        assert len(scores) == 5
        assert max(scores) < 0.1


async def test_what_reaches_both_deployments_is_drift_and_no_canary(tmp_path, baseline):
    """From upstream: the whole is unlike the baseline, and says so once; what is missing is told once, too."""
    shifted = {"scale": 5.0, "missing": 300}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, baseline, drift=DEPLOYMENTS) as service:
            await serve(service, ({}, None), *[(shifted, shifted)] * 4)

        assert firing(sink) == {("amount", "drift"), ("amount", "missing")}
        events = [attributes(record) for record in sink.log_records("ml.alert")]
        assert not any("ml.segment.dimension" in event for event in events)


async def test_deployments_with_too_few_rows_are_not_judged(tmp_path):
    """Thirty rows of a pod that has just come are an anecdote, however odd they are."""
    few = {"scale": 100.0, "rows": 30}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=DEPLOYMENTS) as service:
            await serve(service, ({}, None), *[({}, few)] * 4)

        assert alerts(sink) == []


async def test_without_the_setting_deployments_are_one(tmp_path):
    """No segment comes of a resource unasked."""
    wrong = {"scale": 100.0}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"lateness": "30s"}) as service:
            await serve(service, ({}, None), *[({}, wrong)] * 4)

        assert gauge(sink, "ml.model.window.rows") == [ROWS, *[2 * ROWS] * 4]
        assert alerts(sink) == []


async def test_a_deployments_past_survives_a_restart(tmp_path):
    """Which one was there first is remembered, and so is the window that was open."""
    wrong, store = {"scale": 100.0}, tmp_path / "store"
    old, new = Pods(b"o", OLD, 2), Pods(b"n", NEW, 3)
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=DEPLOYMENTS, store=store) as service:
            for number in range(2):
                await service.snapshots(old.window(number), resource=OLD)
            await until(lambda: closed_windows(service) == 2)
            # More rows than the old one: by size it would be the stable one.
            await service.snapshots(new.window(1, rows=3 * ROWS, **wrong), resource=NEW)
        async with running(tmp_path, sink, drift=DEPLOYMENTS, store=store) as service:
            for number in range(2, 5):
                await service.snapshots(old.window(number), resource=OLD)
                await service.snapshots(new.window(number, rows=3 * ROWS, **wrong), resource=NEW)
            await until(lambda: alerts(sink))

        assert gauge(sink, "ml.model.window.rows", ml_segment_value="1.5")[0] == 3 * ROWS
        (event, *_) = map(attributes, sink.log_records("ml.alert"))
        assert (event["ml.alert.name"], event["ml.segment.value"]) == ("canary_drift", "1.5")


async def test_hostile_resources_cost_a_count_and_nothing_else(tmp_path):
    """Versions without end, and one of ten megabytes: those beyond the limit share a segment, the rest is as it was."""
    random = np.random.default_rng(4)
    producer = Producer()
    limits = {**DEPLOYMENTS, "limits": {"segments": 3}}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=limits) as service:
            for version in [*map(str, range(20)), "x" * 10_000_000]:
                snapshot = producer.snapshot(numeric("amount", random.normal(size=50)))
                await service.snapshots(snapshot, resource={VERSION: version})
            await until(lambda: service.total(semconv.PROCESSOR_SNAPSHOTS) == 21)
            assert service.total(semconv.PROCESSOR_FEATURES_DROPPED) == 0

        assert service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="merged") == 21
        assert sorted(gauge(sink, "ml.model.window.rows")) == [50, 50, 50, 17 * 50, 21 * 50]


async def test_a_deployment_whose_vectors_point_elsewhere_is_named(tmp_path):
    """Another version of an embedding model: every vector has length 1, as before."""
    random = np.random.default_rng(5)
    old, new = Producer(b"o" * 16), Producer(b"n" * 16)
    towards = {"old": np.eye(6)[0], "new": np.eye(6)[1]}

    def meaning(direction):
        content = EmbeddingSummary()
        vectors = random.normal(2 * towards[direction], 1.0, (ROWS, 6))
        content.update(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        return FeatureSummary(FeatureKey(FeatureRole.FEATURE, "meaning"), content, Counters(rows=ROWS))

    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=DEPLOYMENTS) as service:
            await service.snapshots(old.snapshot(meaning("old")), resource=OLD)
            for number in range(1, 5):
                start = START + number * MINUTE
                await service.snapshots(old.snapshot(meaning("old"), start=start), resource=OLD)
                await service.snapshots(new.snapshot(meaning("new"), start=start), resource=NEW)

        (fired, *_) = map(attributes, sink.log_records("ml.alert"))
        assert (fired["ml.alert.name"], fired["ml.feature.name"]) == ("canary_drift", "meaning")
        assert (fired["ml.segment.value"], fired["ml.drift.method"]) == ("1.5", "mahalanobis")
