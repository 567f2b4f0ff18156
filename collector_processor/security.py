"""Who may send: certificates and bearer tokens, checked before anything starts, and taken up when they are renewed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import grpc
from pydantic import SecretStr

from collector_processor.errors import Problem, StartError

_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_BEARER: Final = b"bearer "
_RENEWAL_S: Final = 10.0
_PASSWORD_NEEDED: Final = "its key needs a password"  # noqa: S105 - a message, no password


class TlsFiles(Protocol):
    """What names the files of a server."""

    @property
    def cert_file(self) -> str:
        """Our certificate, and what leads from it to a root."""
        ...

    @property
    def key_file(self) -> str:
        """Its key."""
        ...

    @property
    def client_ca_file(self) -> str | None:
        """Authorities of clients."""
        ...


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host that is listened on; of unknown names that is not certain."""
    name = host.lower().rstrip(".")
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Certificates(NamedTuple):
    """The files of a server's TLS."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None

    @classmethod
    def of(cls, settings: TlsFiles) -> Certificates:
        """The files that settings name."""
        client_ca = settings.client_ca_file
        return cls(Path(settings.cert_file), Path(settings.key_file), Path(client_ca) if client_ca else None)

    @property
    def version(self) -> tuple[tuple[int, int, int], ...]:
        """Changes whenever a file does.

        Raises:
            OSError: One is not there.
        """
        stats = [os.stat(path) for path in self if path is not None]  # noqa: PTH116 - the same, once a second
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def context(self) -> ssl.SSLContext:
        """What a server for these files is made of.

        Raises:
            OSError: A file cannot be read; as ssl.SSLError: it holds something else, or the key is another one's.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        if self.client_ca_file is not None:
            context.load_verify_locations(self.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def renew(self, context: ssl.SSLContext) -> None:
        """Make a context use what the files hold now, for new connections; unchanged where they cannot be used.

        Raises:
            OSError: They cannot.
        """
        # Authorities of clients add up in a context: one that is no longer trusted goes with a restart.
        self.context()
        context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        if self.client_ca_file is not None:
            context.load_verify_locations(self.client_ca_file)

    async def keep(self, context: ssl.SSLContext, version: object, failed: Callable[[Exception], None]) -> None:
        """Renew a context whenever the files are others than at `version`, until cancelled; what fails is told."""
        known = version
        while True:
            await asyncio.sleep(_RENEWAL_S)
            try:
                found = self.version
                if found != known:
                    self.renew(context)
                    known = found
            except (OSError, ValueError) as error:
                failed(error)

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files; what cannot be used is ignored, so that the old ones go on.

        Raises:
            StartError: The files cannot be used.
        """
        try:
            self.context()
            known = self.version
            initial = self._grpc_configuration()
        except (OSError, ValueError) as error:
            raise StartError(f"tls: {error} (PEM files of a certificate and its key)") from error

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            # Called at every handshake, in a thread of gRPC's; None keeps what there is.
            nonlocal known
            try:
                version = self.version
                if version == known:
                    return None
                self.context()
                configuration = self._grpc_configuration()
            except (OSError, ValueError):
                return None
            known = version
            return configuration

        return grpc.dynamic_ssl_server_credentials(
            initial,
            renewed,  # type: ignore[arg-type]  # None is allowed, and means no change
            require_client_authentication=self.client_ca_file is not None,
        )

    def _grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (self.key_file.read_bytes(), self.cert_file.read_bytes())
        roots = None if self.client_ca_file is None else self.client_ca_file.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], roots)


class BearerToken:
    """The token that clients have to send. Only its hash is kept here, so that no message or dump can tell it."""

    __slots__ = ("_hash",)

    def __init__(self, token: str) -> None:
        self._hash = hashlib.sha256(token.encode()).digest()

    def admits(self, authorization: bytes | str | None) -> bool:
        """Whether the value of an `authorization` header carries it; takes as long for every wrong one."""
        if authorization is None:
            return False
        given = authorization.encode("utf-8", "replace") if isinstance(authorization, str) else authorization
        if given[: len(_BEARER)].lower() != _BEARER:
            return False
        return hmac.compare_digest(hashlib.sha256(given[len(_BEARER) :].strip()).digest(), self._hash)


def read_token(token: SecretStr | None, file: str | None) -> str:
    """The token, given or in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is none, or one that no header can carry.
    """
    text = token.get_secret_value() if token is not None else Path(file or "").read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError("is empty (a token)")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("is no token (visible ASCII characters without spaces)")
    return text


def token_problems(token: SecretStr | None, file: str | None, path: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a token."""
    where = (*path, "bearer_token" if token is not None else "bearer_token_file")
    try:
        read_token(token, file)
    except UnicodeDecodeError:
        yield Problem(where, f"{file!r} is no token (visible ASCII characters without spaces)")
    except OSError as error:
        yield Problem(where, f"{file!r} cannot be read: {error.strerror or error} (a file that holds the token)")
    except ValueError as error:
        # Never the value: it is a secret even where it is a wrong one.
        yield Problem(where, str(error))


def certificate_problems(certificates: Certificates, path: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the files of a server's TLS."""
    is_readable = True
    for name, file in certificates._asdict().items():
        if file is not None:
            try:
                file.read_bytes()
            except OSError as error:
                is_readable = False
                yield Problem((*path, name), f"{str(file)!r} cannot be read: {error.strerror} (a PEM file)")
    if not is_readable:
        return
    pair = f"{str(certificates.cert_file)!r} and {str(certificates.key_file)!r}"
    try:
        certificates._replace(client_ca_file=None).context()
    except (ssl.SSLError, ValueError) as error:
        reason = {"KEY_VALUES_MISMATCH": "the key belongs to another certificate"}.get(
            getattr(error, "reason", None) or "", _reason(error)
        )
        yield Problem(path, f"{pair} cannot be used: {reason} (PEM files of a certificate and its key)")
    if certificates.client_ca_file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificates.client_ca_file)
        except (ssl.SSLError, ValueError) as error:
            what = f"{str(certificates.client_ca_file)!r} cannot be used: {_reason(error)}"
            yield Problem((*path, "client_ca_file"), f"{what} (PEM certificates of authorities)")


def _no_password() -> str:
    # OpenSSL would ask on the terminal, and wait for ever.
    raise ValueError(_PASSWORD_NEEDED)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return (
        str(reason).lower().replace("_", " ") if reason else (str(error.args[-1]) if error.args else "no certificate")
    )
