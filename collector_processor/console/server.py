"""The console as a part of the service: a server, and what it samples while nobody looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from collector_processor.console.guarding import TOO_MANY_GUESSES, Gate
from collector_processor.console.page import BaselineFacts, Live
from collector_processor.console.settings import ConsoleSettings
from collector_processor.errors import StartError
from collector_processor.history import History
from collector_processor.http_server import Application, HttpServer, Limits, Receive, Scope, Send
from collector_processor.security import Certificates, is_loopback, read_token
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address
from otel_ml import semconv
from otel_ml.baseline import Baseline

if TYPE_CHECKING:
    from collector_processor.component import Point

_log = logging.getLogger(__name__)

_PATH: Final = "service::console::endpoint"
_LIMITS: Final = Limits(connections=128, read_timeout_s=10.0, idle_timeout_s=60.0)
_SAMPLE_EVERY_S: Final = 10.0
_SAMPLES: Final = 360


class Console:
    """Pages about everything that the processor knows.

    What shows them is loaded when the first is asked for, so that a processor that nobody looks at starts without it.

    Args:
        baselines: Gives those that are loaded.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        history: History,
        telemetry: SelfTelemetry,
        *,
        baselines: Callable[[], Sequence[Baseline]] = tuple,
        clear_ratio: float = 0.75,
        window_s: float = 300.0,
        lateness_s: float = 30.0,
    ) -> None:
        self._settings = settings
        self._history = history
        self._telemetry = telemetry
        self._baselines = baselines
        self._facts = {"clear_ratio": clear_ratio, "window_s": window_s, "lateness_s": lateness_s}
        self._samples: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=_SAMPLES)
        self._gate: Gate | None = None
        self._application: Application | None = None
        self._loading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: HttpServer | None = None

    @property
    def address(self) -> Address | None:
        """The bound address, once started; None as well where it is switched off."""
        return None if self._server is None else self._server.address

    @property
    def url(self) -> str | None:
        """Where a browser on this machine finds it, once started."""
        if self.address is None:
            return None
        host = self.address.host if self.address.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - a comparison
        return f"{'http' if self._settings.tls is None else 'https'}://{Address(host, self.address.port)}/"

    async def start(self) -> None:
        """Answer from now on.

        Raises:
            StartError: The address cannot be bound, or files of TLS or the token cannot be read.
        """
        settings = self._settings
        if not settings.enabled:
            return
        certificates = None if settings.tls is None else Certificates.of(settings.tls)
        try:
            tls = None if certificates is None else certificates.context()
            version = None if certificates is None else certificates.version
        except (OSError, ValueError) as error:
            raise StartError(f"service::console::tls: {error} (PEM files of a certificate and its key)") from error
        auth = settings.auth
        try:
            token = None if auth is None else read_token(auth.bearer_token, auth.bearer_token_file)
        except (OSError, ValueError) as error:
            raise StartError(f"service::console::auth: {error} (see --validate)") from error
        self._gate = Gate(token, is_local=is_loopback(settings.endpoint.host), refused=self._refused)
        server = HttpServer(self._answer, settings.endpoint, path=_PATH, limits=_LIMITS, tls=tls)
        try:
            await server.start()
        except StartError as error:
            if "endpoint" in settings.model_fields_set:
                raise
            # Nobody asked for this very address, and nothing that matters depends on it.
            _log.warning("%s; the console is on another port", error)
            server = HttpServer(self._answer, Address(settings.endpoint.host, 0), path=_PATH, limits=_LIMITS, tls=tls)
            await server.start()
        self._server = server
        self._tasks.append(asyncio.create_task(self._telemetry.guard("console", self._sample)))
        if certificates is not None and tls is not None:
            renewing = partial(certificates.keep, tls, version, partial(self._telemetry.failed, "certificates"))
            self._tasks.append(asyncio.create_task(self._telemetry.guard("certificates", renewing)))

    async def shutdown(self, timeout_s: float) -> None:
        """Answer no more."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.shutdown(min(timeout_s, 1.0))

    def live(self) -> Live:
        """What is known at this moment."""
        baselines = [
            BaselineFacts(baseline.id, *baseline.model, baseline.rows, baseline.created_unix_nano)
            for baseline in self._baselines()
        ]
        points, recent = self._telemetry.points(), self._telemetry.recent()
        return Live(points, list(self._samples), baselines, recent, **self._facts)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._application is None:
            async with self._loading:
                if self._application is None:
                    self._application = await asyncio.to_thread(self._load)
        await self._application(scope, receive, send)

    def _load(self) -> Application:
        from collector_processor.console.application import application  # noqa: PLC0415 - see the class

        assert self._gate is not None, "a server answers that was not started"
        return application(self._settings, self._history, self._telemetry, self._gate, self.live)

    def _refused(self, reason: str) -> None:
        self._telemetry.count(semconv.PROCESSOR_CONSOLE_REFUSED, drop_reason=reason)
        if reason == TOO_MANY_GUESSES:
            self._telemetry.say_once("console:guesses", "too many wrong tokens at the console; guesses have to wait")

    async def _sample(self) -> None:
        while True:
            self._samples.append((time.time_ns(), _sums(self._telemetry.points())))
            await asyncio.sleep(_SAMPLE_EVERY_S)


def _sums(points: Sequence[Point]) -> dict[str, float]:
    """By name of the metric the sum over all its series."""
    found: dict[str, float] = {}
    for point in points:
        found[point.metric.name] = found.get(point.metric.name, 0.0) + point.value
    return found
