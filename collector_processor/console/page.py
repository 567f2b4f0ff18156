"""What a page is: a query that gives its content, and a template that shows it.

A new kind of result is one module in `pages` and one template. The content is also the page's twin in JSON, at the
same address with `.json` behind the path, so it holds numbers, texts, lists and mappings alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from collector_processor.component import Point
from collector_processor.console.settings import ConsoleSettings
from collector_processor.history import Archive, Subject
from collector_processor.readings import Recent, SeriesKey

SECOND: Final = 1_000_000_000
RANGES: Final[Mapping[str, int]] = {
    "1h": 3600 * SECOND,
    "6h": 6 * 3600 * SECOND,
    "24h": 24 * 3600 * SECOND,
    "7d": 7 * 24 * 3600 * SECOND,
    "30d": 30 * 24 * 3600 * SECOND,
}
"""How far back a page looks, in nanoseconds, by the name of the range."""
DEFAULT_RANGE: Final = "24h"

Content = Mapping[str, Any]


class NotFoundError(Exception):
    """Nobody knows what a page was asked about."""


@dataclass(frozen=True, slots=True)
class BaselineFacts:
    """What is told of a baseline."""

    id: str
    model: str
    version: str
    rows: int
    created_unix_nano: int


@dataclass(frozen=True, slots=True)
class Live:
    """What the processor knows of itself at this moment.

    Attributes:
        points: Its own counters and gauges.
        samples: Earlier values of the sums, oldest first: when, in nanoseconds, and by name and attributes.
        baselines: Those that are loaded.
        recent: By how much sums have grown in the last hour; one that is not here is as new as all it has counted.
        clear_ratio: Off-threshold of alerts as a share of their threshold.
        window_s: Length of a window in seconds.
        lateness_s: How long after its end a window is evaluated.
    """

    points: Sequence[Point] = ()
    samples: Sequence[tuple[int, Mapping[str, float]]] = ()
    baselines: Sequence[BaselineFacts] = ()
    recent: Mapping[SeriesKey, Recent] = field(default_factory=dict)
    clear_ratio: float = 0.75
    window_s: float = 300.0
    lateness_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a page is asked.

    Attributes:
        parameters: Of the address.
        now: Nanoseconds since 1970.
    """

    archive: Archive
    parameters: Mapping[str, str] = field(default_factory=dict)
    live: Live = field(default_factory=Live)
    settings: ConsoleSettings = field(default_factory=ConsoleSettings)
    now: int = field(default_factory=time.time_ns)

    def text(self, name: str, default: str = "") -> str:
        """A parameter's value."""
        return self.parameters.get(name, default)

    def needed(self, name: str) -> str:
        """A parameter's value.

        Raises:
            NotFoundError: It is not there.
        """
        if name not in self.parameters:
            raise NotFoundError(f"{name}: is missing in the address (?{name}=…)")
        return self.parameters[name]

    @property
    def range(self) -> str:
        """The name of how far back to look."""
        found = self.text("range", DEFAULT_RANGE)
        if found not in RANGES:
            raise NotFoundError(f"range: {found!r} is not known (one of {', '.join(RANGES)})")
        return found

    @property
    def until(self) -> int:
        """Up to when to look, in nanoseconds, this moment not included; parameter `at`, or now."""
        text = self.text("at")
        if not text:
            return self.now + 1
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise NotFoundError(f"at: {text!r} is no moment (nanoseconds since 1970)")
        return min(int(text) + 1, 1 << 62)

    @property
    def since(self) -> int:
        """From when on."""
        return max(0, self.until - RANGES[self.range])

    def subject(self) -> Subject:
        """The model that the address names, in its version that was heard of last where it names none.

        Raises:
            NotFoundError: Nobody ever heard of it.
        """
        name, segment = self.needed("name"), self.text("segment")
        known = [subject for subject in self.archive.subjects(name) if subject.segment == segment]
        if "version" in self.parameters:
            known = [subject for subject in known if subject.version == self.parameters["version"]]
        if not known:
            which = " ".join(part for part in (name, self.text("version"), segment) if part)
            raise NotFoundError(f"model {which!r}: no window of it is kept (see the list of models)")
        return max(known, key=self._latest)

    def _latest(self, subject: Subject) -> int:
        lines = self.archive.lines(subject, 0, 1 << 62, 1)
        return lines[0].end_unix_nano if lines else 0


@dataclass(frozen=True, slots=True)
class Page:
    """One view.

    Attributes:
        path: Where it is, such as "/model".
        title: What it is called.
        template: File that shows it.
        query: What it shows.
        place: Where in the navigation; None leaves it out.
    """

    path: str
    title: str
    template: str
    query: Callable[[Request], Content]
    place: int | None = None


def address(path: str, /, **parameters: object) -> str:
    """An address of a view; parameters that are None are left out."""
    given = {name: str(value) for name, value in parameters.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
