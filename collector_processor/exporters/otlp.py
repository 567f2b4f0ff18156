"""A bounded queue in front of a backend, and patience with it.

What is accepted leaves, or is counted as dropped with the reason. A full queue refuses: the client keeps its data and
comes back, so nothing is lost while a backend is down. What is made here has nobody to come back, and is dropped,
counted, when even the room reserved for it is full.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from pydantic import Field, model_validator

from collector_processor.component import AttributeValue, Request, Signal
from collector_processor.errors import PermanentError, RefusedError, RetryableError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Duration, Endpoint, PositiveDuration, Settings
from otel_ml import semconv
from otel_ml.semconv import Metric

_log = logging.getLogger(__name__)

# Alerts and results still fit when a dead backend has filled the queue with what passes through.
_RESERVED_REQUESTS = 200
# No backend may silence us for longer by asking for it.
_LONGEST_DELAY_S = 300.0


class QueueSettings(Settings):
    """The queue in front of a backend.

    Attributes:
        num_consumers: Requests on their way at once.
        queue_size: Requests that may wait.
        queue_size_mib: Their size together.
    """

    num_consumers: int = Field(default=4, ge=1, le=64)
    queue_size: int = Field(default=1000, ge=1)
    queue_size_mib: int = Field(default=256, ge=1)


class RetrySettings(Settings):
    """When to send again what a backend did not take.

    Attributes:
        max_elapsed_time: Give a request up after this long; 0 never does.
    """

    enabled: bool = True
    initial_interval: PositiveDuration = 1.0
    max_interval: PositiveDuration = 30.0
    max_elapsed_time: Duration = 0.0


class TlsSettings(Settings):
    """Whether the connection is encrypted.

    Attributes:
        insecure: Plain text, unless the endpoint begins with https://.
    """

    insecure: bool = False


class OtlpExporterSettings(Settings):
    """An exporter of type `otlp_grpc` or `otlp_http`.

    Attributes:
        compression: "none" by default: compressing costs more here than it saves on the wire.
        timeout: Of one attempt.
    """

    endpoint: Endpoint
    tls: TlsSettings = TlsSettings()
    headers: Mapping[str, str] = Field(default_factory=dict)
    compression: Literal["none", "gzip"] = "none"
    timeout: PositiveDuration = 10.0
    sending_queue: QueueSettings = QueueSettings()
    retry_on_failure: RetrySettings = RetrySettings()


class OtlpGrpcSettings(OtlpExporterSettings):
    """Settings of an `otlp_grpc` exporter."""

    @model_validator(mode="after")
    def _has_no_path(self) -> OtlpGrpcSettings:
        if self.endpoint.path:
            raise ValueError(
                f"endpoint {self.endpoint.path!r}: gRPC knows no path (an `otlp_http` exporter would send there)"
            )
        return self


class OtlpHttpSettings(OtlpExporterSettings):
    """Settings of an `otlp_http` exporter; /v1/<signal> is added to the endpoint."""

    @model_validator(mode="after")
    def _has_scheme(self) -> OtlpHttpSettings:
        if self.endpoint.scheme is None:
            raise ValueError(
                f"endpoint '{self.endpoint.address}' lacks a scheme (http://{self.endpoint.address} or https://…)"
            )
        return self


class Transport(Protocol):
    """One way of sending an encoded request to a backend."""

    async def send(self, signal: Signal, body: bytes) -> int:
        """Send once, and return how many items the backend rejected although it took the request.

        Raises:
            RetryableError: Not taken, but a later attempt may be.
            PermanentError: Never to be taken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OtlpExporter:
    """Sends requests to one backend.

    Args:
        name: How the configuration calls it, and the attribute in what is counted.
    """

    def __init__(
        self, name: str, settings: OtlpExporterSettings, transport: Transport, telemetry: SelfTelemetry
    ) -> None:
        self.name = name
        self._queue_settings = settings.sending_queue
        self._retry = settings.retry_on_failure
        self._transport = transport
        self._telemetry = telemetry
        self._waiting: deque[Request] = deque()
        self._pending_items: Counter[Signal] = Counter()
        self._pending_requests = 0
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._senders: list[asyncio.Task[None]] = []
        telemetry.observe(self._gauges)

    def has_room(self, request: Request) -> bool:
        """Whether `request` would be taken. An empty queue takes whatever fits through a receiver."""
        settings = self._queue_settings
        reserved = _RESERVED_REQUESTS if request.own else 0
        if self._pending_requests >= settings.queue_size + reserved:
            return False
        size_limit = settings.queue_size_mib * 1024 * 1024
        return request.own or not self._waiting or self._pending_bytes + len(request.body) <= size_limit

    async def start(self) -> None:
        """Send from now on."""
        self._senders = [
            asyncio.create_task(self._telemetry.guard("export", self._send_waiting))
            for _ in range(self._queue_settings.num_consumers)
        ]

    async def shutdown(self, timeout_s: float) -> None:
        """Send what waits for at most `timeout_s`; what is left then is dropped and counted."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except (TimeoutError, asyncio.TimeoutError):
            _log.warning(
                "exporters::%s: %d requests were not sent within %.1f s", self.name, self._pending_requests, timeout_s
            )
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        while self._waiting:
            self._dropped(self._waiting.popleft(), "shutdown")
        await self._transport.close()

    async def consume(self, request: Request) -> None:
        """Queue a request.

        Raises:
            RefusedError: The queue is full. A request made here is dropped and counted instead.
        """
        if self.has_room(request):
            self._waiting.append(request)
            self._pending_requests += 1
            self._pending_bytes += len(request.body)
            if not request.own:
                self._pending_items[request.signal] += request.items
            self._idle.clear()
            self._arrived.set()
        elif request.own:
            self._count_result(request, "queue_full", request.items)
        else:
            raise RefusedError(f"exporter {self.name!r}: the queue is full; try again", "queue_full")

    async def _send_waiting(self) -> None:
        while True:
            while self._waiting:
                await self._deliver(self._waiting.popleft())
            self._arrived.clear()
            await self._arrived.wait()

    async def _deliver(self, request: Request) -> None:
        try:
            rejected = await self._send_patiently(request)
        except PermanentError as error:
            self._telemetry.say_once(
                f"{self.name}:{error}", "exporters::%s: a request is dropped: %s", self.name, error
            )
            self._dropped(request, "rejected_by_backend")
        except RetryableError:
            self._dropped(request, "retries_exhausted")
        except asyncio.CancelledError:
            self._dropped(request, "shutdown")
            raise
        except Exception as error:
            self._telemetry.failed("export", error)
            self._dropped(request, "failure")
        else:
            self._sent(request, min(rejected, request.items))

    async def _send_patiently(self, request: Request) -> int:
        """Send until it is taken, for good refused, or patience ends; waits double, with full jitter."""
        begin = time.monotonic()
        interval_s = self._retry.initial_interval
        while True:
            try:
                return await self._transport.send(request.signal, request.body)
            except RetryableError as error:
                # The backend's own wish is a minimum; jitter comes on top, or all replicas return at one moment.
                jitter_s = random.uniform(0.5, 1.0) * interval_s  # noqa: S311 - not a secret
                asked_s = min(error.delay_s or 0.0, _LONGEST_DELAY_S)
                wait_s = asked_s + jitter_s / 10 if asked_s else jitter_s
                elapsed_s = time.monotonic() - begin + wait_s
                limit_s = self._retry.max_elapsed_time
                if not self._retry.enabled or (limit_s and elapsed_s > limit_s):
                    raise
                self._telemetry.count(semconv.PROCESSOR_RETRIES, processor_exporter=self.name)
                self._telemetry.say_once(
                    f"{self.name}:retry", "exporters::%s: %s; sending again until it is taken", self.name, error
                )
                await asyncio.sleep(wait_s)
                interval_s = min(interval_s * 2, self._retry.max_interval)

    def _sent(self, request: Request, rejected: int) -> None:
        self._leave(request)
        if request.own:
            self._count_result(request, "sent", request.items - rejected)
            self._count_result(request, "rejected_by_backend", rejected)
            return
        self._telemetry.count(
            semconv.PROCESSOR_FORWARDED,
            request.items - rejected,
            processor_signal=request.signal.value,
            processor_exporter=self.name,
        )
        self._count_dropped(request, rejected, "rejected_by_backend")

    def _dropped(self, request: Request, reason: str) -> None:
        self._leave(request)
        if request.own:
            self._count_result(request, reason, request.items)
        else:
            self._count_dropped(request, request.items, reason)

    def _leave(self, request: Request) -> None:
        self._pending_requests -= 1
        self._pending_bytes -= len(request.body)
        if not request.own:
            self._pending_items[request.signal] -= request.items
        if not self._pending_requests:
            self._idle.set()

    def _count_dropped(self, request: Request, items: int, reason: str) -> None:
        self._telemetry.count(
            semconv.PROCESSOR_DROPPED,
            items,
            processor_signal=request.signal.value,
            processor_exporter=self.name,
            drop_reason=reason,
        )

    def _count_result(self, request: Request, outcome: str, items: int) -> None:
        self._telemetry.count(
            semconv.PROCESSOR_RESULTS,
            items,
            processor_signal=request.signal.value,
            processor_exporter=self.name,
            processor_outcome=outcome,
        )

    def pending(self, signal: Signal) -> int:
        """Received items of a signal that are neither sent nor dropped yet."""
        return self._pending_items[signal]

    def _gauges(self) -> Iterable[tuple[Metric, float, Mapping[str, AttributeValue]]]:
        yield semconv.PROCESSOR_QUEUE_SIZE, self._pending_bytes, {semconv.PROCESSOR_EXPORTER: self.name}
        for signal, items in self._pending_items.items():
            attributes = {semconv.PROCESSOR_EXPORTER: self.name, semconv.PROCESSOR_SIGNAL: signal.value}
            yield semconv.PROCESSOR_PENDING, items, attributes
