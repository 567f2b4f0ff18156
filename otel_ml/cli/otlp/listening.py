"""What listens at an address: found out by asking, not from the number of the port."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS: Final = 4
_ENOUGH: Final = 16 * 1024
# The first answer decides: whoever takes longer than this to say anything says nothing.
_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Listening:
    """What an address was found to be.

    Attributes:
        trouble: Why there is no connection: "dns", "refused", "timeout", "unreachable"; empty when there is one.
        detail: What the system said about it.
        is_encrypted: Whether it speaks TLS.
        http1: Whether it speaks HTTP/1.1, what OTLP/HTTP needs.
        http2: Whether it speaks HTTP/2, what gRPC needs.
        distrust: Why its certificate is not believed; empty when it is, or there is none.
        date: What time it says it is, by the Date of an HTTP answer, if it gave one.
        asked_unix_s: What time it was here then.
    """

    trouble: str = ""
    detail: str = ""
    is_encrypted: bool = False
    http1: bool = False
    http2: bool = False
    distrust: str = ""
    date: datetime | None = None
    asked_unix_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether it takes connections and says nothing that we understand."""
        return not (self.trouble or self.http1 or self.http2)


def ask(host: str, port: int, timeout_s: float, *, certificate: str | None = None) -> Listening:
    """What listens at an address.

    Args:
        host: A name or an address.
        port: Of TCP.
        timeout_s: For each of a few connections.
        certificate: PEM file of whom to trust, instead of whom the system trusts.
    """
    try:
        with socket.create_connection((host, port), timeout_s):
            pass
    except socket.gaierror as error:
        return Listening("dns", error.strerror or str(error))
    except UnicodeError:
        return Listening("dns", "is no name of a host")
    except ConnectionRefusedError as error:
        return Listening("refused", error.strerror or str(error))
    except TimeoutError:
        return Listening("timeout", f"no answer within {timeout_s:g} s")
    except OSError as error:
        return Listening("unreachable", error.strerror or str(error))
    patience_s = min(timeout_s, _PATIENCE_S)
    chosen = _negotiated(host, port, patience_s, ["h2"])
    if chosen is not None or _negotiated(host, port, patience_s, ["http/1.1"]) is not None:
        return _encrypted(host, port, patience_s, certificate, is_h2=chosen == "h2")
    with suppress(OSError), _connected(host, port, patience_s) as plain:
        answer = _answer(plain, host, port)
        http2 = _is_settings(answer) or _takes_preface(host, port, patience_s)
        return Listening(http1=answer.startswith(b"HTTP/1"), http2=http2, date=_date(answer), asked_unix_s=time.time())
    return Listening()


def _encrypted(host: str, port: int, timeout_s: float, certificate: str | None, *, is_h2: bool) -> Listening:
    answer = b""
    with suppress(OSError), _handshake(_lenient(["http/1.1"]), host, port, timeout_s) as encrypted:
        answer = _answer(encrypted, host, port)
    return Listening(
        is_encrypted=True,
        http1=answer.startswith(b"HTTP/1"),
        http2=is_h2,
        distrust=_distrust(host, port, timeout_s, certificate),
        date=_date(answer),
        asked_unix_s=time.time(),
    )


def _negotiated(host: str, port: int, timeout_s: float, protocols: list[str]) -> str | None:
    """What TLS agreed on of these protocols, "" for none of them; None where there is no TLS."""
    try:
        with _handshake(_lenient(protocols), host, port, timeout_s) as encrypted:
            return encrypted.selected_alpn_protocol() or ""
    except OSError:
        return None


def _distrust(host: str, port: int, timeout_s: float, certificate: str | None) -> str:
    try:
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with _handshake(context, host, port, timeout_s):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError) as error:
        return str(error)


def _lenient(protocols: list[str]) -> ssl.SSLContext:
    # Nothing secret is sent: this only looks who is there. Whether to believe it is asked separately.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    return context


def _handshake(context: ssl.SSLContext, host: str, port: int, timeout_s: float) -> ssl.SSLSocket:
    plain = _connected(host, port, timeout_s)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _connected(host: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((host, port), timeout_s)


def _answer(connection: socket.socket, host: str, port: int) -> bytes:
    """The first of what comes back for an HTTP request; empty for nothing."""
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    return _received(connection)


def _takes_preface(host: str, port: int, timeout_s: float) -> bool:
    with suppress(OSError), _connected(host, port, timeout_s) as connection:
        connection.sendall(_PREFACE)
        return _is_settings(_received(connection))
    return False


def _received(connection: socket.socket) -> bytes:
    received = b""
    with suppress(OSError):
        # Headers may come in pieces; frames of HTTP/2 have no such end, and the first is enough.
        while b"\r\n\r\n" not in received and len(received) < _ENOUGH:
            piece = connection.recv(4096)
            received += piece
            if not piece or _is_settings(received):
                break
    return received


def _is_settings(received: bytes) -> bool:
    """Whether a server of HTTP/2 began to speak: its first frame is always one of settings, on stream 0."""
    return len(received) >= 9 and received[3] == _SETTINGS and received[5:9] == bytes(4)


def _date(answer: bytes) -> datetime | None:
    """The Date of an HTTP answer."""
    for line in answer.partition(b"\r\n\r\n")[0].decode("latin-1").splitlines()[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "date":
            with suppress(ValueError, TypeError):
                return parsedate_to_datetime(value.strip())
    return None
