"""Replays flights over real HTTP, in the order they departed, on the scenario's clock."""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np

from otel_ml.demo.errors import DemoError
from otel_ml.demo.flights import DAY, FEATURES, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    import pandas as pd

    from otel_ml.demo.scenario import Phase, Scenario

# A request costs a server that has half a core about as much for one flight as for fifty.
_ALONE_EVERY_HOURS: Final = 6
_CONNECTIONS: Final = 4
# Requests under way or waiting; beyond, the clock waits for the server, and memory does not grow.
_AHEAD: Final = 16
_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 3.0
_RECENT: Final = 500
_RATE_OVER_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Request:
    """Flights that are sent together.

    Attributes:
        moment: When, in simulated time.
        body: JSON.
        arrival_delays: What really happened to them, for judging the answers; shape (flights,).
    """

    moment: datetime
    body: bytes
    arrival_delays: Any


def requests(replayed: pd.DataFrame) -> Iterator[Request]:
    """Every flight once: for each hour one request with its flights; now and then one of them travels alone."""
    import pandas as pd

    for day, flights in replayed.groupby(DAY):
        features = flights[list(FEATURES)].astype(object)
        records = features.where(features.notna(), None).to_dict("records")
        delays = flights[TARGET].to_numpy()
        hours = flights["scheduled_hour"].to_numpy()
        borders = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
        for start, end in pairwise(borders):
            moment = pd.Timestamp(day) + pd.Timedelta(hours=int(hours[start]))
            alone = int(hours[start]) % _ALONE_EVERY_HOURS == 0
            for part in (slice(start, end - alone), slice(end - alone, end)):
                if records[part]:
                    yield Request(moment.to_pydatetime(), json.dumps(records[part]).encode(), delays[part])


@dataclass(slots=True)
class Statistics:
    """What the replay has come to so far.

    Attributes:
        moment: Simulated time of the latest answer.
        lag_s: How far the replay was behind its clock at worst.
        errors: By phase, the sum of absolute errors of the answers in minutes, and their number.
    """

    moment: datetime
    requests: int = 0
    rows: int = 0
    lag_s: float = 0.0
    errors: dict[Phase, tuple[float, int]] = field(default_factory=dict)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    finished_at: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def requests_per_s(self) -> float:
        """Over the last few seconds."""
        now = time.monotonic()
        return sum(now - moment < _RATE_OVER_S for moment in tuple(self.finished_at)) / _RATE_OVER_S

    def p95_latency_s(self) -> float | None:
        """Of the latest requests, as the client sees it; None before the first."""
        latencies = tuple(self.latencies_s)
        return float(np.percentile(latencies, 95)) if latencies else None

    def mean_absolute_error(self, phase: Phase) -> float | None:
        """Of the model's answers in that phase, in minutes; None before the first."""
        total, rows = self.errors.get(phase, (0.0, 0))
        return total / rows if rows else None


class Traffic:
    """Clients that send requests when their time has come, in a thread of their own.

    Attributes:
        statistics: Read by others while the replay runs.
    """

    def __init__(self, url: str, scenario: Scenario, requests: Iterable[Request]) -> None:
        self.statistics = Statistics(scenario.moment(0))
        self._url = url
        self._scenario = scenario
        self._requests = requests
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._room = threading.Semaphore(_AHEAD)
        self._failure: Exception | None = None
        # When, in nanoseconds since 1970, which moment of the replay was reached.
        self._sent_at: list[int] = []
        self._moments: list[datetime] = []
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        """Begin to send; returns at once."""
        self._thread.start()

    def is_running(self) -> bool:
        """Whether there is more to send or an answer is awaited.

        Raises:
            DemoError: A request failed.
        """
        if self._failure is not None:
            raise DemoError(f"{self._url}: {self._failure}") from self._failure
        return self._thread.is_alive()

    def moment_at(self, unix_nano: int) -> datetime:
        """How far the replay had come then, in simulated time: behind its clock when the server was."""
        position = bisect.bisect_right(self._sent_at, unix_nano)
        if position and position == len(self._moments) and not self._thread.is_alive():
            return self._scenario.ends
        return self._moments[position - 1] if position else self._scenario.moment(0)

    def stop(self) -> None:
        """Send nothing more, and wait for the answers under way."""
        self._stop.set()
        if self._thread.ident is not None:
            # A server that hangs is killed next; then these requests fail.
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        # The user's proxy has no business between two processes of ours.
        limits = httpx.Limits(max_connections=_CONNECTIONS)
        with (
            httpx.Client(timeout=_TIMEOUT_S, trust_env=False, limits=limits) as client,
            ThreadPoolExecutor(_CONNECTIONS, "traffic") as pool,
        ):
            started = time.monotonic()
            try:
                for request in self._requests:
                    due = started + self._scenario.elapsed_s(request.moment)
                    if self._stop.wait(max(0.0, due - time.monotonic())) or self._failure is not None:
                        return
                    self._room.acquire()
                    self.statistics.lag_s = max(self.statistics.lag_s, time.monotonic() - due)
                    self._moments.append(request.moment)
                    self._sent_at.append(time.time_ns())
                    pool.submit(self._send, client, request)
            except Exception as error:
                self._failure = error

    def _send(self, client: httpx.Client, request: Request) -> None:
        try:
            begun = time.monotonic()
            response = client.post(self._url, content=request.body, headers={"content-type": "application/json"})
            finished = time.monotonic()
            response.raise_for_status()
            self._count(request, np.asarray(response.json()), finished - begun, finished)
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _count(self, request: Request, predicted: Any, latency_s: float, finished: float) -> None:
        error = float(np.abs(predicted - request.arrival_delays).sum())
        phase = self._scenario.phase(request.moment)
        statistics = self.statistics
        with self._lock:
            total, rows = statistics.errors.get(phase, (0.0, 0))
            statistics.errors[phase] = (total + error, rows + len(predicted))
            statistics.moment = max(statistics.moment, request.moment)
            statistics.requests += 1
            statistics.rows += len(predicted)
            statistics.latencies_s.append(latency_s)
            statistics.finished_at.append(finished)
