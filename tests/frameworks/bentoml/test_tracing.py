"""Where BentoML's spans go: its own provider samples nothing, so that everything below would be lost."""

import pytest
from frameworks.bentoml import services
from opentelemetry import trace
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv
from otel_ml.instrumentation.servers.bentoml import BentoMLInstrumentor

# BentoML uses what newer versions of its requirements deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROW = {"row": {"width": 2.0, "height": 3.0}}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def ask(client, headers=None):
    answer = client.post("/predict", json=ROW, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def by_kind(spans):
    return {kind: [span for span in spans if span.kind is kind] for kind in SpanKind}


def exporting_provider(**options):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def test_the_request_and_its_inference_are_one_trace(telemetry, serve):
    """The caller's: the SERVER span continues it, and the inference is below."""
    ask(serve(services.Area), {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})

    kinds = by_kind(telemetry.spans())
    (server,) = kinds[SpanKind.SERVER]
    (inference,) = [span for span in kinds[SpanKind.INTERNAL] if semconv.MODEL_NAME in span.attributes]
    assert f"{server.context.trace_id:032x}" == TRACE_ID
    assert inference.parent == server.context


def test_a_provider_that_is_set_later_is_followed(telemetry, serve, monkeypatch):
    """In the service's own code, say, long after BentoML has asked for a tracer."""
    client = serve(services.Area)
    ask(client)
    provider, exporter = exporting_provider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    ask(client)

    assert len(by_kind(telemetry.spans())[SpanKind.SERVER]) == 1
    assert len(by_kind(exporter.get_finished_spans())[SpanKind.SERVER]) == 1


@pytest.mark.parametrize("provider", [None, trace.NoOpTracerProvider()], ids=["not_set", "no_op"])
def test_without_a_global_provider_bentoml_has_its_own(telemetry, serve, monkeypatch, provider):
    """And its request ids differ, as they always have."""
    client = serve(services.Area)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    ids = {ask(client).headers["x-bentoml-request-id"] for _ in range(3)}

    assert len(ids) == 3
    assert "0" * 16 not in ids
    assert telemetry.spans() == ()


def test_an_unsampled_request_is_served_and_counted(telemetry, serve, monkeypatch):
    """A sampler that drops the request: no span, but ids and rows as ever."""
    client = serve(services.Area)
    provider, exporter = exporting_provider(sampler=ALWAYS_OFF)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    ids = {ask(client).headers["x-bentoml-request-id"] for _ in range(3)}

    assert len(ids) == 3
    assert exporter.get_finished_spans() == ()
    assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 3


def test_a_disabled_sdk_leaves_bentoml_its_own(telemetry, serve, monkeypatch):
    """OTEL_SDK_DISABLED=true: its tracers give spans without ids of their own."""
    client = serve(services.Area)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(shutdown_on_exit=False))
    ids = {ask(client).headers["x-bentoml-request-id"] for _ in range(3)}

    assert len(ids) == 3


def test_contribs_starlette_instrumentation_does_not_double_spans(telemetry, serve):
    """Its SERVER span is the only one, and no message of the request has two spans."""
    ask(serve(services.Area))
    alone = sorted(span.name for span in telemetry.spans())
    telemetry.span_exporter.clear()
    StarletteInstrumentor().instrument()
    try:
        answer = ask(serve(services.Area))
    finally:
        StarletteInstrumentor().uninstrument()

    kinds = by_kind(telemetry.spans())
    (server,) = kinds[SpanKind.SERVER]
    (inference,) = [span for span in kinds[SpanKind.INTERNAL] if semconv.MODEL_NAME in span.attributes]
    assert sorted(span.name for span in telemetry.spans()) == alone
    assert inference.parent == server.context
    assert answer.headers["x-bentoml-request-id"] == f"{server.context.span_id:016x}"


def test_uninstrumented_bentoml_has_its_own_again(telemetry, serve):
    """Also in an application that was made before."""
    client = serve(services.Area)
    BentoMLInstrumentor().uninstrument()
    ask(client)

    assert by_kind(telemetry.spans())[SpanKind.SERVER] == []


@pytest.mark.slow
def test_tracing_that_is_configured_is_left_alone(sink):
    """SERVER spans go where BentoML was told to send them; the inference is sampled with them."""
    command = [BIN / "bentoml", "serve", "services:TracedByBentoML", "--port", PORT]
    environment = {**sink.environment, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "starlette"}
    with ServerProcess(command, environment, cwd=services.HERE, ready="/readyz") as server:
        assert server.post("/predict", ROW).status == 200
        server.stop()

    assert [span.name for span in sink.spans()] == ["predict LinearRegression"]
    assert sink.spans()[0].parent_span_id
