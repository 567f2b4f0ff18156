"""Drop-in OpenTelemetry for model servers.

Public names are loaded on first use: `import otel_ml` alone loads neither OpenTelemetry nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_ml.activation import instrument, uninstrument
    from otel_ml.baseline import Baseline
    from otel_ml.comparing import compare
    from otel_ml.instrumentation import set_model
    from otel_ml.instrumentation.models.torch import watch
    from otel_ml.instrumentation.requests.scope import current_prediction_id, set_segments
    from otel_ml.recording.record import flush, record, record_label

    __version__: str

__all__ = [
    "Baseline",
    "__version__",
    "compare",
    "current_prediction_id",
    "flush",
    "instrument",
    "record",
    "record_label",
    "set_model",
    "set_segments",
    "uninstrument",
    "watch",
]

_HOMES = {
    "Baseline": "otel_ml.baseline",
    "compare": "otel_ml.comparing",
    "current_prediction_id": "otel_ml.instrumentation.requests.scope",
    "flush": "otel_ml.recording.record",
    "instrument": "otel_ml.activation",
    "record": "otel_ml.recording.record",
    "record_label": "otel_ml.recording.record",
    "set_model": "otel_ml.instrumentation",
    "set_segments": "otel_ml.instrumentation.requests.scope",
    "uninstrument": "otel_ml.activation",
    "watch": "otel_ml.instrumentation.models.torch",
}


def __getattr__(name: str) -> Any:
    import importlib  # noqa: PLC0415 - a facade costs nothing until it is used

    if name == "__version__":
        from otel_ml.recording.version import otel_ml_version  # noqa: PLC0415 - the same

        value: Any = otel_ml_version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # from now on found without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
