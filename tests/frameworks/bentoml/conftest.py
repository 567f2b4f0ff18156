"""What the tests of BentoML share: an instrumented process that serves in itself."""

import contextlib
import warnings

import pytest
from contracts.instrumentation import instrumented
from otlp_sink import OtlpSink

from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.instrumentation.servers.bentoml import BentoMLInstrumentor
from otel_ml.testing import captured_telemetry

with warnings.catch_warnings():
    # BentoML uses what newer versions of its requirements deprecate; Starlette would like another HTTP client.
    warnings.simplefilter("ignore")
    from _bentoml_impl.tasks.result import Sqlite3Store
    from bentoml._internal.configuration.containers import BentoMLContainer
    from frameworks.bentoml import services  # noqa: F401 - imports BentoML for all tests
    from starlette.testclient import TestClient


@pytest.fixture
def telemetry():
    """Of this process, where BentoML and scikit-learn are instrumented."""
    with (
        instrumented(BentoMLInstrumentor),
        instrumented(SklearnInstrumentor),
        captured_telemetry(capture_events=True) as captured,
    ):
        yield captured


@pytest.fixture
def sink():
    """A collector."""
    with OtlpSink() as sink:
        yield sink


@pytest.fixture
def serve():
    """Serves a service in this process, as `bentoml serve` serves it in a worker."""
    # Its leader does so before it starts workers; on a machine where it was never run there is no table of tasks.
    Sqlite3Store.init_db(BentoMLContainer.result_store_file.get())
    with contextlib.ExitStack() as stack:
        yield lambda service: stack.enter_context(TestClient(service.to_asgi(), raise_server_exceptions=False))
