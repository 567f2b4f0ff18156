"""A real OTLP/gRPC server on a loopback port that keeps what it is sent, for any test that needs a collector.

    with OtlpSink() as sink:
        run_server(env=sink.environment)
        sink.wait_for(lambda: sink.log_records("ml.sketch.snapshot"))

It can also be a bad collector: `fail_with(code)`, `hang()`, `refuse()`, and `recover()` to be good again.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

RETRY_INFO_TRAILER = "google.rpc.retryinfo-bin"
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class OtlpSink:
    """Receives traces, metrics and logs, and keeps every export request in order of arrival.

    Attributes:
        traces: The `ExportTraceServiceRequest`s received while answering OK.
        metrics: The `ExportMetricsServiceRequest`s, likewise.
        logs: The `ExportLogsServiceRequest`s, likewise.
        calls: How many calls arrived, whatever they were answered.
        metadata: The gRPC metadata of every call, in order of arrival.
    """

    def __init__(self, port=0):
        self.traces = []
        self.metrics = []
        self.logs = []
        self.calls = 0
        self.metadata = []
        self._port = port
        self._server = None
        self._changed = threading.Condition()
        self._failure = None
        self._hanging = False

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self.close()

    # --- where it listens ---------------------------------------------------------------------------------------

    @property
    def endpoint(self):
        """The URL to export to; stays the same while refusing and after recovering."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self):
        """The OTEL_* variables that point a process of its own at this sink."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
        }

    # --- how it behaves -----------------------------------------------------------------------------------------

    def fail_with(self, code, retry_after_s=None):
        """Answer every call with this `grpc.StatusCode`, with RetryInfo if a delay is given."""
        with self._changed:
            self._failure = (code, retry_after_s)
            self._hanging = False
            self._changed.notify_all()

    def hang(self):
        """Accept every call and answer none until `recover()`, `fail_with()` or the caller's deadline."""
        with self._changed:
            self._hanging = True

    def refuse(self):
        """Stop listening: connections are refused until `recover()`."""
        self._stop()

    def recover(self):
        """Answer OK again, on the same port."""
        with self._changed:
            self._failure = None
            self._hanging = False
            self._changed.notify_all()
        if self._server is None:
            self._start()

    def clear(self):
        """Forget what was received."""
        with self._changed:
            self.traces.clear()
            self.metrics.clear()
            self.logs.clear()
            self.metadata.clear()
            self.calls = 0

    def close(self):
        """Stop for good."""
        self.recover_waiting_calls()
        self._stop()

    def recover_waiting_calls(self):
        """Let calls that hang return, so that stopping does not wait for them."""
        with self._changed:
            self._hanging = False
            self._changed.notify_all()

    # --- what it received ---------------------------------------------------------------------------------------

    def spans(self, name=None):
        """Every span received, or those of this name."""
        return [
            span
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if name is None or span.name == name
        ]

    def log_records(self, event_name=None):
        """Every log record received, or the events of this name."""
        return [
            record
            for request in list(self.logs)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
            if event_name is None or record.event_name == event_name
        ]

    def metrics_named(self, name=None):
        """Every `Metric` message received, or those of this name; one a metric and export."""
        return [
            metric
            for request in list(self.metrics)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if name is None or metric.name == name
        ]

    def resources(self):
        """The attributes of every resource received with any signal, as dictionaries."""
        batches = (
            [resource for request in list(self.traces) for resource in request.resource_spans]
            + [resource for request in list(self.metrics) for resource in request.resource_metrics]
            + [resource for request in list(self.logs) for resource in request.resource_logs]
        )
        return [attributes(batch.resource) for batch in batches]

    def wait_for(self, condition, timeout_s=20.0):
        """Return what `condition()` gives once it is true; AssertionError, saying what was received, if it never is."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = condition()
                if found:
                    return found
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise AssertionError(f"not received within {timeout_s} s; {self!r}")
                # Some conditions look at more than this sink: look again now and then.
                self._changed.wait(min(remaining, 0.1))

    def __repr__(self):
        names = sorted({span.name for span in self.spans()})
        events = sorted({record.event_name for record in self.log_records()})
        metrics = sorted({metric.name for metric in self.metrics_named()})
        return f"<OtlpSink {self.endpoint}: {self.calls} calls, spans {names}, events {events}, metrics {metrics}>"

    # --- serving ------------------------------------------------------------------------------------------------

    def _start(self):
        server = grpc.server(
            ThreadPoolExecutor(max_workers=16, thread_name_prefix="otlp-sink"),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
            ],
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(
            _Servicer(self, self.traces, trace_service_pb2.ExportTraceServiceResponse), server
        )
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
            _Servicer(self, self.metrics, metrics_service_pb2.ExportMetricsServiceResponse), server
        )
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
            _Servicer(self, self.logs, logs_service_pb2.ExportLogsServiceResponse), server
        )
        self._port = server.add_insecure_port(f"127.0.0.1:{self._port}")
        server.start()
        self._server = server

    def _stop(self):
        server, self._server = self._server, None
        if server is not None:
            server.stop(grace=None).wait()

    def _answer(self, request, kept, context):
        with self._changed:
            self.calls += 1
            self.metadata.append(dict(context.invocation_metadata()))
            self._changed.notify_all()
            while self._hanging and context.is_active():
                self._changed.wait(0.05)
            failure = self._failure
            if failure is None:
                kept.append(request)
                self._changed.notify_all()
        if failure is not None:
            code, retry_after_s = failure
            if retry_after_s is not None:
                context.set_trailing_metadata(((RETRY_INFO_TRAILER, _retry_info(retry_after_s)),))
            context.abort(code, "the test asked for this")


class _Servicer:
    """The three OTLP services differ only in their messages."""

    def __init__(self, sink, kept, response):
        self._sink = sink
        self._kept = kept
        self._response = response

    def Export(self, request, context):
        self._sink._answer(request, self._kept, context)
        return self._response()


def attributes(message):
    """The attributes of a span, record, data point or resource as a plain dictionary."""
    return {pair.key: value(pair.value) for pair in message.attributes}


def value(any_value):
    """The Python value of an OTLP AnyValue."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value(pair.value) for pair in any_value.kvlist_value.values}
    return getattr(any_value, kind)


def _retry_info(delay_s):
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import RetryInfo

    delay = Duration()
    delay.FromNanoseconds(int(delay_s * 1e9))
    return RetryInfo(retry_delay=delay).SerializeToString()
