"""What a backend says it did not keep of a request that it took."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector_processor.component import Signal


def rejected_items(signal: Signal, response: bytes) -> int:
    """How many items partial success says were rejected; 0 when the response cannot be read: the request was taken."""
    if not response:
        return 0
    try:
        if signal is Signal.TRACES:
            return ExportTraceServiceResponse.FromString(response).partial_success.rejected_spans
        if signal is Signal.METRICS:
            return ExportMetricsServiceResponse.FromString(response).partial_success.rejected_data_points
        return ExportLogsServiceResponse.FromString(response).partial_success.rejected_log_records
    except DecodeError:
        return 0
