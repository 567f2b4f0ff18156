"""The demo from beginning to end."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_ml.demo import flights, report, training
from otel_ml.demo.backend import Backend
from otel_ml.demo.errors import DemoError
from otel_ml.demo.processes import Children, free_port, wait_until_listening
from otel_ml.demo.scenario import Scenario
from otel_ml.demo.stage import FORWARD, Stage, exporter_settings
from otel_ml.demo.traffic import Traffic, requests
from otel_ml.demo.view import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from otel_ml.demo.report import Report
    from otel_ml.demo.training import TrainedModel
    from otel_ml.demo.view import View

_PROCESSOR_PORT: Final = 4317
_START_TIMEOUT_S: Final = 60.0
_ARRIVAL_TIMEOUT_S: Final = 20.0
_TICK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        forward: URL of a backend that gets everything as well.
        keep: Directory for the demo's files; a temporary one when None.
    """

    speed: float = 1.0
    seed: int = 0
    server_port: int = 8000
    forward: str | None = None
    keep: Path | None = None


class _Clock:
    """Seconds since the command was started, and when what was first seen."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.first_scores: float | None = None
        self.fired: float | None = None
        self.resolved: float | None = None
        self.traffic = 0.0

    def now(self) -> float:
        return time.monotonic() - self._start

    def watch(self, scene: Scene) -> None:
        if self.first_scores is None and scene.received.windows:
            self.first_scores = self.now()
        states = [alert.state for alert in scene.received.alerts]
        if self.fired is None and "firing" in states:
            self.fired = self.now()
        if self.resolved is None and states and states.count("firing") == states.count("resolved"):
            self.resolved = self.now()
        elif states.count("firing") > states.count("resolved"):
            self.resolved = None


def tell(options: Options, view: View) -> Report:
    """Train, serve, replay, break, fix; what came of it.

    Raises:
        DemoError: Something the demo needs is missing or broke.
        KeyboardInterrupt: Somebody had enough; nothing is left running.
    """
    clock = _Clock()
    scenario = Scenario.at_speed(options.speed, options.seed)
    if options.forward is not None:
        exporter_settings(options.forward)
    with ExitStack() as stack:
        # Left in reverse: the processor still finds its files and its backend while it stops.
        directory = _directory(options, stack)
        backend = stack.enter_context(Backend())
        children = stack.enter_context(Children())
        stage = Stage(
            directory,
            scenario,
            backend.port,
            _port("processor", _PROCESSOR_PORT, view),
            _port("model server", options.server_port, view),
            options.forward,
        )
        learned, replay = flights.split(flights.load())
        model = _prepare(stage, learned, replay, view)
        processor, server = stage.start_processor(children), stage.start_server(children)
        wait_until_listening(processor, stage.processor_port, _START_TIMEOUT_S)
        wait_until_listening(server, stage.server_port, _START_TIMEOUT_S)
        url = f"http://127.0.0.1:{stage.server_port}/predict"
        view.say(f"Serving {url}; OTLP goes to 127.0.0.1:{stage.processor_port}. Replaying {scenario.weeks} weeks …")
        traffic = Traffic(url, scenario, requests(scenario.replayed(replay)))
        stack.callback(traffic.stop)
        _wait_for_window(scenario)
        clock.traffic = clock.now()
        traffic.start()

        def is_under_way() -> bool:
            """Whether the replay goes on; shows it."""
            children.require_running()
            moment = traffic.moment_at(time.time_ns())
            scene = Scene(moment, scenario, traffic.statistics, backend.read())
            clock.watch(scene)
            view.update(scene)
            try:
                return traffic.is_running()
            except DemoError:
                # Behind a request that failed there usually is a server that died: that is what to say.
                time.sleep(_TICK_S)
                children.require_running()
                raise

        while is_under_way():
            time.sleep(_TICK_S)
        # Being asked to terminate, the server sends what it has not sent yet.
        children.finish(server)
        rows = traffic.statistics.rows
        _wait(lambda: is_under_way() or backend.read().rows_counted < rows, _ARRIVAL_TIMEOUT_S)
        _wait(lambda: is_under_way() or backend.read().windows < scenario.weeks, stage.lateness_s + scenario.week_s + 5)
        children.finish(processor)
        is_under_way()
        received = backend.read()
        logs = {child.name: child.last_lines() for child in (processor, server)}
    forwarded = {signal: items for (name, signal), items in received.forwarded.items() if name.endswith(f"/{FORWARD}")}
    timing = report.Timing(clock.traffic, clock.first_scores, clock.fired, clock.resolved, clock.now())
    told = report.build(
        scenario,
        model,
        traffic.statistics,
        received,
        timing,
        moment_at=traffic.moment_at,
        speed=options.speed,
        forward=options.forward,
        forwarded=forwarded,
    )
    if told.problems:
        for name, lines in logs.items():
            view.say(f"The log of the {name} ends with\n{lines}")
    return told


def _directory(options: Options, stack: ExitStack) -> Path:
    if options.keep is None:
        return Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="otel-ml-demo-", ignore_cleanup_errors=True))
        )
    try:
        options.keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"--keep: {str(options.keep)!r}: {error.strerror}") from error
    return options.keep.resolve()


def _port(name: str, wanted: int, view: View) -> int:
    port = free_port(wanted)
    if wanted not in (0, port):
        view.say(f"Port {wanted} is busy; the {name} listens on {port} instead.")
    return port


def _prepare(stage: Stage, learned: pd.DataFrame, later: pd.DataFrame, view: View) -> TrainedModel:
    view.say(f"Training on {len(learned):,} flights of January to September 2013 …")
    model = training.train(learned, later, seed=stage.scenario.seed)
    view.say(
        f"On {len(later):,} later flights the model is off by {model.mean_absolute_error:.1f} minutes on average;"
        f" guessing the departure delay by {model.error_of_departure_delay:.1f}, always guessing the median by"
        f" {model.error_of_median:.1f}."
    )
    training.save_model(model, stage.model)
    training.build_baseline(model, learned, stage.baseline)
    view.say(
        f"Baseline of {len(flights.FEATURES)} features and the predictions: {stage.baseline.stat().st_size:,} bytes."
    )
    return model


def _wait_for_window(scenario: Scenario) -> None:
    """Until a window of the processor begins, so that each holds one week of flights."""
    time.sleep(scenario.week_s - time.time() % scenario.week_s)


def _wait(is_awaited: Callable[[], bool], timeout_s: float) -> None:
    """While it is so, but no longer than `timeout_s`; what is missing then, the report says."""
    deadline = time.monotonic() + timeout_s
    while is_awaited() and time.monotonic() < deadline:
        time.sleep(_TICK_S)
