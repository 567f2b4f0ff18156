"""What a receiver's settings may say, and what is wrong with the rest."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from receiving import Authority

from collector_processor.receivers.settings import OtlpReceiverSettings
from collector_processor.security import BearerToken, is_loopback
from collector_processor.settings import Address
from collector_processor.validation import validate


def problems(protocols):
    """Every problem of these protocols, as a text."""
    found = []
    settings = validate(OtlpReceiverSettings, {"protocols": protocols}, ("receivers", "otlp"), found)
    return [str(problem) for problem in (found if settings is None else settings.problems(("receivers", "otlp")))]


def test_the_protocols_that_are_named_are_served():
    """As a Collector does, also with nothing behind the name; gRPC where there is no name at all."""
    read = OtlpReceiverSettings.model_validate
    nothing, empty = read({}), read({"protocols": {}})
    http = read({"protocols": {"http": None}})
    both = read({"protocols": {"grpc": {}, "http": {"endpoint": "127.0.0.1:1"}}})

    assert nothing == empty
    assert (nothing.protocols.grpc.endpoint, nothing.protocols.http) == (Address("127.0.0.1", 4317), None)
    assert (http.protocols.grpc, http.protocols.http.endpoint) == (None, Address("127.0.0.1", 4318))
    assert both.protocols.grpc is not None
    assert both.protocols.http.endpoint.port == 1


def test_an_unknown_protocol_is_a_problem():
    """With what was perhaps meant."""
    assert problems({"htp": {}}) == [
        "receivers::otlp::protocols::htp: unknown setting (valid settings: grpc, http); did you mean 'http'?"
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("model-host", False),
        ("localhost.example.org", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_only_what_is_certainly_loopback_is(host, expected):
    """A name may stand for anything."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_listening_beyond_this_machine_needs_tls_and_clients_that_are_known_or_a_word(protocol, tmp_path):
    """The problem names the place and the ways out."""
    authority = Authority(tmp_path)
    tls, auth = authority.issue(), {"bearer_token": "s3cret"}
    mutual = {**tls, "client_ca_file": str(authority.file)}

    def found(**settings):
        return problems({protocol: {"endpoint": "0.0.0.0:4317", **settings}})

    ways_out = "(tls with auth or client_ca_file; an address of loopback, such as 127.0.0.1; or allow_insecure: true)"
    where = f"receivers::otlp::protocols::{protocol}::endpoint: '0.0.0.0:4317' receives beyond this machine"
    assert found() == [f"{where} in plain text, from everybody {ways_out}"]
    assert found(auth=auth) == [f"{where} in plain text {ways_out}"]
    assert found(tls=tls) == [f"{where} without asking who sends {ways_out}"]
    assert found(allow_insecure=True) == found(tls=mutual) == found(tls=tls, auth=auth) == []


def test_files_of_certificates_are_read_before_anything_is_started(tmp_path):
    """One that is missing, a key of another certificate, no certificate at all: all of them are problems."""
    authority = Authority(tmp_path)
    first, second = authority.issue(into="first"), authority.issue(into="second")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    where = "receivers::otlp::protocols::grpc::tls"

    def found(**tls):
        return problems({"grpc": {"tls": tls}})

    missing = str(tmp_path / "missing")
    assert found(**first) == []
    assert found(cert_file=missing, key_file=missing) == [
        f"{where}::{name}: {missing!r} cannot be read: No such file or directory (a PEM file)"
        for name in ("cert_file", "key_file")
    ]
    (mismatch,) = found(cert_file=first["cert_file"], key_file=second["key_file"])
    assert "the key belongs to another certificate" in mismatch
    (wrong,) = found(cert_file=str(nonsense), key_file=first["key_file"])
    assert wrong.startswith(f"{where}: ")
    (authorities,) = found(**first, client_ca_file=str(nonsense))
    assert authorities.startswith(f"{where}::client_ca_file: ")


def test_a_key_with_a_password_is_a_problem_and_no_question(tmp_path):
    """OpenSSL would ask for it on the terminal."""
    tls = Authority(tmp_path).issue()
    key = serialization.load_pem_private_key(Path(tls["key_file"]).read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"password")
    Path(tls["key_file"]).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )

    (found,) = problems({"http": {"tls": tls}})
    assert "its key needs a password" in found


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({}, "is not clear (either bearer_token or bearer_token_file)"),
        (
            {"bearer_token": "s3cret", "bearer_token_file": "x"},
            "is not clear (either bearer_token or bearer_token_file)",
        ),
        ({"bearer_token": 53372731}, "is no text"),
        ({"bearer_token": ["s3cret"]}, "is no text"),
        ({"bearer_token": ""}, "is empty (a token)"),
        ({"bearer_token": "s3cret s3cret"}, "is no token"),
        ({"bearer_token": "s3cret\n"}, "is no token"),
        ("s3cret", "is no mapping"),
        ({"token": "s3cret"}, "unknown setting"),
        ({"bearer_token_file": "/nonexistent/file"}, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_token_is_told_without_the_token(auth, message):
    """Neither a message nor a repr shows it."""
    found = problems({"grpc": {"auth": auth}})

    assert any(message in problem for problem in found), found
    assert not any("s3cret" in problem or "53372731" in problem for problem in found)


def test_settings_do_not_show_the_token():
    """Not in a repr, which ends up in logs."""
    settings = OtlpReceiverSettings.model_validate({"protocols": {"grpc": {"auth": {"bearer_token": "s3cret"}}}})

    assert "s3cret" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("given", "admitted"),
    [
        ("Bearer s3cret", True),
        (b"bearer  s3cret", True),
        ("Bearer s3cret2", False),
        ("Bearer ", False),
        ("s3cret", False),
        ("Basic s3cret", False),
        ("Bearer \udcff", False),
        (b"Bearer \xff", False),
        (None, False),
    ],
)
def test_only_the_token_is_admitted(given, admitted):
    """The scheme in any case, the token exactly."""
    token = BearerToken("s3cret")

    assert token.admits(given) is admitted
    assert "s3cret" not in repr(token)
