"""Starlette: the request around model calls.

Requests are not recorded themselves: an endpoint parses its body itself, and nobody but it knows what that gave. A
FastAPI application is a Starlette application too; whichever hook comes first takes the request.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.requests import asgi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.instrumentation.patch import ModulePatch


class StarletteInstrumentor(MLInstrumentor):
    """Gives model calls their request."""

    requires = ("starlette >= 0.37",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a request enters."""
        serving = functools.partial(asgi.serving, where="starlette hook", instrumentor=StarletteInstrumentor)
        return (Patch("starlette.applications", "Starlette.__call__", serving),)
