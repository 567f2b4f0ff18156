"""How often the token of the console may be guessed, and by whom."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

# Why it is as it is.
# - What is over a limit is refused, not delayed: a delay would hold connections, and there are 128. Nor is its token
#   looked at: a guesser who is told when it is right has not been slowed. So every limit locks somebody out, and the
#   question is whom.
# - An address (of IPv6 the /64, which is one customer's) may be wrong ten times at once, then once in six seconds.
#   Those behind one NAT share that; nobody elsewhere notices.
# - An address may be a proxy's. `x-forwarded-for` says whom it stands for, and can be made up. So it only divides:
#   each has ten, and all that one address names share sixty. From loopback, where proxies of this machine come from, it
#   is believed: else a stranger behind one could lock out all others. Whoever makes it up there meets the ceiling. Of
#   several the last counts, which the proxy has seen itself. A proxy that names nobody is one address.
# - All together may be wrong 300 times a minute. From then on only addresses pass that were not wrong for a minute: a
#   thousand addresses buy a thousand more guesses, and nobody else's first one.
# - Only so many are remembered. While all of these are, others wait unless they have shown the token before. It takes
#   2,048 addresses a minute to get there, and bounds what any number of them can guess.
# - The cookie of a session is 256 bits and has no limit: who is logged in stays so, and an old cookie is no guess. Nor
#   is a wrong token that was just tried: a script with the old one does not use up what its owner may mistype.
_MINUTE_S: Final = 60.0
_BY_CALLER_S: Final = _MINUTE_S / 10
_BY_ADDRESS_S: Final = _MINUTE_S / 60
_BY_ALL_S: Final = _MINUTE_S / 300
REMEMBERED: Final = 4096
_KNOWN: Final = 1024
_TRIED: Final = 3
# Sums of fractions are not exact.
_NOTHING_S: Final = 1e-6
_LOOPBACK: Final = "loopback"


class Caller(NamedTuple):
    """Whoever asks, as far as that can be told.

    Attributes:
        address: Nobody else can pretend to have it.
        name: What tells it from others with this address; may be made up.
    """

    address: str
    name: str = ""


class TooManyGuessesError(Exception):
    """The token is not looked at, right or wrong.

    Args:
        wait_s: Until then.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


def caller_of(peer: str | None, forwarded_for: str = "") -> Caller:
    """Who asks.

    Args:
        peer: The address at the other end of the connection.
        forwarded_for: The values of `x-forwarded-for`.
    """
    address = _network(peer or "") or "unknown"
    name = _network(forwarded_for.rpartition(",")[2].strip())
    if name is None:
        return Caller(address)
    return Caller(f"{_LOOPBACK} for {name}") if address == _LOOPBACK else Caller(address, name)


@dataclass(slots=True)
class _Wrong:
    """Wrong tokens that came from somewhere.

    Attributes:
        until: When all of what may be wrong is there again (a generic cell rate algorithm: one number stands for all).
        last: When the last of them came.
        tried: What the last of them were.
    """

    until: float = 0.0
    last: float = 0.0
    tried: tuple[bytes, ...] = ()


class Guesses:
    """Wrong tokens of the last minute.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._key = os.urandom(32)
        # The one that was wrong last stands at the end.
        self._wrong: OrderedDict[Caller | str, _Wrong] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._all_until = 0.0

    def __len__(self) -> int:
        """How much is remembered of those who were wrong."""
        return len(self._wrong)

    def check(self, caller: Caller) -> None:
        """Return where the caller's token may be looked at now.

        Raises:
            TooManyGuessesError: It may not.
        """
        wait_s = self._wait_s(caller)
        if wait_s > _NOTHING_S:
            raise TooManyGuessesError(wait_s)

    def was_right(self, caller: Caller) -> None:
        """Remember where somebody has shown the token."""
        self._known[caller.address] = None
        self._known.move_to_end(caller.address)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def was_wrong(self, caller: Caller, token: bytes) -> None:
        """Count a wrong token."""
        now = self._now()
        digest = hashlib.blake2b(token, key=self._key, digest_size=16).digest()
        before = self._wrong.get(caller)
        if before is not None and digest in before.tried:
            return
        for key, interval_s in ((caller, _BY_CALLER_S), (caller.address, _BY_ADDRESS_S)):
            wrong = self._wrong.setdefault(key, _Wrong())
            self._wrong.move_to_end(key)
            wrong.until, wrong.last = max(wrong.until, now) + interval_s, now
            wrong.tried = (*wrong.tried, digest)[-_TRIED:]
        self._all_until = max(self._all_until, now) + _BY_ALL_S

    def _wait_s(self, caller: Caller) -> float:
        now = self._now()
        self._forget(now)
        own, address = self._wrong.get(caller), self._wrong.get(caller.address)
        own_s = max(_left_s(own, _BY_CALLER_S, now), _left_s(address, _BY_ADDRESS_S, now))
        if own_s > _NOTHING_S:
            return own_s
        is_known = caller.address in self._known
        # Of those who are known there are few, and room is left for them.
        if own is None and len(self._wrong) + 2 > REMEMBERED * (2 if is_known else 1):
            return max(1.0, next(iter(self._wrong.values())).last + _MINUTE_S - now)
        if is_known or address is None:
            return 0.0
        return self._all_until - now - (_MINUTE_S - _BY_ALL_S)

    def _forget(self, now: float) -> None:
        while self._wrong:
            first = next(iter(self._wrong))
            if self._wrong[first].last + _MINUTE_S > now:
                break
            del self._wrong[first]


def _left_s(wrong: _Wrong | None, interval_s: float, now: float) -> float:
    """How long until one more may be wrong."""
    return 0.0 if wrong is None else wrong.until - now - (_MINUTE_S - interval_s)


def _network(text: str) -> str | None:
    """Whose address it is; None where it is none. A port may follow it."""
    for candidate in (text, text.rpartition(":")[0].strip("[]")):
        try:
            address = ipaddress.ip_address(candidate.partition("%")[0])
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback:
            return _LOOPBACK
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.IPv6Network((int(address), 64), strict=False))
        return str(address)
    return None
