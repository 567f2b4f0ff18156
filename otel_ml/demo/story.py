"""The demo from beginning to end."""

from __future__ import annotations

import tempfile
import time
import webbrowser
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_ml.demo import flights, past, report, training
from otel_ml.demo.backend import Backend
from otel_ml.demo.errors import DemoError
from otel_ml.demo.processes import Children, free_port, wait_until_listening
from otel_ml.demo.scenario import Scenario
from otel_ml.demo.stage import FORWARD, Stage, exporter_settings
from otel_ml.demo.traffic import Traffic, requests
from otel_ml.demo.view import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from otel_ml.baseline import Baseline
    from otel_ml.demo.backend import Received
    from otel_ml.demo.processes import Child
    from otel_ml.demo.report import Report
    from otel_ml.demo.training import TrainedModel
    from otel_ml.demo.view import View
    from otel_ml.sketch.snapshot import Snapshot

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
        console_port: Of the console.
        stay: Leave the console open at the end, until somebody has seen enough.
        browse: Open a browser at the console.
    """

    speed: float = 1.0
    seed: int = 0
    server_port: int = 8000
    forward: str | None = None
    keep: Path | None = None
    console_port: int = 13180
    stay: bool = False
    browse: bool = False


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


def tell(options: Options, view: View, ended: Callable[[Report], None]) -> None:
    """Train, serve, replay, break, fix.

    Args:
        ended: Is told what came of it, as soon as that is known.

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
            _port("console", options.console_port, view),
            options.forward,
        )
        learned, replay = flights.split(flights.load())
        model, baseline = _prepare(stage, learned, replay, view)
        processor, server = stage.start_processor(children), stage.start_server(children)
        wait_until_listening(processor, stage.processor_port, _START_TIMEOUT_S)
        _tell_past(stage, past.snapshots(scenario, learned, model, baseline, _window_begins(scenario)), backend)
        wait_until_listening(server, stage.server_port, _START_TIMEOUT_S)
        url = f"http://127.0.0.1:{stage.server_port}/predict"
        view.say(f"Serving {url}; OTLP goes to 127.0.0.1:{stage.processor_port}. Replaying {scenario.weeks} weeks …")
        traffic = Traffic(url, scenario, requests(scenario.replayed(replay)))
        stack.callback(traffic.stop)
        view.say(f"Console: {stage.console}")
        if options.browse:
            webbrowser.open(stage.console)
        _play(stage, (processor, server), traffic, backend, children, clock, view)
        received = backend.read()
        told = report.build(
            scenario,
            model,
            traffic.statistics,
            received,
            report.Timing(clock.traffic, clock.first_scores, clock.fired, clock.resolved, clock.now()),
            moment_at=traffic.moment_at,
            speed=options.speed,
            forward=options.forward,
            forwarded=_forwarded(received),
            console=stage.console,
        )
        if told.problems:
            for child in (processor, server):
                view.say(f"The log of the {child.name} ends with\n{child.last_lines()}")
        ended(told)
        if options.stay:
            _stay(stage, children, view)


def _play(
    stage: Stage,
    running: tuple[Child, Child],
    traffic: Traffic,
    backend: Backend,
    children: Children,
    clock: _Clock,
    view: View,
) -> None:
    """Replay from beginning to end, and stop server and processor once they have said everything."""
    scenario, (processor, server) = stage.scenario, running
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


def _forwarded(received: Received) -> dict[str, int]:
    """By signal, what the user's own backend has taken."""
    return {signal: items for (name, signal), items in received.forwarded.items() if name.endswith(f"/{FORWARD}")}


def _stay(stage: Stage, children: Children, view: View) -> None:
    """Leave the console open until somebody has seen enough; the processor finds everything where it left it."""
    processor = stage.start_processor(children)
    wait_until_listening(processor, stage.console_port, _START_TIMEOUT_S)
    view.say(f"\nThe console stays open at {stage.console} until you press Ctrl-C.")
    try:
        while True:
            time.sleep(_TICK_S)
            children.require_running()
    except KeyboardInterrupt:
        return


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


def _prepare(stage: Stage, learned: pd.DataFrame, later: pd.DataFrame, view: View) -> tuple[TrainedModel, Baseline]:
    view.say(f"Training on {len(learned):,} flights of January to September 2013 …")
    model = training.train(learned, later, seed=stage.scenario.seed)
    view.say(
        f"On {len(later):,} later flights the model is off by {model.mean_absolute_error:.1f} minutes on average;"
        f" guessing the departure delay by {model.error_of_departure_delay:.1f}, always guessing the median by"
        f" {model.error_of_median:.1f}."
    )
    training.save_model(model, stage.model)
    baseline = training.build_baseline(model, learned, stage.baseline)
    view.say(
        f"Baseline of {len(flights.FEATURES)} features and the predictions: {stage.baseline.stat().st_size:,} bytes."
    )
    return model, baseline


def _window_begins(scenario: Scenario) -> int:
    """When the processor's present window began, in nanoseconds."""
    length = round(scenario.week_s * 1e9)
    return time.time_ns() // length * length


def _tell_past(stage: Stage, told: Iterable[Snapshot], backend: Backend) -> None:
    """Send what was before the story, and wait until all of it is known."""
    past.send([*told], stage.processor_port)
    _wait(lambda: backend.read().windows < past.WINDOWS, _ARRIVAL_TIMEOUT_S)
    backend.begin()


def _wait_for_window(scenario: Scenario) -> None:
    """Until a window of the processor begins, so that each holds one week of flights."""
    time.sleep(scenario.week_s - time.time() % scenario.week_s)


def _wait(is_awaited: Callable[[], bool], timeout_s: float) -> None:
    """While it is so, but no longer than `timeout_s`; what is missing then, the report says."""
    deadline = time.monotonic() + timeout_s
    while is_awaited() and time.monotonic() < deadline:
        time.sleep(_TICK_S)
