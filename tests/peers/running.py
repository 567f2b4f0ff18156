"""Peers and our processor, each a process of its own on free loopback ports, ended with the test that started them.

def test_…(peers):
    backend = peers.prometheus()
    processor = peers.processor(exporters={"otlp_http": {"endpoint": f"{backend.url}/api/v1/otlp"}})
    collector = peers.collector("gateway.yaml", OTEL_ML_PROCESSOR=processor.address)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import yaml

from peers.build import PEERS, ROOT

CONFIGURATIONS = ROOT / "deploy" / "collector"
REQUIRED = "OTEL_ML_REQUIRE_PEERS"
WAIT_S = "OTEL_ML_WAIT_FOR_PEERS_S"
PATIENCE_S = 120
_DEBIAN = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
_SERVICES = {"Logs": "logs", "Metrics": "metrics", "Trace": "trace"}


class Started:
    """A process, the address it takes OTLP/gRPC (or HTTP) at, and what it has logged."""

    def __init__(self, name: str, command: list, log: Path, address: str, ready: Callable[[], bool] | str, **options):
        self.name, self.log, self.address = name, log, address
        self.url = f"http://{address}"
        with log.open("ab") as output:
            self.process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, **options)
        deadline = time.monotonic() + PATIENCE_S
        while not (ready in log.read_text(errors="replace") if isinstance(ready, str) else ready()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{name} did not get ready (exit code {self.process.returncode}):\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """Ask it to end, and wait until it has; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """As when the machine goes away."""
        self.process.kill()
        self.process.wait()


class Peers:
    """Starts peers, and ends them all."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[Started] = []

    def close(self) -> None:
        for one in reversed(self.started):
            one.stop()

    def collector(self, config: str | Path, *laid_over: Path, **environment: str) -> Started:
        """A Collector with one of deploy/collector's files, or paths; its settings by environment variables."""
        grpc_port, http_port, health = free_ports(3)
        address = environment.pop("COLLECTOR_LISTEN", f"127.0.0.1:{grpc_port}")
        variables = {
            "COLLECTOR_LISTEN": address,
            "COLLECTOR_LISTEN_HTTP": f"127.0.0.1:{http_port}",
            "COLLECTOR_HEALTH": f"127.0.0.1:{health}",
            "COLLECTOR_STATE": str(self.folder / "collector-state"),
            **environment,
        }
        configs = [f"--config={path}" for path in (CONFIGURATIONS / config, *laid_over)]
        command = [program("collector"), *configs, *_WITHOUT_A_PORT_FOR_ITS_METRICS]
        # Not when it listens: it does so before all of its queues are there, and what it is sent then can end it.
        ready = "Everything is ready"
        return self._start("collector", command, address, ready, env={**os.environ, **variables})

    def processor(
        self, *, exporters: dict, address: str | None = None, drift: dict | None = None, store=None, ways=None
    ) -> Started:
        """Our processor, with all three signals from OTLP/gRPC to these exporters, or to those that `ways` names."""
        address = address or f"127.0.0.1:{free_ports(1)[0]}"
        way = {"receivers": ["otlp"], "exporters": list(exporters)}
        drift = {"window": "1h", "lateness": "0s", "repeat": "0s", **(drift or {})}
        configuration = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": address}}}},
            "processors": {"drift": drift},
            "exporters": exporters,
            "service": {
                "status": {"endpoint": "127.0.0.1:0"},
                "telemetry": {"interval": "1s"},
                "pipelines": {"traces": way, "metrics": way, "logs": {**way, "processors": ["drift"]}},
            },
        }
        for signal_name, names in (ways or {}).items():
            pipeline = configuration["service"]["pipelines"][signal_name]
            configuration["service"]["pipelines"][signal_name] = {**pipeline, "exporters": names}
        if store is not None:
            configuration["store"] = {"directory": str(store)}
        path = self.folder / f"processor-{len(self.started)}.yaml"
        path.write_text(yaml.safe_dump(configuration))
        command = [sys.executable, "-m", "collector_processor", "--config", path]
        return self._start("processor", command, address, _accepts(address))

    def prometheus(self, config: dict | None = None, *flags: str) -> Started:
        """Prometheus with its OTLP and remote-write receivers."""
        address = f"127.0.0.1:{free_ports(1)[0]}"
        place = self.folder / f"prometheus-{len(self.started)}"
        place.mkdir()
        path = place / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config or {}))
        command = [
            program("prometheus"),
            *flags,
            f"--config.file={path}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address={address}",
            "--web.enable-otlp-receiver",
            "--web.enable-remote-write-receiver",
        ]
        return self._start("prometheus", command, address, _answers(f"http://{address}/-/ready"))

    def victoriametrics(self) -> Started:
        """VictoriaMetrics, which takes OTLP at /opentelemetry/v1/metrics."""
        address = f"127.0.0.1:{free_ports(1)[0]}"
        command = [
            program("victoriametrics"),
            f"-storageDataPath={self.folder / 'victoriametrics'}",
            f"-httpListenAddr={address}",
            "-opentelemetry.usePrometheusNaming",
            # What was just written can be asked for at once.
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ]
        return self._start("victoriametrics", command, address, _answers(f"http://{address}/health"))

    def jaeger(self) -> Jaeger:
        """Jaeger with its storage in memory."""
        ports = free_ports(len(_JAEGER_PORTS))
        flags = [f"--{flag}=127.0.0.1:{port}" for flag, port in zip(_JAEGER_PORTS, ports, strict=True)]
        command = [program("jaeger"), *flags]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        otlp, query, admin = addresses[0], addresses[2], addresses[4]
        environment = {**os.environ, "SPAN_STORAGE_TYPE": "memory"}
        return self._start(
            "jaeger", command, otlp, _answers(f"http://{admin}/"), kind=Jaeger, query=query, env=environment
        )

    def kafka(self) -> Started:
        """One broker of Kafka in plain text; topics come into being with their first message, in four partitions."""
        broker, controller = (f"127.0.0.1:{port}" for port in free_ports(2))
        config = self.folder / "kafka.properties"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "kafka"),
            "num.partitions": "4",
            # There is only one.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        environment = {**os.environ, "JAVA_OPTIONS": "-Xmx256m"}
        # Any 16 bytes in base64.
        formatting = [
            program("kafka"),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "MkU3OEVBNTcwNTJENDM2Qg",
            "-c",
            config,
        ]
        subprocess.run(formatting, env=environment, check=True, capture_output=True, timeout=PATIENCE_S)
        command = [program("kafka"), "kafka.Kafka", config]
        return self._start("kafka", command, broker, "Kafka Server started", env=environment)

    def _start(self, name, command, address, ready, *, kind=Started, query=None, **options) -> Started:
        log = self.folder / f"{name}-{len(self.started)}.log"
        one = kind(name, command, log, address, ready, **options)
        if query is not None:
            one.query = f"http://{query}"
        self.started.append(one)
        return one


class Jaeger(Started):
    """Takes OTLP at `address`, is asked at `query`."""

    query: str = ""


_JAEGER_PORTS = (
    "collector.otlp.grpc.host-port",
    "collector.otlp.http.host-port",
    "query.http-server.host-port",
    "query.grpc-server.host-port",
    "admin.http.host-port",
    "collector.http-server.host-port",
    "collector.grpc-server.host-port",
)
# Several Collectors at once would all listen on 8888.
_WITHOUT_A_PORT_FOR_ITS_METRICS = ["--set=service.telemetry.metrics.level=none"]


def program(name: str) -> Path:
    """The program of a peer; the test is skipped where it is not there, or fails where the environment says so.

    The peer may still be under construction, for as long as the environment says: CI builds while other tests run.
    """
    peer, required = PEERS[name], os.environ.get(REQUIRED, "").split()
    is_required = required == ["1"] or name in required
    deadline = time.monotonic() + (float(os.environ.get(WAIT_S, "0")) if is_required else 0.0)
    while not peer.present and time.monotonic() < deadline:
        time.sleep(1)
    if not peer.present:
        reason = f"{name} is not here: {peer.program} (python tests/peers/build.py {name} obtains it)"
        if is_required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return peer.program


def tool(name: str) -> str:
    """A program of Prometheus or Alertmanager as Debian packages them, or promtool as it was built with Prometheus.

    As with peers, the test is skipped without it, or fails where the environment requires "promtool", which stands for
    all of them.
    """
    found = shutil.which(name)
    built = [path for path in PEERS["prometheus"].binaries if path.name == name and path.exists()]
    if found is None and not built:
        reason = f"{name} is not here (apt-get install {_DEBIAN[name]})"
        required = os.environ.get(REQUIRED, "").split()
        if required == ["1"] or "promtool" in required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found or str(built[0])


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def send(address: str, *requests, timeout_s: float = 20.0) -> None:
    """Export these requests over one gRPC channel, whatever their signals are; returns when all were acknowledged."""
    with grpc.insecure_channel(address) as channel:
        for request in requests:
            service = request.DESCRIPTOR.name.removeprefix("Export").removesuffix("ServiceRequest")
            method = f"/opentelemetry.proto.collector.{_SERVICES[service]}.v1.{service}Service/Export"
            channel.unary_unary(method)(request.SerializeToString(), timeout=timeout_s, wait_for_ready=True)


def ask(url: str, **parameters: str):
    """What an HTTP API answers with, decoded."""
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}?{query}" if query else url, timeout=10) as response:
        return json.loads(response.read())


def until(found: Callable, patience_s: float = PATIENCE_S):
    """What `found()` gives once it is true."""
    deadline = time.monotonic() + patience_s
    while True:
        result = found()
        if result:
            return result
        assert time.monotonic() < deadline, f"never came true: {result!r}"
        time.sleep(0.1)


def _accepts(address: str) -> Callable[[], bool]:
    host, _, port = address.rpartition(":")

    def ready() -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    return ready


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            return False
        return True

    return ready
