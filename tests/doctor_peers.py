"""Whoever may listen where OTLP is sent: real servers on loopback, for the tests of doctor and send-test."""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

METHODS = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}


@contextmanager
def grpc_receiver(*signals, credentials=None, answer=None):
    """A gRPC server with services for these signals only; gives its port. `answer` may abort."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])

    def export(body, context):
        if answer is not None:
            context.abort(*answer)
        return b""

    handler = grpc.unary_unary_rpc_method_handler(export)
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(METHODS[signal], {"Export": handler}) for signal in signals)
    )
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextmanager
def http_receiver(*signals, context=None, date=None, status=200):
    """An HTTP server that takes these signals; gives its port. `date` is what time it says it is."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._say(404)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(status if self.path in [f"/v1/{signal}" for signal in signals] else 404)

        def _say(self, code):
            self.send_response_only(code)
            if date is not None:
                self.send_header("Date", format_datetime(date))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # those who look who is there hang up at once
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def black_hole():
    """A port whose connections are never completed: its queue of them is full."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def mute():
    """A port that takes connections, and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(32)
        yield listening.getsockname()[1]


@contextmanager
def refusing_proxy():
    """A proxy for HTTP that lets nobody through; gives its port and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append(self.path)
            self.send_error(403)

        def do_POST(self):
            self.do_CONNECT()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
