"""One instrumentor per framework, switched on together here or one by one by `opentelemetry-instrument`."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_ml.config import Settings

_GROUP = "opentelemetry_instrumentor"


def instrument_all(settings: Settings) -> None:
    """Instrument every framework we know that is installed; those that are instrumented already stay as they are.

    Names in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS are left out, as `opentelemetry-instrument` leaves them out.
    """
    if not settings.enabled:
        return
    from otel_ml.instrumentation import identity  # noqa: PLC0415 - importing this package loads nothing

    identity.forget_all()  # names of models may have changed with the settings
    disabled = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    if "*" in disabled:
        return
    for entry_point in _ours():
        if entry_point.name not in disabled:
            instrumentor = _instrumentor(entry_point)
            if instrumentor is not None and not instrumentor.is_instrumented_by_opentelemetry:
                # Each checks for its framework itself, and silently.
                instrumentor.instrument(skip_dep_check=True)


def uninstrument_all() -> None:
    """Put every original object back, however instrumentation was switched on."""
    for entry_point in _ours():
        instrumentor = _instrumentor(entry_point)
        if instrumentor is not None and instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


def set_model(model: object, name: str, version: str = "") -> None:
    """Report this object (an estimator, a class, a FastAPI endpoint) under a name and version of your choosing."""
    from otel_ml.instrumentation import identity  # noqa: PLC0415 - importing this package loads nothing

    identity.set_model(model, name, version)


def _ours() -> list[EntryPoint]:
    """Our entry points, which are the only list of instrumentors there is."""
    return [point for point in entry_points(group=_GROUP) if point.value.startswith(f"{__name__}.")]


def _instrumentor(entry_point: EntryPoint) -> Any:
    from otel_ml.recording.guard import failed  # noqa: PLC0415 - importing this package loads nothing

    try:
        return entry_point.load()()
    except Exception as error:
        failed(f"loading {entry_point.name}", error)
        return None
