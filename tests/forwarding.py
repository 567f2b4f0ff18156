"""An exporter between a log and a real backend, for tests of forwarding."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from processor_samples import logs_request, text_record

from collector_processor.component import Entry, Signal
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.otlp import OtlpExporter
from collector_processor.exporters.settings import OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.dead_letters import DeadLetterStore
from collector_processor.store.log.memory_log import MemoryLog
from collector_processor.store.settings import DeadLetterSettings, LogSettings
from collector_processor.store.sqlite import SqliteStore
from otel_ml import semconv

FAST_RETRY = {"initial_interval": "20ms", "max_interval": "50ms"}
SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}
TAKE = None


class GrpcBackend:
    """A real gRPC server that decides about raw bytes: `judge(signal, body)` gives TAKE or (code, details)."""

    def __init__(self, judge=lambda signal, body: TAKE, credentials=None):
        self.judge = judge
        self.taken = []
        self.calls = 0
        self._server = grpc.server(
            ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(name, {"Export": self._handler(signal)})
                for name, signal in SERVICES.items()
            )
        )
        if credentials is None:
            self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        else:
            self.endpoint = f"https://localhost:{self._server.add_secure_port('127.0.0.1:0', credentials)}"

    def bodies(self, signal=Signal.LOGS):
        return [body for taken, body in self.taken if taken is signal]

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def _handler(self, signal):
        def export(body, context):
            self.calls += 1
            verdict = self.judge(signal, body)
            if verdict is TAKE:
                self.taken.append((signal, body))
                return b""
            return context.abort(*verdict)

        return grpc.unary_unary_rpc_method_handler(export)


class HttpBackend:
    """A real HTTP server that answers as told and keeps what it is sent."""

    def __init__(self):
        self.answers = []
        self.always = None
        self.received = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                default = backend.always or (200, {}, b"")
                status, headers, answer = backend.answers.pop(0) if backend.answers else default
                if status == 200:
                    backend.received.append((self.path, dict(self.headers), body))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def encrypt(self, context):
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"https://localhost:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Forwarding:
    """An exporter named "backend", what it reads from and writes to, and what it has counted."""

    def __init__(self, exporter, log, store, dead_letters, telemetry):
        self.exporter, self.log, self.store, self.dead_letters = exporter, log, store, dead_letters
        self.telemetry = telemetry
        self.received = dict.fromkeys(Signal, 0)

    async def add(self, *entries):
        for entry in entries:
            await self.log.append(entry)
            if not entry.own:
                self.received[entry.signal] += entry.items

    def total(self, metric, **attributes):
        return self.telemetry.total(metric, **attributes)

    @property
    def forwarded(self):
        return self.total(semconv.PROCESSOR_FORWARDED)

    def dropped(self, reason):
        return self.total(semconv.PROCESSOR_DROPPED, drop_reason=reason)

    def result(self, outcome):
        return self.total(semconv.PROCESSOR_RESULTS, processor_outcome=outcome)

    def gauge(self, metric):
        return sum(point.value for point in self.telemetry.points() if point.metric is metric)

    def letters(self):
        """(signal, reason, items, body) of every dead letter, oldest first."""
        rows = self.dead_letters._connection.execute("SELECT signal, reason, items, body FROM letter ORDER BY id")
        return [(Signal(signal), reason, items, body) for signal, reason, items, body in rows]

    def assert_nothing_lost(self):
        """received + recovered = forwarded + dropped + pending, for every signal that is exported."""
        for signal in self.exporter._signals:
            of = {"processor_signal": signal.value}
            come = self.received[signal] + self.total(semconv.PROCESSOR_RECOVERED, **of)
            gone = self.total(semconv.PROCESSOR_FORWARDED, **of) + self.total(semconv.PROCESSOR_DROPPED, **of)
            assert come == gone + self.exporter.pending(signal)
            assert self.exporter.pending(signal) >= 0


@asynccontextmanager
async def forwarding(
    endpoint, *, http=False, log=None, store=None, shutdown_s=5.0, signals=tuple(Signal), path=None, **settings
):
    """An exporter that has started; `log`, `store` and `path` (of dead letters) outlive it when they are given."""
    model = OtlpHttpSettings if http else OtlpGrpcSettings
    settings = model.model_validate({"endpoint": endpoint, "retry_on_failure": FAST_RETRY, **settings})
    telemetry = SelfTelemetry()
    log = log or memory_log()
    is_given = store is not None
    store = store or SqliteStore(None, 3600.0)
    dead_letters = DeadLetterStore(path, DeadLetterSettings(), telemetry)
    if not is_given:
        await store.start()
    await dead_letters.start()
    transport = HttpTransport(settings) if http else GrpcTransport(settings)
    exporter = OtlpExporter("backend", settings, transport, signals, log, store, dead_letters, telemetry)
    await exporter.start()
    found = Forwarding(exporter, log, store, dead_letters, telemetry)
    try:
        yield found
        found.assert_nothing_lost()
    finally:
        await exporter.shutdown(shutdown_s)
        with suppress(AssertionError):
            # Letters can still be looked at.
            found.kept = found.letters()
        await dead_letters.shutdown(1.0)
        if not is_given:
            await store.shutdown(1.0)
    found.assert_nothing_lost()


def memory_log(**settings):
    return MemoryLog(LogSettings(**settings), ["backend"])


def entry(text="a", items=1, *, signal=Signal.LOGS, own=False, body=None):
    """An entry of log records whose bodies begin with a text."""
    if body is None:
        body = logs_request(*(text_record(f"{text}-{index}") for index in range(items))).SerializeToString()
    return Entry(signal, body, items, own=own)


async def until(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.005)
