"""What is wrong with an exporter's settings is found before anything starts."""

import pytest
import trustme

from collector_processor.exporters.settings import OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.validation import validate


@pytest.fixture
def files(tmp_path):
    """PEM files: two pairs, and some that are none."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("a", "b"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    (tmp_path / "junk.pem").write_text("junk")
    (tmp_path / "encrypted.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    return tmp_path


def problems(model=OtlpGrpcSettings, **settings):
    found = []
    validate(model, {"endpoint": "backend:4317", **settings}, ("exporters", "otlp"), found)
    return [str(problem) for problem in found]


def test_files_that_load_are_no_problem(files):
    """Both sides of a connection, or one."""
    both = {"ca_file": str(files / "ca.pem"), "cert_file": str(files / "a.pem"), "key_file": str(files / "a.key")}

    assert problems(tls=both) == []
    assert problems(tls={"ca_file": both["ca_file"]}) == []
    assert problems(OtlpHttpSettings, endpoint="https://backend", tls=both) == []


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({"ca_file": "none.pem"}, "tls: ca_file '{}none.pem': No such file or directory (certificates in a PEM file)"),
        ({"ca_file": "junk.pem"}, "tls: ca_file '{}junk.pem': "),
        ({"cert_file": "a.pem"}, "tls: cert_file is of no use without key_file (both, or neither)"),
        ({"key_file": "a.key"}, "tls: key_file is of no use without cert_file (both, or neither)"),
        ({"cert_file": "a.pem", "key_file": "none"}, "tls: key_file '{}none': No such file or directory (a PEM file)"),
        ({"cert_file": "none", "key_file": "a.key"}, "tls: cert_file '{}none': No such file or directory (a PEM file)"),
        ({"cert_file": "a.pem", "key_file": "b.key"}, "tls: cert_file '{}a.pem', key_file '{}b.key': "),
        ({"cert_file": "a.pem", "key_file": "encrypted.key"}, "(PEM files of a certificate and of its key, not enc"),
        ({"insecure": True, "ca_file": "ca.pem"}, "tls: insecure is true, so no certificate would be used"),
    ],
)
def test_files_that_do_not_load_are_named(files, tls, expected):
    """With what is wrong, not on the first request but at start."""
    named = {name: str(files / value) if isinstance(value, str) else value for name, value in tls.items()}

    (problem,) = problems(tls=named)

    assert expected.replace("{}", f"{files}/") in problem
    assert problem.startswith("exporters::otlp::tls: ")


def test_certificates_for_plain_text_are_a_mistake(files):
    """Somebody believes that this connection is encrypted."""
    (problem,) = problems(endpoint="http://backend:4317", tls={"ca_file": str(files / "ca.pem")})

    assert "endpoint 'http://backend:4317' is plain text, so no certificate would be used" in problem


@pytest.mark.parametrize("name", ["queue_size", "queue_size_mib"])
def test_a_size_of_the_queue_is_told_where_it_belongs(name):
    """As in a Collector's configuration; here the log is the queue."""
    (problem,) = problems(sending_queue={name: 1000})

    assert problem == (
        f"exporters::otlp::sending_queue: {name!r} is no setting: the log is the queue"
        " (store::log::max_size_mib bounds it)"
    )


def test_keepalive_is_of_grpc_alone():
    """HTTP has a timeout for each request."""
    assert problems(keepalive={"time": "1m", "timeout": "5s"}) == []
    assert "unknown setting" in problems(OtlpHttpSettings, endpoint="http://a", keepalive={"time": "1m"})[0]
