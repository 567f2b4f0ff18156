"""The demo as one sees it: a live page on a terminal, a line for everything that happens elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from otel_ml.demo.flights import FEATURES
from otel_ml.demo.scenario import SYMPTOMS, Phase, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from typing_extensions import Self

    from otel_ml.demo.backend import AlertEvent, Column, Received
    from otel_ml.demo.traffic import Statistics

_PHASES: Final = {
    Phase.NORMAL: ("green", "normal: the feed is healthy"),
    Phase.INCIDENT: ("bold red", "incident: an upstream feed changed"),
    Phase.FIXED: ("cyan", "fixed: the feed is repaired"),
}
_BARS: Final = "▁▂▃▄▅▆▇█"
_FULL_BAR: Final = 0.5
_NO_SCORE: Final = "-"
_SHOWN_ALERTS: Final = 8
_HIGH_PAGE: Final = 38
_NEXT: Final = (
    "opentelemetry-instrument uvicorn app:app                           # your own model server, no code change",
    "otel-ml baseline build train.parquet --model NAME -o NAME.baseline  # what your model knew in training",
    "otel-ml processor --config processor.yaml                          # drift metrics and alerts, to your backend",
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of the replay."""

    moment: datetime
    scenario: Scenario
    statistics: Statistics
    received: Received

    @property
    def phase(self) -> Phase:
        """Where in the story it is."""
        return self.scenario.phase(self.moment)


class View(Protocol):
    """Shows the demo to somebody."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was found."""
        ...

    def close(self) -> None:
        """Likewise; what is said from now on stands below."""
        ...

    def say(self, message: str) -> None:
        """Tell something that happened."""
        ...

    def update(self, scene: Scene) -> None:
        """Show the replay as it is now."""
        ...


def sparkline(values: Iterable[float]) -> str:
    """One character a value, the tallest from 0.5 on: PSI says nothing more beyond."""
    return "".join(_BARS[min(len(_BARS) - 1, int(value / _FULL_BAR * len(_BARS)))] for value in values)


def firing(alerts: Sequence[AlertEvent]) -> dict[str, list[str]]:
    """The names of the alerts that fire now, by column."""
    found: dict[str, list[str]] = {}
    for alert in alerts:
        names = found.setdefault(alert.column, [])
        if alert.state == "firing":
            names.append(alert.name)
        elif alert.name in names:
            names.remove(alert.name)
    return {column: names for column, names in found.items() if names}


class PlainView:
    """Lines of text.

    Args:
        stream: Where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._alerts = 0
        self._windows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Lines are where they are."""

    def say(self, message: str) -> None:
        """Print it."""
        print(message, file=self._stream, flush=True)

    def update(self, scene: Scene) -> None:
        """Print what is new: a phase, a window, an alert."""
        if scene.phase is not self._phase:
            self._phase = scene.phase
            self.say(f"{scene.moment:%d %b}  {_PHASES[scene.phase][1]}")
            if scene.phase is Phase.INCIDENT:
                for symptom in SYMPTOMS:
                    self.say(f"         {symptom.story}")
        for alert in scene.received.alerts[self._alerts :]:
            self.say(f"{scene.moment:%d %b}  {alert.state.upper()}  {alert.column}: {alert.name}: {alert.reason}")
        self._alerts = len(scene.received.alerts)
        if scene.received.windows > self._windows:
            self._windows = scene.received.windows
            self.say(f"{scene.moment:%d %b}  {_figures(scene)}; {_highest(scene.received)}")


class LiveView:
    """A page that is drawn anew while the replay runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._scene: Scene | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the page, and leave it there."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, message: str) -> None:
        """Print it, above the page where there is one."""
        self._console.print(message, markup=False, highlight=False)

    def update(self, scene: Scene) -> None:
        """Draw the page."""
        page = render(scene, self._console.height)
        if self._live is None:
            self._live = Live(page, console=self._console, refresh_per_second=4)
            self._live.start()
        else:
            self._live.update(page)


def view(*, plain: bool, stream: TextIO = sys.stdout) -> View:
    """The view for this stream: a page where it is a terminal that can show one, lines otherwise."""
    console = Console(file=stream)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainView(stream)
    return LiveView(console)


def render(scene: Scene, height: int) -> RenderableType:
    """The page, for a terminal of so many lines."""
    style, title = _PHASES[scene.phase]
    elapsed = scene.scenario.elapsed_s(scene.moment)
    progress = ProgressBar(total=scene.scenario.duration_s, completed=min(elapsed, scene.scenario.duration_s), width=20)
    head = Table.grid(padding=(0, 2))
    head.add_row(Text(f"{scene.moment:%a %d %b %Y}", style="bold"), progress, Text(title, style=style))
    parts: list[RenderableType] = [head, Text(_figures(scene), style="dim")]
    if scene.phase is Phase.INCIDENT:
        parts += [Text(f"  upstream: {symptom.story}", style="red") for symptom in SYMPTOMS]
    parts += [_columns(scene.received), _alerts(scene.received.alerts, height)]
    return Panel(
        Group(*parts), title="otel-ml demo: arrival delays of flights out of New York, 2013", border_style=style
    )


def _columns(received: Received) -> Table:
    table = Table(expand=True, header_style="bold", box=None)
    table.add_column("column")
    table.add_column("PSI by window")
    for name in ("PSI", "missing", "unseen"):
        table.add_column(name, justify="right")
    table.add_column("alerts")
    alerts = firing(received.alerts)
    # Features in the model's order; predictions after them.
    names = [*FEATURES, *sorted(name for name in received.columns if name not in FEATURES)]
    for name in names:
        column = received.columns.get(name)
        is_firing = name in alerts
        table.add_row(
            name,
            sparkline(column.drift if column else ()),
            *(_cell(column, what) for what in ("drift", "missing", "unseen_category")),
            " ".join(alerts.get(name, ())),
            style="bold red" if is_firing else None,
        )
    return table


def _cell(column: Column | None, what: str) -> str:
    value = column.latest.get(what) if column else None
    if value is None:
        return _NO_SCORE
    return f"{value:.3f}" if what == "drift" else f"{value:.1%}"


def _alerts(alerts: Sequence[AlertEvent], height: int) -> RenderableType:
    if not alerts:
        return Text("no alert so far", style="dim")
    # Where the page would be cut off at its end, the latest alerts have to do, a line each.
    is_low = height < _HIGH_PAGE
    lines = []
    for alert in alerts[-(_SHOWN_ALERTS // 2 if is_low else _SHOWN_ALERTS) :]:
        is_firing = alert.state == "firing"
        line = Text(f"{'▲ fired   ' if is_firing else '▼ resolved'} ", style="bold red" if is_firing else "green")
        line.no_wrap, line.overflow = is_low, "ellipsis"
        line.append(f"{alert.column}: {alert.name}: ", style="bold")
        line.append(alert.reason, style="not bold default")
        lines.append(line)
    return Group(*lines)


def _figures(scene: Scene) -> str:
    statistics = scene.statistics
    latency_s = statistics.p95_latency_s()
    p95 = _NO_SCORE if latency_s is None else f"{latency_s * 1000:.0f} ms"
    return (
        f"{statistics.requests_per_s():.0f} requests/s, p95 {p95}, {statistics.rows:,} rows sent,"
        f" {scene.received.rows_counted:,} counted, {scene.received.windows} windows"
    )


def _highest(received: Received) -> str:
    drift = {name: column.latest["drift"] for name, column in received.columns.items() if "drift" in column.latest}
    worst = sorted(drift.items(), key=lambda item: item[1], reverse=True)[:3]
    return "highest PSI: " + (", ".join(f"{name} {score:.3f}" for name, score in worst) or _NO_SCORE)


def ending(content: Mapping[str, Any], keep: Path | None) -> list[str]:
    """What came of it, and what to try next."""
    seconds = content["seconds_since_launch"]
    lines = [
        f"{alert['feature']}: {alert['name']} fired on {alert['fired_in_replay'][:10]} ({alert['reason']})"
        + (f", resolved on {alert['resolved_in_replay'][:10]}" if alert["resolved_at"] else "")
        for alert in content["alerts"]
    ]
    lines.append(
        f"{content['rows_sent']:,} rows sent, {content['rows_counted']:,} counted by the processor,"
        f" {content['bytes_per_feature'] or 0:.0f} bytes per column and snapshot, {seconds['total']:.0f} s."
    )
    forward = content["forward"]
    if forward is not None:
        items = ", ".join(f"{count:,} {signal}" for signal, count in sorted(forward["items"].items()))
        lines.append(f"{forward['url']} took {items or 'nothing'}.")
    lines += ["", "Next:", *(f"  {command}" for command in _NEXT)]
    if keep is not None:
        lines += ["", f"Model, baseline, processor.yaml and logs are in {keep}."]
    return lines
