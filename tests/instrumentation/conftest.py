"""What tests of instrumentation share: what was handed to the recorder, and instrumentors that are always undone."""

import pytest

from otel_ml.config import Settings
from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.instrumentation.servers.fastapi import FastAPIInstrumentor
from otel_ml.recording import guard
from otel_ml.recording.inference import Inference
from otel_ml.recording.recorder import get_recorder


@pytest.fixture
def recorded(monkeypatch):
    """Every Inference handed over, in order, in place of the queue; no failure of ours may have happened."""
    inferences = []
    recorder = get_recorder()
    monkeypatch.setattr(recorder, "settings", Settings())
    monkeypatch.setattr(recorder, "enabled", True)
    monkeypatch.setattr(recorder, "submit", lambda inference: inferences.append(Inference(*inference)))
    guard.reset()
    yield inferences
    assert guard.failures() == {}
    guard.reset()


@pytest.fixture
def sklearn_instrumented():
    """scikit-learn instrumented for one test."""
    SklearnInstrumentor().instrument(skip_dep_check=True)
    yield
    if SklearnInstrumentor().is_instrumented_by_opentelemetry:
        SklearnInstrumentor().uninstrument()


@pytest.fixture
def fastapi_instrumented():
    """FastAPI instrumented for one test."""
    FastAPIInstrumentor().instrument(skip_dep_check=True)
    yield
    if FastAPIInstrumentor().is_instrumented_by_opentelemetry:
        FastAPIInstrumentor().uninstrument()
