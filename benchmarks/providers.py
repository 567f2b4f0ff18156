"""OpenTelemetry's SDK, as `opentelemetry-instrument` sets it up."""

from __future__ import annotations


def set_providers(*, tracing: bool) -> None:
    """Batches over OTLP/gRPC, to OTEL_EXPORTER_OTLP_ENDPOINT."""
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(insecure=True)))
    _logs.set_logger_provider(logs)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(insecure=True), export_interval_millis=10_000)
    metrics.set_meter_provider(MeterProvider([reader]))
    if tracing:
        spans = TracerProvider()
        spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
        trace.set_tracer_provider(spans)
