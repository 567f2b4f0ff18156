"""Which proxy an exporter would go through, as gRPC and Python's HTTP clients each decide it."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.cli.otlp.destination import Destination

# gRPC's C++ core knows the names in lower case only.
_GRPC_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_EXCEPTIONS: Final = ("no_grpc_proxy", "no_proxy")


def proxy_of(destination: Destination, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable and the proxy through which exports to a destination go."""
    if destination.is_grpc:
        found = next(((name, environment[name]) for name in _GRPC_PROXIES if environment.get(name)), None)
        excepted = next((environment[name] for name in _GRPC_EXCEPTIONS if environment.get(name)), "")
        return None if found is None or _is_excepted(destination.host, excepted) else found
    scheme = "https" if destination.is_encrypted else "http"
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    found = next(((name, environment[name]) for name in names if environment.get(name)), None)
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    is_bypassed = urllib.request.proxy_bypass_environment(destination.host, {"no": excepted})  # type: ignore[attr-defined]
    return None if found is None or is_bypassed else found


def _is_excepted(host: str, excepted: str) -> bool:
    """As gRPC decides: by the end of the name, a star in front or not."""
    ends = (part.strip().removeprefix("*") for part in excepted.split(","))
    return any(end and host.lower().endswith(end.lower()) for end in ends)


def without_password(proxy: str) -> str:
    """A proxy's URL, fit to be shown."""
    scheme, separator, rest = proxy.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
