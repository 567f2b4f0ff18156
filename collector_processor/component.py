"""What the parts of the service know of each other: these protocols and values, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias, TypeVar

from otel_ml.semconv import Metric
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.snapshot import Snapshot

AttributeValue: TypeAlias = str | int | float | bool | tuple[str, ...]

ItemT_contra = TypeVar("ItemT_contra", contravariant=True)


class Component(Protocol):
    """A part of the service with a life of its own."""

    async def start(self) -> None:
        """Make ready to work.

        Raises:
            StartError: It cannot; nothing is left behind.
        """
        ...

    async def shutdown(self, timeout_s: float) -> None:
        """Finish what was begun, within `timeout_s`; never raises."""
        ...


class Consumer(Protocol[ItemT_contra]):
    """Whatever takes items further down."""

    async def consume(self, item: ItemT_contra, /) -> None:
        """Take an item over.

        Raises:
            RefusedError: There is no room; nothing of the item was taken.
        """
        ...


class Signal(Enum):
    """The kinds of telemetry that OTLP carries."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Request:
    """One OTLP export request, on its way from a receiver to the exporters.

    Attributes:
        body: The encoded request; the very bytes that were received unless snapshots were taken out of them.
        items: Spans, data points or log records in `body`.
        snapshots: What was found in the request for ourselves.
        consumed: How many of the received records are no longer in `body` because they were snapshots.
        own: Made here, not received: results and self-telemetry.
    """

    signal: Signal
    body: bytes
    items: int
    snapshots: Sequence[Snapshot] = ()
    consumed: int = 0
    own: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """One data point that is to leave as OTLP: a gauge, or a cumulative sum when it has a start time."""

    metric: Metric
    value: int | float
    time_unix_nano: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    start_time_unix_nano: int | None = None
    exemplars: Sequence[Exemplar] = ()


class Severity(Enum):
    """The severities our events have; values are OTLP severity numbers."""

    INFO = 9
    WARN = 13


@dataclass(frozen=True, slots=True)
class Event:
    """One event that is to leave as an OTLP log record."""

    name: str
    severity: Severity
    body: str
    time_unix_nano: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """What the service has to say itself."""

    points: Sequence[Point] = ()
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The results of one closed window, to be kept.

    Attributes:
        results: JSON.
        segment: "dimension=value" of the slice; empty for the whole model.
    """

    model: str
    version: str
    start_unix_nano: int
    end_unix_nano: int
    rows: int
    baseline_id: str
    results: str
    segment: str = ""


class Store(Protocol):
    """What outlives the process. Sections are named by their owners, their entries are opaque."""

    def read(self, section: str) -> Mapping[str, bytes]:
        """The entries of a section, as last written."""
        ...

    async def write(self, sections: Mapping[str, Mapping[str, bytes]], history: Sequence[HistoryEntry] = ()) -> None:
        """Replace whole sections and add to the history, all or nothing."""
        ...
