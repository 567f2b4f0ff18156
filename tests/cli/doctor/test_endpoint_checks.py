"""What is wrong between exporter and receiver, found with real servers at the other end."""

import ssl
from datetime import datetime, timedelta, timezone

import grpc
import pytest
import trustme
from doctor_peers import black_hole, grpc_receiver, http_receiver, mute, refusing_proxy
from server_process import free_port

from otel_ml.cli.doctor.checks import (
    clock,
    endpoint_protocol,
    endpoint_reachable,
    endpoint_scheme,
    endpoint_signals,
    endpoint_tls,
    http_proxy,
)
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Verdict

ALL = ("traces", "metrics", "logs")
HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
OFF = {f"OTEL_{signal.upper()}_EXPORTER": "none" for signal in ALL}


def examine(check, endpoint, environment=None, **options):
    """What one check finds of an endpoint."""
    written = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}
    return list(check.CHECK.examine(Examined({**written, **(environment or {})}, timeout_s=1.0, **options)))


def only(findings):
    """The one finding; endpoints that are the same are asked once."""
    (finding,) = findings
    return finding


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="module")
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def credentials(authority):
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])


@pytest.mark.parametrize(
    ("endpoint", "environment", "what"),
    [
        ("localhost:4317", {}, "lacks a scheme"),
        ("localhost:4318", HTTP, "lacks a scheme"),
        ("grpc://localhost:4317", {}, "has an unknown scheme"),
        (" http://localhost:4317", {}, "has blanks around it"),
        ("http://:4317", {}, "names no host"),
        ("http://localhost:70000", {}, "names no host with a port"),
        ("http://[::1", {}, "names no host"),
        ("http://<script>alert('1')</script>:x", {}, "names no host"),
    ],
)
def test_an_endpoint_that_is_no_url_is_told_as_it_should_be(endpoint, environment, what):
    """With the variable that holds it, and the line that corrects it."""
    found = only(examine(endpoint_scheme, endpoint, environment))

    assert found.verdict is Verdict.PROBLEM
    assert what in found.what
    assert repr(endpoint) in found.what
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in found.what
    assert found.fix.startswith("export OTEL_EXPORTER_OTLP_ENDPOINT=http://")


@pytest.mark.parametrize(
    ("endpoint", "environment"),
    [
        ("http://localhost:4317", {}),
        ("https://otel.example/prefix", HTTP),
        ("localhost:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}),
        ("http://[::1]:4317", {}),
        ("", {}),
    ],
)
def test_an_endpoint_that_exporters_understand_is_fine(endpoint, environment):
    """The default too; and gRPC needs no scheme where a variable says that nothing is encrypted."""
    assert only(examine(endpoint_scheme, endpoint, environment)).verdict is Verdict.OK


def test_each_signal_may_have_an_endpoint_of_its_own():
    """And only that one is told."""
    found = examine(endpoint_scheme, "http://localhost:4317", {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "logs.example:4317"})

    assert [one.verdict for one in found] == [Verdict.OK, Verdict.PROBLEM]
    assert found[1].fix.startswith("export OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://logs.example:4317")


def test_nobody_listens():
    """Refused; within a container localhost is seldom what was meant."""
    found = only(examine(endpoint_reachable, f"http://127.0.0.1:{free_port()}"))

    assert found.verdict is Verdict.PROBLEM
    assert "connection refused" in found.what
    assert "container" in found.fix


def test_a_host_that_has_no_address():
    """A name of a top-level domain that is reserved for not existing."""
    found = only(examine(endpoint_reachable, "http://collector.invalid:4317"))

    assert found.verdict is Verdict.PROBLEM
    assert "'collector.invalid'" in found.what


def test_a_host_whose_name_is_no_name():
    """An endless label is no crash."""
    found = only(examine(endpoint_reachable, f"http://{'x' * 300}:4317"))

    assert found.verdict is Verdict.PROBLEM


def test_a_port_that_swallows_everything():
    """A firewall that drops looks like this."""
    with black_hole() as port:
        found = only(examine(endpoint_reachable, f"http://127.0.0.1:{port}"))

    assert found.verdict is Verdict.PROBLEM
    assert "no answer within 1 s" in found.what


def test_somebody_who_says_nothing():
    """Any other server may have the port."""
    with mute() as port:
        found = only(examine(endpoint_reachable, f"http://127.0.0.1:{port}"))

    assert found.verdict is Verdict.PROBLEM
    assert "speaks neither HTTP nor TLS" in found.what


def test_somebody_listens():
    """Over HTTP and over gRPC."""
    with grpc_receiver(*ALL) as grpc_port, http_receiver(*ALL) as http_port:
        over_grpc = only(examine(endpoint_reachable, f"http://127.0.0.1:{grpc_port}"))
        over_http = only(examine(endpoint_reachable, f"http://127.0.0.1:{http_port}", HTTP))

    assert (over_grpc.verdict, over_http.verdict) == (Verdict.OK, Verdict.OK)


def test_tls_towards_plain_text():
    """Of both protocols."""
    with grpc_receiver(*ALL) as grpc_port, http_receiver(*ALL) as http_port:
        over_grpc = only(examine(endpoint_tls, f"https://127.0.0.1:{grpc_port}"))
        over_http = only(examine(endpoint_tls, f"https://127.0.0.1:{http_port}", HTTP))

    for found in (over_grpc, over_http):
        assert found.verdict is Verdict.PROBLEM
        assert "speaks plain text, and the exporter TLS" in found.what
        assert "=http://127.0.0.1" in found.fix


def test_plain_text_towards_tls(server_context, credentials):
    """Of both protocols."""
    with grpc_receiver(*ALL, credentials=credentials) as grpc_port, http_receiver(*ALL, context=server_context) as port:
        over_grpc = only(examine(endpoint_tls, f"http://localhost:{grpc_port}"))
        over_http = only(examine(endpoint_tls, f"http://localhost:{port}", HTTP))

    for found in (over_grpc, over_http):
        assert found.verdict is Verdict.PROBLEM
        assert "speaks TLS, and the exporter plain text" in found.what
        assert "=https://localhost" in found.fix


def test_a_certificate_that_nobody_vouches_for_and_one_that_somebody_does(credentials, ca_file):
    """Whom to trust is said by OpenTelemetry's own variable."""
    with grpc_receiver(*ALL, credentials=credentials) as port:
        endpoint = f"https://localhost:{port}"
        distrusted = only(examine(endpoint_tls, endpoint))
        trusted = only(examine(endpoint_tls, endpoint, {"OTEL_EXPORTER_OTLP_CERTIFICATE": ca_file}))
        taken = examine(endpoint_signals, endpoint, {"OTEL_EXPORTER_OTLP_CERTIFICATE": ca_file})
        unreadable = only(examine(endpoint_tls, endpoint, {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere.pem"}))

    assert distrusted.verdict is Verdict.PROBLEM
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in distrusted.fix
    assert trusted.verdict is Verdict.OK
    assert [one.verdict for one in taken] == [Verdict.OK] * 3
    assert unreadable.verdict is Verdict.PROBLEM


def test_each_protocol_where_the_other_is_spoken():
    """Whatever the port: it is asked."""
    with grpc_receiver(*ALL) as grpc_port, http_receiver(*ALL) as http_port:
        to_http = only(examine(endpoint_protocol, f"http://127.0.0.1:{http_port}"))
        to_grpc = only(examine(endpoint_protocol, f"http://127.0.0.1:{grpc_port}", HTTP))
        right = only(examine(endpoint_protocol, f"http://127.0.0.1:{grpc_port}"))

    assert (to_http.verdict, to_grpc.verdict, right.verdict) == (Verdict.PROBLEM, Verdict.PROBLEM, Verdict.OK)
    assert "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in to_http.fix
    assert "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in to_grpc.fix


@pytest.mark.parametrize(("environment", "port"), [({}, 4318), (HTTP, 4317)])
def test_the_usual_port_of_the_other_protocol_is_told_of_a_host_that_is_away(environment, port):
    """Where nobody can be asked, the number speaks."""
    found = only(examine(endpoint_protocol, f"http://collector.invalid:{port}", environment))

    assert found.verdict is Verdict.PROBLEM
    assert f"port {port}" in found.what


def test_a_protocol_that_the_sdk_does_not_have():
    """OpenTelemetry would not start at all."""
    found = only(examine(endpoint_protocol, "", {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}))

    assert found.verdict is Verdict.PROBLEM
    assert "'http/json' (OTEL_EXPORTER_OTLP_PROTOCOL)" in found.what


def test_a_receiver_without_a_pipeline_for_logs():
    """UNIMPLEMENTED, or 404: and sketches are logs."""
    with grpc_receiver("traces", "metrics") as grpc_port, http_receiver("traces", "metrics") as http_port:
        over_grpc = examine(endpoint_signals, f"http://127.0.0.1:{grpc_port}")
        over_http = examine(endpoint_signals, f"http://127.0.0.1:{http_port}", HTTP)

    for found in (over_grpc, over_http):
        assert [one.verdict for one in found] == [Verdict.OK, Verdict.OK, Verdict.PROBLEM]
        assert "takes no logs" in found[2].what
        assert "without them there is no drift" in found[2].why
        assert "OTEL_LOGS_EXPORTER=none" in found[2].fix


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "does not let us in"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too large, or has no room"),
        (grpc.StatusCode.INTERNAL, "INTERNAL [bold]who are you?"),
    ],
)
def test_a_receiver_that_takes_nothing_is_quoted(status, words):
    """With what it says, whatever that is."""
    with grpc_receiver(*ALL, answer=(status, "[bold]who are you?")) as port:
        found = examine(endpoint_signals, f"http://127.0.0.1:{port}")

    assert {one.verdict for one in found} == {Verdict.PROBLEM}
    assert words in found[0].what


def test_grpc_through_a_proxy_that_lets_nobody_through(monkeypatch):
    """Also where NO_PROXY is written in capitals, which gRPC does not read."""
    with grpc_receiver(*ALL) as port, refusing_proxy() as (proxy, asked):
        through = {"http_proxy": f"http://user:secret@127.0.0.1:{proxy}", "NO_PROXY": "127.0.0.1"}
        for name, value in through.items():
            monkeypatch.setenv(name, value)
        found = only(examine(http_proxy, f"http://127.0.0.1:{port}", through))

    assert found.verdict is Verdict.PROBLEM
    assert "(http_proxy)" in found.what
    assert "secret" not in found.what
    assert "in capitals" in found.what
    assert found.fix == "export no_proxy=127.0.0.1,127.0.0.1"
    assert asked == [f"127.0.0.1:{port}"]


def test_http_through_a_proxy_that_lets_nobody_through(monkeypatch):
    """Names in capitals count there."""
    with http_receiver(*ALL) as port, refusing_proxy() as (proxy, asked):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy}")
        environment = {**HTTP, "http_proxy": f"http://127.0.0.1:{proxy}"}
        found = only(examine(http_proxy, f"http://127.0.0.1:{port}", environment))

    assert found.verdict is Verdict.PROBLEM
    assert found.fix == "export NO_PROXY=127.0.0.1"
    assert asked


def test_what_is_excepted_from_the_proxy_goes_straight(monkeypatch):
    """As each of both decides it."""
    with grpc_receiver(*ALL) as port:
        over_grpc = examine(http_proxy, f"http://127.0.0.1:{port}", {"http_proxy": "http://x:1", "no_proxy": "0.0.1"})
    over_http = examine(http_proxy, "http://a.b:1", {**HTTP, "HTTP_PROXY": "http://x:1", "NO_PROXY": ".b"})
    capitals = examine(http_proxy, "http://a.b:1", {"HTTP_PROXY": "http://x:1"})

    assert {only(found).verdict for found in (over_grpc, over_http, capitals)} == {Verdict.OK}


@pytest.mark.parametrize(
    ("ahead_s", "verdict"),
    [(0, Verdict.OK), (-3600, Verdict.PROBLEM), (3600, Verdict.PROBLEM), (None, Verdict.UNKNOWN)],
)
def test_clocks_are_compared_by_the_date_of_an_answer(ahead_s, verdict):
    """Where there is one."""
    now = datetime.now(timezone.utc)
    with http_receiver(*ALL, date=None if ahead_s is None else now + timedelta(seconds=ahead_s)) as port:
        found = only(examine(clock, f"http://127.0.0.1:{port}", HTTP))

    assert found.verdict is verdict
    if verdict is Verdict.PROBLEM:
        assert ("behind" if ahead_s > 0 else "ahead of") in found.what


@pytest.mark.parametrize(
    "check", [clock, endpoint_protocol, endpoint_reachable, endpoint_scheme, endpoint_signals, endpoint_tls, http_proxy]
)
def test_where_nothing_is_exported_no_endpoint_is_judged(check):
    """That nothing is, another check tells."""
    assert only(examine(check, "http://127.0.0.1:1", OFF)).verdict is Verdict.UNKNOWN
