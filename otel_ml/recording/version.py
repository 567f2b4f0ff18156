"""This distribution's version, for instrumentation scopes."""

from __future__ import annotations

import functools
from importlib import metadata


@functools.cache
def otel_ml_version() -> str:
    """The installed version; "0" for a source tree that was never installed."""
    try:
        return metadata.version("otel-ml")
    except metadata.PackageNotFoundError:
        return "0"
