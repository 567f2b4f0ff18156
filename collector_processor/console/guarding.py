"""Who may look, and what a page may load: headers, the token and the name by which the server was called."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from collector_processor.console.guesses import Caller, Guesses, TooManyGuessesError
from collector_processor.security import BearerToken, is_loopback

COOKIE: Final = "otel_ml_console"
COOKIE_AGE_S: Final = 7 * 86_400
WRONG_TOKEN: Final = "wrong_token"  # noqa: S105 - what is counted, no token
TOO_MANY_GUESSES: Final = "too_many_guesses"
_BEARER: Final = "bearer "

# A name or an address, and a port; nothing else that may stand before the path of an address.
_HOST: Final = re.compile(r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<plain>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

HEADERS: Final[Mapping[str, str]] = {
    # Nothing from elsewhere, nothing inline: a name in telemetry that is HTML stays a name.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Names of models stand in addresses, and links lead to trace backends.
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Gate:
    """Lets in who has the token, or everybody where there is none.

    Args:
        token: None where there is none.
        is_local: Only this machine reaches the server.
        refused: Called with a reason for each wrong token, and each that is not looked at.
    """

    def __init__(
        self,
        token: str | None,
        *,
        is_local: bool,
        refused: Callable[[str], None] = lambda _: None,
        guesses: Guesses | None = None,
    ) -> None:
        self._refused = refused
        self._guesses = Guesses() if guesses is None else guesses
        self._token = None if token is None else BearerToken(token)
        self._session = (
            "" if token is None else hmac.new(token.encode(), b"otel-ml console", hashlib.sha256).hexdigest()
        )
        self._is_local = is_local

    @property
    def asks(self) -> bool:
        """Whether there is a token to be known."""
        return self._token is not None

    def admits(self, headers: Mapping[str, str], caller: Caller) -> bool:
        """Whether a request shows that it knows the token, in a header or by the cookie that `session` gave.

        Raises:
            TooManyGuessesError: It has one in a header, and too many from there were wrong.
        """
        if self._token is None:
            return True
        if self._has_session(headers):
            self._guesses.was_right(caller)
            return True
        authorization = headers.get("authorization", "")
        # Of another scheme it is meant for a proxy, and no guess.
        return authorization[: len(_BEARER)].lower() == _BEARER and self._is_right(authorization.encode(), caller)

    def check(self, caller: Caller) -> None:
        """Return where a token of theirs would be looked at now.

        Raises:
            TooManyGuessesError: It would not: too many from there were wrong.
        """
        try:
            self._guesses.check(caller)
        except TooManyGuessesError:
            self._refused(TOO_MANY_GUESSES)
            raise

    def session(self, token: str, caller: Caller) -> str | None:
        """What a cookie holds for whoever knows the token; None for those who do not.

        Raises:
            TooManyGuessesError: Too many from there were wrong.
        """
        given = token.strip().encode()
        return self._session if given and self._is_right(_BEARER.encode() + given, caller) else None

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        # Not the standard library's parser: of all cookies it gives none where one, of another server of this
        # machine, is not as it should be.
        cookies = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        given = [value.strip('"') for name, _, value in cookies if name == COOKIE]
        return any(hmac.compare_digest(value.encode(), self._session.encode()) for value in given)

    def _is_right(self, authorization: bytes, caller: Caller) -> bool:
        """Whether the token is ours; between looking whether it may be asked and counting, nobody else's turn comes."""
        if self._token is None:
            return False
        self.check(caller)
        if self._token.admits(authorization):
            self._guesses.was_right(caller)
            return True
        self._guesses.was_wrong(caller, authorization[len(_BEARER) :].strip())
        self._refused(WRONG_TOKEN)
        return False

    def knows_host(self, host: str) -> bool:
        """Whether we are meant: a page of another site, whose name was made to lead here, must not read these.

        With a token that is no question, for its cookie goes to the name that it was given under.
        """
        if self.asks or not self._is_local:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["bracketed"] or found["plain"]).lower()
        return is_loopback(name) or name.rstrip(".").endswith(".localhost")


def local_path(wanted: str) -> str:
    """Where to go after logging in: a page of ours, whatever the address said."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    if not is_ours:
        return "/"
    return quote(wanted, safe="/?&=%+:;,.-_~!*'()@$")
