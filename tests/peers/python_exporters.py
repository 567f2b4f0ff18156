"""The OTLP exporters of the Python SDK, and the SDK's own records for them, for tests of what they send to."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import requests
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from processor_samples import numeric

from otel_ml import semconv
from otel_ml.sketch import codec

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
PATIENT_S = 60
"""A timeout that leaves an exporter all its tries."""


@contextmanager
def exporters(
    processor, *, timeout=PATIENT_S, session=None, compression=(None, None), headers=None, authority=None, client=None
):
    """The SDK's two exporters of log records: by gRPC, and by HTTP."""
    if authority is None:
        grpc_options, http_options, scheme = {"insecure": True}, {}, "http"
    else:
        files = (client["key_file"], client["cert_file"]) if client else ()
        contents = [Path(file).read_bytes() for file in (authority.file, *files)]
        grpc_options = {"credentials": grpc.ssl_channel_credentials(*contents)}
        http_options = {"certificate_file": str(authority.file)}
        if client:
            http_options |= {"client_key_file": client["key_file"], "client_certificate_file": client["cert_file"]}
        scheme = "https"
    over_grpc = GrpcExporter(
        endpoint=f"{scheme}://{processor.address}",
        timeout=timeout,
        compression=compression[0],
        headers=headers,
        **grpc_options,
    )
    over_http = HttpExporter(
        endpoint=f"{scheme}://{processor.http_address}/v1/logs",
        timeout=timeout,
        compression=compression[1],
        headers=headers,
        session=session,
        **http_options,
    )
    try:
        yield over_grpc, over_http
    finally:
        over_grpc.shutdown()
        over_http.shutdown()


@contextmanager
def exporting(found, batches):
    """Each exporter is exporting its batch until the end of the block; afterwards `results()` says what came of it."""
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(exporter.export, some) for exporter, some in zip(found, batches, strict=True)]
        yield lambda: [future.result() for future in futures]


def batch(begin, end, *, size=0):
    """Log records of the SDK with these numbers, each of at least `size` bytes."""
    return _recorded([{"body": f"{number:06d}" + "." * size} for number in range(begin, end)])


def snapshots(producer, count, *, checksum=None):
    """Log records of the SDK with a producer's next snapshots, of 10 rows each."""
    events = []
    for _ in range(count):
        payload = codec.encode(producer.snapshot(numeric("amount", range(10))))
        attributes = {
            semconv.SKETCH_PAYLOAD: payload,
            semconv.SKETCH_CHECKSUM: zlib.crc32(payload) if checksum is None else checksum,
        }
        events.append({"body": "snapshot", "event_name": semconv.EVENT_SKETCH_SNAPSHOT, "attributes": attributes})
    return _recorded(events)


def _recorded(events):
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = provider.get_logger("shop")
    for event in events:
        logger.emit(**event)
    return kept.get_finished_logs()


class Cutting(requests.Session):
    """A session that loses the last byte of every body."""

    def send(self, request, **options):
        request.body = request.body[:-1]
        request.headers["content-length"] = str(len(request.body))
        return super().send(request, **options)


def cut_off_in_channel(exporter):
    """The same, in the channel of an exporter."""
    exporter._client.Export = exporter._channel.unary_unary(
        LOGS,
        request_serializer=lambda request: request.SerializeToString()[:-1],
        response_deserializer=ExportLogsServiceResponse.FromString,
    )
