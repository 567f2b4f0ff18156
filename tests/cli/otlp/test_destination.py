"""Where signals go, compared with where the SDK's own exporters send them."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

from otel_ml.cli.otlp.destination import destinations, parse_headers

ENDPOINT, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: "http://h:1"},
        {ENDPOINT: "https://h:1"},
        {ENDPOINT: "h:1"},
        {ENDPOINT: "h:1", "OTEL_EXPORTER_OTLP_INSECURE": "True"},
        {ENDPOINT: "http://h:1", "OTEL_EXPORTER_OTLP_INSECURE": "false"},
        {ENDPOINT: "https://h:1", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
        {ENDPOINT: "http://h:1", TRACES: "http://t:2"},
        {ENDPOINT: "http://h:1", TRACES: "https://t:2"},
    ],
)
def test_over_grpc_it_is_where_the_sdk_sends_and_encrypted_where_it_encrypts(monkeypatch, environment):
    """Whatever the SDK makes of schemes and variables."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exporter = GrpcExporter()
    found = destinations(environment)["traces"]

    assert (found.address, found.is_encrypted) == (exporter._endpoint, not exporter._insecure)
    exporter.shutdown()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: "http://h:1"},
        {ENDPOINT: "http://h:1/"},
        {ENDPOINT: "http://h:1/prefix"},
        {ENDPOINT: "http://h:1", TRACES: "http://t:2/own"},
    ],
)
def test_over_http_it_is_the_url_that_the_sdk_posts_to(monkeypatch, environment):
    """The path of a signal is added to what is said of all of them, and to nothing else."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exporter = HttpExporter()

    assert destinations(environment, protocol="http/protobuf")["traces"].url == exporter._endpoint
    exporter.shutdown()


def test_an_exporter_may_name_the_protocol():
    """That of one signal, or the one of all."""
    found = destinations(
        {"OTEL_TRACES_EXPORTER": "otlp_proto_http", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf"}
    )

    assert [one.protocol for one in found.values()] == ["http/protobuf", "grpc", "http/protobuf"]


def test_headers_are_decoded_and_what_is_none_is_left_out():
    """Names in lower case, as gRPC wants them."""
    assert parse_headers("Authorization=Bearer%20a=b, x = 1 ,broken,=2") == {"authorization": "Bearer a=b", "x": "1"}


def test_headers_do_not_show():
    """They hold tokens."""
    found = destinations({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2"})["logs"]

    assert found.headers == {"authorization": "hunter2"}
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("http://[::1]:4317", "::1", 4317),
        ("http://h", "h", 443),
        ("h:0", "h", None),
        ("http://h:x", "h", None),
        ("http://a b:1", "", 1),
        ("http://[::1", "", None),
        ("http://bücher.example:1", "bücher.example", 1),
    ],
)
def test_addresses_are_taken_apart_whatever_they_are(endpoint, host, port):
    """Empty and None stand for what is no host and no port."""
    found = destinations({ENDPOINT: endpoint})["logs"]

    assert (found.host, found.port) == (host, port)
