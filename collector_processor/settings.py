"""What every component's settings are made of: an immutable model that knows all its fields, durations, endpoints."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, PlainValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SCHEME = re.compile(r"^(https?)://(.*)$")


class Settings(BaseModel):
    """Settings of a component: what is not listed is an error, and nothing changes after start."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def parse_duration(value: object) -> float:
    """Seconds of a duration such as "5m", "1h30m" or "250ms".

    Raises:
        ValueError: It is something else.
    """
    if value in (0, "0"):
        return 0.0
    if isinstance(value, str):
        text = value.strip()
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    raise ValueError(f'{value!r} is not a duration (a number with a unit, such as "5m", "30s" or "250ms")')


def _positive_duration(value: object) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f'{value!r} is not a duration above zero (such as "5m", "30s" or "250ms")')
    return seconds


Duration = Annotated[float, PlainValidator(parse_duration)]
PositiveDuration = Annotated[float, PlainValidator(_positive_duration)]


class Address(NamedTuple):
    """Where to listen or to connect to.

    Attributes:
        host: Without the brackets of an IPv6 address.
        port: 0 lets the system choose a port to listen on.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """The address written as "host:port".

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        host, separator, port = value.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        is_plain = host and not re.search(r"[\s/@]", host) and (bracketed or ":" not in host)
        if separator and is_plain and port.isascii() and port.isdigit() and int(port) <= 65_535:
            return Address(host, int(port))
    raise ValueError(f'{value!r} is not an address ("host:port", port 0 to 65535; an IPv6 host in brackets)')


class Target(NamedTuple):
    """A backend: where it is, whether the endpoint named a scheme, and the path in front of the signal's own."""

    address: Address
    scheme: str | None
    path: str


def parse_target(value: object) -> Target:
    """The target written as "host:port" or as a URL.

    Raises:
        ValueError: It is something else, or has port 0.
    """
    if isinstance(value, Target):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not an endpoint ("host:port" or "http://host:port")')  # noqa: TRY004 - pydantic expects ValueError
    matched = _SCHEME.match(value.strip())
    scheme, rest = (matched[1], matched[2]) if matched else (None, value.strip())
    authority, slash, path = rest.partition("/")
    if scheme and ":" not in authority.rpartition("]")[2]:
        authority += ":443" if scheme == "https" else ":80"
    try:
        address = parse_address(authority)
    except ValueError:
        address = Address("", 0)
    if not address.port:
        raise ValueError(f'{value!r} is not an endpoint ("host:port" or "http://host:port", port 1 to 65535)')
    return Target(address, scheme, (slash + path).rstrip("/"))


Listen = Annotated[Address, PlainValidator(parse_address)]
Endpoint = Annotated[Target, PlainValidator(parse_target)]
