"""What the parts of the service know of each other: these protocols and values, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from collector_processor.history import AlertRecord, WindowRecord
from otel_ml.semconv import Metric
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment, Snapshot

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
class HistogramSource:
    """What the values are that a plain OTLP histogram counts: which column, of which model.

    A name that is fixed is the name; else an attribute has it, of the data point or, for the model, of the resource. A
    model that nothing names is the service.

    Attributes:
        feature: The column's name, fixed; where `feature_attribute` is given, that of points without the attribute.
    """

    role: FeatureRole = FeatureRole.FEATURE
    feature: str = ""
    feature_attribute: str = ""
    model: str = ""
    model_attribute: str = ""
    version: str = ""
    version_attribute: str = ""


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """One data point of a plain OTLP histogram.

    Attributes:
        series: 16 bytes that stand for resource, scope, metric and attributes.
        start_time_unix_nano: 0 when unknown.
        is_cumulative: It counts all values since the start; otherwise those since the previous point.
        counts: In buckets that grow, or between bounds of the program's own.
        total: Sum of the values; None when unknown.
        minimum: None when unknown.
        maximum: None when unknown.
        segment: The slice of the model's rows it is about; None for the whole.
        resource: As `Snapshot.resource`.
    """

    series: bytes
    model: ModelKey
    key: FeatureKey
    start_time_unix_nano: int
    time_unix_nano: int
    is_cumulative: bool
    counts: ExponentialHistogram | AnchoredBins
    total: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    segment: Segment | None = None
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One OTLP export request, on its way from a receiver to the exporters.

    Attributes:
        body: The encoded request; the very bytes that were received unless snapshots were taken out of them.
        items: Spans, data points or log records in `body`.
        snapshots: What was found in the request for ourselves.
        consumed: How many of the received records are no longer in `body` because they were snapshots.
        own: Made here, not received: results and self-telemetry.
        taken: What was taken out of the request for ourselves, encoded as a request of the same signal.
        rejected: How many received records are neither in `body` nor of use to ourselves, by reason.
        is_watched: `body` itself holds something for ourselves, too, that stays in it.
        histograms: Data points in `body` that are the values of a column.
    """

    signal: Signal
    body: bytes
    items: int
    snapshots: Sequence[Snapshot] = ()
    consumed: int = 0
    own: bool = False
    taken: bytes = b""
    rejected: Mapping[str, int] = field(default_factory=dict)
    is_watched: bool = False
    histograms: Sequence[HistogramPoint] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as the log keeps it.

    Attributes:
        body: What the exporters of the signal send; may be empty.
        items: Spans, data points or log records in `body`.
        taken: What is for ourselves alone, encoded as a request of the same signal; mostly empty.
        is_watched: `body` is to be read for ourselves, too.
        own: Made here, not received.
    """

    signal: Signal
    body: bytes
    items: int
    taken: bytes = b""
    is_watched: bool = False
    own: bool = False

    @property
    def size(self) -> int:
        """Bytes it is made of."""
        return len(self.body) + len(self.taken)


class Stored(NamedTuple):
    """An entry in the log, and where: the next one begins at `end` or later."""

    position: int
    end: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the log.

    Attributes:
        position: Grows from entry to entry, over restarts as well.
        items: How many received items (not own ones) of each signal were ever kept before it, so that the difference
            of two marks is what lies between them.
    """

    position: int
    items: Mapping[Signal, int]


class Log(Protocol):
    """Requests in the order in which they were accepted, kept until all who hold them have let go."""

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the process."""
        ...

    @property
    def begin(self) -> Mark:
        """The oldest entry that is still there, or the end."""
        ...

    @property
    def end(self) -> Mark:
        """Where the next entry goes; everything before it is safe."""
        ...

    @property
    def largest(self) -> int:
        """Bytes of the largest received entry that there is room for when nothing else is there."""
        ...

    def refusal(self, size: int, *, own: bool = False) -> str | None:
        """Why an entry of so many bytes would not be taken now, in a word or two; own ones find reserved room."""
        ...

    async def append(self, entry: Entry, committed: Callable[[int], None] | None = None) -> int:
        """Keep an entry, and return its end once nothing short of losing the disk can lose it.

        `committed` is called with the same position in the order of the log, before this returns, and also when whoever
        waits for this was cancelled meanwhile: what is in the log counts, whoever still listens.

        Raises:
            RefusedError: There is no room, or the disk failed; nothing was kept.
        """
        ...

    async def read(self, position: int, limit_bytes: int) -> Sequence[Stored]:
        """Entries from a position on, about as many as `limit_bytes` hold, at least one; none at the end."""
        ...

    async def wait_beyond(self, position: int) -> None:
        """Return once there is an entry at or behind a position."""
        ...

    async def mark_at(self, position: int) -> Mark:
        """The mark at a place where an entry begins or ends; may read a lot."""
        ...

    def hold(self, holder: str, position: int) -> None:
        """Keep everything from a position on for `holder`, and no longer what lies before it.

        Nothing is thrown away before each of the holders that the log was told of at first has said so once.
        """
        ...


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


class Store(Protocol):
    """What outlives the process. Sections are named by their owners, their entries are opaque."""

    def read(self, section: str) -> Mapping[str, bytes]:
        """The entries of a section, as last written."""
        ...

    async def write(
        self,
        sections: Mapping[str, Mapping[str, bytes]],
        history: Sequence[WindowRecord] = (),
        changes: Mapping[str, Mapping[str, bytes | None]] | None = None,
        told: Sequence[AlertRecord] = (),
    ) -> None:
        """Replace whole sections, change entries of others (None removes one), add to the history: all or nothing.

        The history takes windows with what was told of them, and what was told of none.

        What was written survives the loss of power once this returns.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that could not be delivered or used, kept so that somebody can look at it and try again.

    Attributes:
        source: Whose it is: an exporter's id, or a processor's.
        reason: Short and of few different values, as in what is counted as dropped.
        detail: What the backend said.
        body: An encoded request.
    """

    source: str
    signal: Signal
    reason: str
    detail: str
    items: int
    body: bytes


class DeadLetters(Protocol):
    """Where dead letters are kept, bounded in size: the oldest make room for new ones, and are counted."""

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters; what cannot be kept is counted, never raised."""
        ...
