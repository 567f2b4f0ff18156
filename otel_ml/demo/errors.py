"""Why a demo can end without its story."""

from __future__ import annotations

from otel_ml.errors import OtelMLError


class DemoError(OtelMLError):
    """The demo cannot go on; says which part failed and, where there is one, what its log ended with."""
