"""Traces that pass through the processor, in a real Jaeger."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from peers.running import ask, until

pytestmark = pytest.mark.slow


def test_a_trace_comes_out_as_it_went_in(peers):
    """Spans, their parents and attributes, sent by the SDK and read back by Jaeger's API."""
    jaeger = peers.jaeger()
    processor = peers.processor(exporters={"otlp_grpc": {"endpoint": jaeger.url}})
    provider = TracerProvider(resource=Resource({"service.name": "model-server"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=processor.url, insecure=True)))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("POST /predict") as server:
        for number in range(3):
            with tracer.start_as_current_span("predict fraud", attributes={"ml.model.name": "fraud", "row": number}):
                pass
    provider.shutdown()
    trace = f"{server.get_span_context().trace_id:032x}"
    url = f"{jaeger.query}/api/traces"
    found = until(
        lambda: next((one for one in ask(url, service="model-server")["data"] if len(one["spans"]) == 4), None)
    )

    assert found["traceID"] == trace
    spans = {span["spanID"]: span for span in found["spans"]}
    root = f"{server.get_span_context().span_id:016x}"
    children = [span for identity, span in spans.items() if identity != root]
    assert spans[root]["operationName"] == "POST /predict"
    assert {span["references"][0]["spanID"] for span in children} == {root}
    assert sorted(tag["value"] for span in children for tag in span["tags"] if tag["key"] == "row") == [0, 1, 2]
