"""What the conformance tests of the receiving side share: the processor, clients before it, and what each of them says.

Where not told otherwise, log records take gRPC and spans take HTTP, so that one test shows both protocols.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import sys
from collections import Counter
from pathlib import Path

import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_sink import attributes
from processor_samples import START, Producer, logs_request, numeric, snapshot_record, text_record

from peers.running import Peers, Started, _accepts, free_ports

MIB = 1024 * 1024
HUNDRED_KB = 100_000
SMALL_LOG = {"max_size_mib": 4}
"""Segments of 512 KiB, 38 requests of 100 kB in all: as little as there can be."""
_FAST = {"initial_interval": "50ms", "max_interval": "200ms"}


class Processor:
    """Our processor as a process of its own: all signals in by gRPC and by HTTP, and out to one sink.

    Args:
        grpc: Settings of the protocol, beside the endpoint.
        http: Likewise.
        limits: Called in the new process before it becomes the processor.
    """

    def __init__(self, peers: Peers, sink, *, store=None, log=None, grpc=None, http=None, limits=None):
        self._peers, self._sink, self._limits = peers, sink, limits
        grpc_port, http_port = free_ports(2)
        self.address, self.http_address = f"127.0.0.1:{grpc_port}", f"127.0.0.1:{http_port}"
        way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
        protocols = {
            "grpc": {"endpoint": self.address, **(grpc or {})},
            "http": {"endpoint": self.http_address, **(http or {})},
        }
        backend = {"endpoint": sink.endpoint, "timeout": "60s", "retry_on_failure": _FAST}
        configuration = {
            "receivers": {"otlp": {"protocols": protocols}},
            "processors": {"drift": {"window": "1h", "lateness": "0s", "repeat": "0s"}},
            "exporters": {"otlp_grpc": backend},
            # The log keeps what came after the last checkpoint; tests do not wait half a minute for the next one.
            "store": {**({"directory": str(store)} if store else {}), "log": log or {}, "checkpoint_interval": "300ms"},
            "service": {
                "telemetry": {"interval": "300ms"},
                # Several processors at once would all listen on one port.
                "status": {"enabled": False},
                # Tests end when their sinks have gone.
                "shutdown_timeout": "1s",
                "pipelines": {"traces": way, "metrics": way, "logs": {**way, "processors": ["drift"]}},
            },
        }
        self._path = peers.folder / f"receiving-{grpc_port}.yaml"
        self._path.write_text(yaml.safe_dump(configuration))
        self.start()

    @property
    def pid(self) -> int:
        return self.started.process.pid

    @property
    def url(self) -> str:
        return f"http://{self.http_address}"

    def start(self) -> None:
        """Start it, or start it again with what it has kept."""
        command = [sys.executable, "-m", "collector_processor", "--config", self._path]
        log = self._peers.folder / f"receiving-{len(self._peers.started)}.log"
        listening = [_accepts(self.address), _accepts(self.http_address)]
        self.started = Started(
            "processor",
            command,
            log,
            self.address,
            lambda: all(accepts() for accepts in listening),
            preexec_fn=self._limits,
        )
        self._peers.started.append(self.started)

    def stop(self) -> int:
        return self.started.stop()

    def kill(self) -> None:
        self.started.kill()

    @contextlib.contextmanager
    def paused(self):
        """It gets no time: connections stay, and what is sent is not answered."""
        self.started.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.started.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def without_threads(self):
        """It gets no more memory than a little beyond what it has: too little for the stack of another thread."""
        self._limit(resource.RLIMIT_AS, self._memory() + MIB)
        try:
            yield
        finally:
            self._limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)

    def free_the_disk(self) -> None:
        """Undo `full_disk`."""
        self._limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)

    def _limit(self, kind, amount) -> None:
        resource.prlimit(self.pid, kind, (amount, resource.RLIM_INFINITY))

    def _memory(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[0])
        return pages * resource.getpagesize()

    def counted(self, name: str, **wanted: str) -> int:
        """A sum that it has told the sink, over all its lives; `drop_reason="…"` asks for a part."""
        wanted = {"ml." + key.replace("_", "."): text for key, text in wanted.items()}
        latest: dict[tuple, int] = {}
        for request in list(self._sink.metrics):
            for one in request.resource_metrics:
                life = attributes(one.resource).get("service.instance.id")
                points = [
                    point
                    for scope in one.scope_metrics
                    for metric in scope.metrics
                    if metric.name == f"ml.processor.{name}"
                    for point in metric.sum.data_points
                ]
                for point in points:
                    described = attributes(point)
                    if wanted.items() <= described.items():
                        key = (life, *sorted(described.items()))
                        latest[key] = max(latest.get(key, 0), point.as_int)
        return sum(latest.values())

    def refused(self, reason: str, signal: str | None = None) -> int:
        """Requests that were not taken, and told so."""
        return self.counted("refused", drop_reason=reason, **({"processor_signal": signal} if signal else {}))


def full_disk() -> None:
    """No file of this process grows beyond 512 KiB: writing fails as it does on a disk without room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, resource.RLIM_INFINITY))


# --- the Collector ---------------------------------------------------------------------------------------------------


def to_grpc(processor: Processor, **settings) -> dict:
    """Settings of a Collector's exporter: as shipped, without batches, and with short intervals."""
    return _exporter(endpoint=processor.address, **settings)


def to_http(processor: Processor, **settings) -> dict:
    """Likewise, by HTTP."""
    return _exporter(endpoint=processor.url, **settings)


def both(processor: Processor, **settings) -> dict:
    """Both of them."""
    return {"otlp_grpc": to_grpc(processor, **settings), "otlp_http": to_http(processor, **settings)}


def _exporter(**settings) -> dict:
    return {
        "tls": {"insecure": True},
        "compression": "none",
        "timeout": "60s",
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms", "max_elapsed_time": 0},
        **settings,
    }


def collector(peers: Peers, exporters: dict, *, extensions=None, **pipelines) -> Started:
    """A Collector with these exporters; `logs=["otlp_grpc"]` says which ones a signal takes."""
    pipelines = pipelines or {"logs": ["otlp_grpc"], "traces": ["otlp_http"]}
    configuration = {
        "extensions": extensions or {},
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": "${env:COLLECTOR_LISTEN}", "max_recv_msg_size_mib": 64}}}
        },
        "exporters": exporters,
        "service": {
            "extensions": list(extensions or {}),
            # Every line counts here; by default it says the same thing ten times in ten seconds at most.
            "telemetry": {"logs": {"sampling": {"enabled": False}}},
            "pipelines": {signal: {"receivers": ["otlp"], "exporters": names} for signal, names in pipelines.items()},
        },
    }
    path = peers.folder / f"collector-{len(peers.started)}.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return peers.collector(path)


def said(collector: Started, message: str) -> list[dict]:
    """What stands behind every line of a Collector's log with this message, oldest first."""
    lines = collector.log.read_text(errors="replace").splitlines()
    found = [line for line in lines if message in line and line.endswith("}")]
    return [json.loads(line[line.index("{") :]) for line in found]


def dropped(collector: Started) -> Counter:
    """How many items a Collector says it has dropped for good, by exporter."""
    counts: Counter = Counter()
    for one in said(collector, "Dropping data"):
        counts[one["otelcol.component.id"]] += one["dropped_items"]
    return counts


def retries(collector: Started) -> list[dict]:
    """Every time that a Collector decided to come back, oldest first."""
    return said(collector, "Will retry the request after interval")


def retrying(collector: Started) -> set[str]:
    """The exporters that had to come back so far."""
    return {one["otelcol.component.id"] for one in retries(collector)}


def code(one: dict) -> str:
    """The status in an error that a Collector logged; by HTTP it is the one that stands for the number."""
    return re.search(r"code = (\w+)", one["error"])[1]


# --- what is sent, and what arrived ----------------------------------------------------------------------------------


def numbered(begin: int, end: int, *, size: int = 0):
    """Requests of one log record each, with these numbers, and of at least `size` bytes."""
    return [logs_request(text_record(f"{number:06d}" + "." * size)) for number in range(begin, end)]


def spans(begin: int, end: int, *, size: int = 0):
    """Requests of one span each, likewise."""
    requests = []
    for number in range(begin, end):
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.add(
            name=f"{number:06d}" + "." * size, trace_id=b"t" * 16, span_id=b"s" * 8
        )
        requests.append(request)
    return requests


def snapshots(count: int, *, rows: int = 10, producer: Producer | None = None, start: int = START):
    """Requests of one snapshot each, all of them of one window."""
    producer = producer or Producer(os.urandom(16))
    return [
        logs_request(snapshot_record(producer.snapshot(numeric("amount", range(rows)), rows=rows, start=start)))
        for _ in range(count)
    ]


def corrupt_snapshot():
    """A log record that says it is a snapshot, and is not what its checksum says."""
    record = snapshot_record(Producer(os.urandom(16)).snapshot(numeric("amount", range(10))))
    for attribute in record.attributes:
        if attribute.value.WhichOneof("value") == "bytes_value":
            attribute.value.bytes_value = attribute.value.bytes_value[:-1] + b"?"
    return record


def texts_at(sink) -> Counter:
    """How often the log record of each number arrived."""
    return Counter(_number(record.body.string_value) for record in sink.log_records())


def spans_at(sink) -> Counter:
    """How often the span of each number arrived."""
    return Counter(_number(span.name) for span in sink.spans())


def arrived(sink, number: int):
    """A condition: so many log records and so many spans have arrived, or more."""
    return lambda: texts_at(sink).total() >= number and spans_at(sink).total() >= number


def _number(text: str) -> int:
    return int(re.match(r"\d{6}", text)[0])


def once(*numbers: range) -> dict[int, int]:
    """Each of them has come exactly once."""
    return {number: 1 for some in numbers for number in some}
