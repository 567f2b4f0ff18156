"""Switching everything on and off with one call, for programs not started by `opentelemetry-instrument`."""

from __future__ import annotations

from typing import Any

from otel_ml.config import Settings
from otel_ml.instrumentation import instrument_all, uninstrument_all
from otel_ml.recording.recorder import get_recorder


def instrument(**settings: Any) -> None:
    """Record every model call of the frameworks that are installed; calling it again changes the settings.

    OpenTelemetry itself is set up by you, before or after: this only adds to your providers.

    Args:
        settings: Fields of `otel_ml.config.Settings`, such as `model_name`, `baselines`, `export_interval_ms`,
            `capture_events`; they win over the OTEL_PYTHON_ML_* variables.

    Raises:
        ConfigurationError: A setting has an unknown name or a wrong value; nothing was changed.
    """
    chosen = Settings.from_environment(**settings)
    get_recorder().configure(chosen)
    instrument_all(chosen)


def uninstrument() -> None:
    """Put every original object back, emit what was recorded, and record nothing more until `instrument()`."""
    uninstrument_all()
    recorder = get_recorder()
    recorder.shutdown()
    recorder.detach()
