"""Starlette: the request around model calls.

Requests are not recorded themselves: an endpoint parses its body itself, and nobody but it knows what that gave. A
FastAPI application is a Starlette application too: one hook serves both, for as long as either is instrumented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.requests import asgi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.instrumentation.patch import ModulePatch, Patch


class StarletteInstrumentor(MLInstrumentor):
    """Gives model calls their request."""

    requires = ("starlette >= 0.37",)
    shared = (*MLInstrumentor.shared, asgi.applications)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """None of its own: where a request enters is shared with FastAPI."""
        return ()
