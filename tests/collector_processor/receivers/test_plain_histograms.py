import numpy as np
import pytest
from histogram_samples import CUMULATIVE, DELTA, SDK_BOUNDS, attributes_of, explicit, exponential, request_of
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags

from collector_processor.component import HistogramSource
from collector_processor.errors import UndecodableRequestError
from collector_processor.processors.plain_histograms import HistogramSettings, sources
from collector_processor.receivers.plain_histograms import HistogramReader
from otel_ml import semconv
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

VALUES = np.array([-3.5, 0.0, 0.0, 1.0, 7.0, 20.0, 20_000.0])
READER = HistogramReader(sources({}))


def read_one(*metrics, reader=READER, **kwargs):
    found = reader.read(request_of(*metrics, **kwargs))
    assert not found.rejected
    (point,) = found.points
    return point


def changed(metric, change):
    """The same metric after `change(point)`."""
    kind = getattr(metric, metric.WhichOneof("data"))
    change(kind.data_points[0])
    return metric


def test_an_explicit_histogram_comes_with_its_own_bounds():
    """Bucket i of OTLP is (bound i-1, bound i], and so it is here."""
    point = read_one(explicit(VALUES, 10, 20))

    assert point.counts.layout.edges.tolist() == list(SDK_BOUNDS)
    assert point.counts.counts.tolist() == [3, 1, 1, 1, *[0] * 11, 1]
    assert (point.total, point.minimum, point.maximum) == (VALUES.sum(), -3.5, 20_000.0)
    assert (point.start_time_unix_nano, point.time_unix_nano, point.is_cumulative) == (10, 20, False)


def test_an_exponential_histogram_comes_bucket_by_bucket():
    """Both signs, the zeros and the scale, as they were sent."""
    point = read_one(exponential(VALUES, 10, 20, temporality=CUMULATIVE))

    expected = ExponentialHistogram.of(VALUES)
    assert (point.counts.scale, point.counts.zero_count) == (expected.scale, 2)
    assert point.counts.positive.counts.tolist() == expected.positive.counts.tolist()
    assert point.counts.negative.offset == expected.negative.offset
    assert point.is_cumulative


def test_points_name_their_model_and_their_column():
    """With the attributes that the library itself writes."""
    point = read_one(explicit(VALUES, 10, 20, feature="age"))

    assert point.model == ModelKey("fraud", "3")
    assert point.key == FeatureKey(FeatureRole.FEATURE, "age")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ml.prediction.value", FeatureKey(FeatureRole.PREDICTION, "prediction")),
        ("ml.prediction.score", FeatureKey(FeatureRole.SCORE, "score")),
    ],
)
def test_the_only_prediction_and_the_only_score_need_no_name(name, key):
    """They are called what the library calls them."""
    assert read_one(explicit(VALUES, 10, 20, name=name)).key == key


@pytest.mark.parametrize(
    ("of_point", "of_resource", "model"),
    [
        ({"ml.model.name": "a"}, {"service.name": "s", "service.version": "9"}, ModelKey("a", "")),
        ({"ml.model.name": "a"}, {"ml.model.name": "b", "ml.model.version": "2"}, ModelKey("a", "2")),
        ({}, {"ml.model.name": "b", "service.name": "s", "service.version": "9"}, ModelKey("b", "")),
        ({}, {"service.name": "s", "service.version": "9"}, ModelKey("s", "9")),
    ],
)
def test_a_model_is_named_by_the_point_or_the_resource_or_is_the_service(of_point, of_resource, model):
    """The nearest name counts; the version of the service is that of a model that is the service."""
    metric = explicit(VALUES, 10, 20)
    del metric.histogram.data_points[0].attributes[:]
    metric.histogram.data_points[0].attributes.extend(attributes_of({semconv.FEATURE_NAME: "x", **of_point}))

    assert read_one(metric, resource=of_resource).model == model


def test_any_metric_can_be_a_column_of_a_model():
    """By configuration: a duration of requests, say."""
    reader = HistogramReader({"http.server.request.duration": HistogramSource(feature="latency", model="shop")})
    metric = explicit([0.2], 10, 20, name="http.server.request.duration")

    point = read_one(metric, reader=reader)

    assert (point.model, point.key.name) == (ModelKey("shop", ""), "latency")


def test_a_metric_can_be_turned_off():
    """With null in its place."""
    reader = HistogramReader(sources({"ml.feature.value": None}))

    assert not reader.read(request_of(explicit(VALUES, 10, 20))).points


def test_settings_that_name_no_column_are_refused():
    """Nobody could say what the values are."""
    with pytest.raises(ValueError, match="names no column"):
        HistogramSettings(model="shop")


def test_our_own_library_is_left_out():
    """It sends snapshots of the same values."""
    found = READER.read(request_of(exponential(VALUES, 10, 20), scope=semconv.SCOPE_NAME))

    assert not found.points
    assert found.rejected == {"own": 1}


def test_only_requests_with_a_wanted_name_are_looked_into():
    """Everything else passes untouched."""
    assert READER.is_wanted(request_of(explicit(VALUES, 10, 20)))
    assert not READER.is_wanted(request_of(explicit(VALUES, 10, 20, name="http.server.request.duration")))


def test_a_slice_is_told_by_attributes():
    """As snapshots have it."""
    metric = explicit(VALUES, 10, 20, **{semconv.SEGMENT_DIMENSION: "country", semconv.SEGMENT_VALUE: "NO"})

    assert read_one(metric).segment == Segment("country", "NO")


def test_a_series_stays_the_same_whatever_order_its_attributes_have():
    """A retry through another Collector may order them anew."""
    metric = explicit(VALUES, 10, 20)
    turned = explicit(VALUES, 10, 20)
    attributes = list(turned.histogram.data_points[0].attributes)[::-1]
    del turned.histogram.data_points[0].attributes[:]
    turned.histogram.data_points[0].attributes.extend(attributes)

    assert read_one(metric).series == read_one(turned).series
    assert read_one(metric).series != read_one(metric, resource={"service.name": "other"}).series
    assert read_one(metric).series != read_one(explicit(VALUES, 10, 20, feature="age")).series


def test_many_bounds_become_fewer_and_no_value_is_lost():
    """127 bounds are kept: each of them was one before."""
    bounds = np.arange(1000.0)
    point = read_one(explicit(np.arange(1000.0), 10, 20, bounds=bounds))

    assert len(point.counts.counts) == 128
    assert point.counts.count == 1000
    below = point.counts.counts.cumsum()[:-1]
    np.testing.assert_array_equal(below, point.counts.layout.edges + 1)


def test_a_scale_beyond_ours_comes_down():
    """Neighbouring buckets are one then; nothing else changes."""
    metric = exponential([2.0], 10, 20)
    point = metric.exponential_histogram.data_points[0]
    point.scale, point.positive.offset = 22, (point.positive.offset << 2) + 3

    assert read_one(metric).counts.distribution().points[-1] == 2.0


def test_a_narrow_zero_bucket_holds_zeros():
    """Prometheus' native histograms have one, of 2^-128."""
    metric = changed(exponential(VALUES, 10, 20), lambda point: setattr(point, "zero_threshold", 2.0**-128))

    assert read_one(metric).counts.zero_count == 2


def _set(**fields):
    def change(point):
        for name, value in fields.items():
            if isinstance(value, list):
                del getattr(point, name)[:]
                getattr(point, name).extend(value)
            else:
                setattr(point, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set(count=8), "count"),
        (_set(bucket_counts=[1 << 62, *[0] * 15]), "count"),
        (_set(bucket_counts=[7]), "buckets"),
        (_set(bucket_counts=[], explicit_bounds=[]), "no_buckets"),
        (_set(explicit_bounds=[*range(14), 3.0]), "bounds"),
        (_set(explicit_bounds=[*range(14), float("nan")]), "bounds"),
        (_set(explicit_bounds=[0.0] * 10_000), "too_many_buckets"),
        (_set(time_unix_nano=0), "time"),
        (_set(start_time_unix_nano=21), "time"),
        (_set(time_unix_nano=1 << 63), "time"),
        (_set(flags=DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK), "no_value"),
        (_set(attributes=attributes_of({"ml.model.name": "m"})), "no_feature"),
        (_set(attributes=attributes_of({"ml.feature.name": "x" * 300})), "long_name"),
    ],
)
def test_an_explicit_histogram_that_makes_no_sense_is_rejected(change, reason):
    """With a reason that can be counted, and nothing raised."""
    found = READER.read(request_of(changed(explicit(VALUES, 10, 20), change)))

    assert (len(found.points), dict(found.rejected)) == (0, {reason: 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set(scale=-11), "scale"),
        (_set(scale=2**31 - 1), "scale"),
        (_set(zero_count=(1 << 64) - 1), "count"),
        (_set(zero_threshold=0.5), "zero_threshold"),
        (_set(zero_threshold=float("inf")), "zero_threshold"),
        (lambda point: setattr(point.positive, "offset", 2**31 - 1), "offset"),
        (lambda point: point.negative.bucket_counts.extend([0] * 10_000), "too_many_buckets"),
    ],
)
def test_an_exponential_histogram_that_makes_no_sense_is_rejected(change, reason):
    """Scales, offsets and sizes that no SDK makes."""
    found = READER.read(request_of(changed(exponential(VALUES, 10, 20), change)))

    assert (len(found.points), dict(found.rejected)) == (0, {reason: 1})


def test_without_temporality_nobody_knows_what_is_new():
    """OTLP forbids it, too."""
    metric = explicit(VALUES, 10, 20, temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_UNSPECIFIED)

    assert READER.read(request_of(metric)).rejected == {"no_temporality": 1}


def test_extremes_and_sums_that_are_no_numbers_are_unknown():
    """The counts are as good without them."""
    point = read_one(changed(explicit(VALUES, 10, 20), _set(sum=float("nan"), min=float("-inf"), max=float("inf"))))

    assert (point.total, point.minimum, point.maximum) == (None, None, None)


def test_bytes_that_are_no_request_are_refused():
    """As a whole, for the client to hear of it."""
    with pytest.raises(UndecodableRequestError):
        READER.read(b"\xff ml.feature.value")


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from((explicit, exponential)))
def test_no_mutation_of_a_request_does_harm(data, kind):
    """Bytes changed at random: read, rejected with a reason, or undecodable."""
    body = bytearray(request_of(kind(VALUES, 10, 20, temporality=data.draw(st.sampled_from((DELTA, CUMULATIVE))))))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = READER.read(bytes(body))
    except UndecodableRequestError:
        with pytest.raises(Exception, match="arsing"):
            ExportMetricsServiceRequest.FromString(bytes(body))
        return
    for point in found.points:
        assert point.counts.count >= 0
        assert point.start_time_unix_nano <= point.time_unix_nano
