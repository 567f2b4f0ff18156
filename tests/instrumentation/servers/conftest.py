"""What tests of servers share."""

import signal

import pytest

from otel_ml.instrumentation.servers.grpc import GrpcInstrumentor
from otel_ml.recording.recorder import get_recorder


@pytest.fixture
def grpc_instrumented(sklearn_instrumented):
    """gRPC and scikit-learn instrumented for one test, and the signal's handler given back."""
    before = signal.getsignal(signal.SIGTERM)
    GrpcInstrumentor().instrument(skip_dep_check=True)
    yield
    if GrpcInstrumentor().is_instrumented_by_opentelemetry:
        GrpcInstrumentor().uninstrument()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def ids_wanted(recorded, monkeypatch):
    """As with OTEL_PYTHON_ML_CAPTURE_EVENTS=events: only events carry ids."""
    monkeypatch.setattr(get_recorder(), "wants_span_context", True)
