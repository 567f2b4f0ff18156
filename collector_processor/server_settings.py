"""What can be said about any server of ours: its address, certificates and tokens, and who may reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, SecretStr, model_validator

from collector_processor import security
from collector_processor.errors import Problem
from collector_processor.settings import Listen, Settings


class TlsSettings(Settings):
    """Certificates, in PEM files; TLS 1.2 or newer. Renewed files are taken up without a restart.

    Attributes:
        cert_file: Our certificate, and what leads from it to a root.
        key_file: Its key, without a password.
        client_ca_file: Clients need a certificate of one of these authorities (mutual TLS).
    """

    cert_file: str
    key_file: str
    client_ca_file: str | None = None


def _token(value: object) -> SecretStr:
    # pydantic's own messages would show what was given.
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError("is no text (a token; one that reads like a number has to stand in bearer_token_file)")  # noqa: TRY004 - pydantic expects ValueError
    return SecretStr(value)


Token = Annotated[SecretStr, PlainValidator(_token)]


class AuthSettings(Settings):
    """The token that clients have to send, as `authorization: Bearer <token>`; one of the two.

    Attributes:
        bearer_token: The token, best as `${env:NAME}`.
        bearer_token_file: A file that holds it.
    """

    bearer_token: Token | None = None
    bearer_token_file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            raise ValueError("is no mapping (bearer_token or bearer_token_file)")  # noqa: TRY004 - pydantic expects ValueError
        return raw

    @model_validator(mode="after")
    def _is_one(self) -> AuthSettings:
        if (self.bearer_token is None) == (self.bearer_token_file is None):
            raise ValueError("is not clear (either bearer_token or bearer_token_file)")
        return self


class ServerSettings(Settings):
    """What every protocol's server has.

    Attributes:
        endpoint: Where to listen.
        allow_insecure: Listen beyond this machine without TLS, or for everybody.
    """

    endpoint: Listen
    tls: TlsSettings | None = None
    auth: AuthSettings | None = None
    allow_insecure: bool = False


def server_problems(
    settings: ServerSettings,
    path: tuple[str, ...],
    *,
    does: str = "receives",
    unasked: str = "without asking who sends",
) -> Iterator[Problem]:
    """What is wrong with the certificates and the token of one server, or that anybody could reach it.

    Args:
        does: What it does for whoever reaches it.
        unasked: That it does so for everybody.
    """
    tls, auth = settings.tls, settings.auth
    if tls is not None:
        yield from security.certificate_problems(security.Certificates.of(tls), (*path, "tls"))
    if auth is not None:
        yield from security.token_problems(auth.bearer_token, auth.bearer_token_file, (*path, "auth"))
    if settings.allow_insecure or security.is_loopback(settings.endpoint.host):
        return
    is_known = auth is not None or (tls is not None and tls.client_ca_file is not None)
    if tls is not None and is_known:
        return
    missing = "in plain text" if tls is None else unasked
    if tls is None and not is_known:
        missing += ", from everybody" if does == "receives" else ", for everybody"
    yield Problem(
        (*path, "endpoint"),
        f"{str(settings.endpoint)!r} {does} beyond this machine {missing}"
        " (tls with auth or client_ca_file; an address of loopback, such as 127.0.0.1; or allow_insecure: true)",
    )
