"""Receivers on loopback ports, with a consumer that keeps what they hand on, for the tests of both protocols."""

from __future__ import annotations

import asyncio
import time
import zlib
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import trustme
from backports import zstd

from collector_processor.component import Signal
from collector_processor.receivers.exports import Exports
from collector_processor.receivers.otlp_grpc import OtlpGrpcReceiver
from collector_processor.receivers.otlp_http import OtlpHttpReceiver
from collector_processor.receivers.settings import OtlpReceiverSettings
from collector_processor.self_telemetry import SelfTelemetry

METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


class Kept:
    """Keeps requests, fails as told, or takes its time."""

    def __init__(self):
        self.requests = []
        self.error = None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.waiting = 0

    async def consume(self, request):
        if self.error:
            raise self.error
        self.waiting += 1
        try:
            await self.may_go_on.wait()
        finally:
            self.waiting -= 1
        self.requests.append(request)


class Receiving:
    """A receiver that runs, and what it counts and hands on."""

    def __init__(self, receiver, kept, telemetry):
        self.receiver, self.kept, self.telemetry = receiver, kept, telemetry

    @property
    def address(self):
        return str(self.receiver.address)

    @property
    def port(self):
        return self.receiver.address.port

    def channel(self, credentials=None, **options):
        """A channel to it; credentials make it TLS, for "localhost"."""
        options = [("grpc.max_send_message_length", -1), *options.items()]
        if credentials is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        return grpc.aio.secure_channel(f"localhost:{self.port}", credentials, options=options)

    async def export(self, signal, body, **options):
        """Export bytes over a channel of its own."""
        async with self.channel() as channel:
            return await channel.unary_unary(METHODS[signal])(body, timeout=30, **options)

    async def error(self, signal, body, **options):
        """The error that exporting ends with."""
        try:
            await self.export(signal, body, **options)
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("it was taken")


@asynccontextmanager
async def receiving(protocol, signals=tuple(Signal), *, settings=None, **options):
    """A receiver of one protocol on a free port of loopback."""
    kept, telemetry = Kept(), SelfTelemetry()
    exports = Exports(dict.fromkeys(signals, kept), telemetry, **options)
    read = OtlpReceiverSettings.model_validate(
        {"protocols": {protocol: {"endpoint": "127.0.0.1:0", **(settings or {})}}}
    )
    if protocol == "grpc":
        receiver = OtlpGrpcReceiver("otlp", read.protocols.grpc, exports, telemetry)
    else:
        receiver = OtlpHttpReceiver("otlp", read.protocols.http, exports, telemetry)
    await receiver.start()
    try:
        yield Receiving(receiver, kept, telemetry)
    finally:
        kept.may_go_on.set()
        await receiver.shutdown(2.0)


class Authority:
    """A certificate authority with files of its certificates in a directory."""

    def __init__(self, directory: Path, name: str = "ca"):
        self._directory, self._name = directory, name
        self._ca = trustme.CA()
        self.file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name="localhost", into="server"):
        """The settings that name a new certificate and its key."""
        issued = self._ca.issue_cert(name, "127.0.0.1")
        files = {kind: self._directory / f"{into}.{kind}" for kind in ("crt", "key")}
        issued.private_key_pem.write_to_path(files["key"])
        files["crt"].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return {"cert_file": str(files["crt"]), "key_file": str(files["key"])}


async def until(condition, patience_s=30.0):
    """Return once a condition is true."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.01)


def bomb(encoding, mebibytes):
    """So many MiB of zeros, packed, without ever having held them."""
    if encoding == "zstd":
        packer = zstd.ZstdCompressor()
        packed = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(mebibytes))
    else:
        packer = zlib.compressobj(1, zlib.DEFLATED, {"gzip": 31, "deflate": 15}[encoding])
        packed = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(mebibytes))
    return packed + packer.flush()


@contextmanager
def memory_bounded(mebibytes):
    """This process never has so much more in memory than at the beginning."""
    # Resets the high-water mark of the system.
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_kib()
    yield
    assert _peak_kib() - before < mebibytes * 1024


def _peak_kib():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])
