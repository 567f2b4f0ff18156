"""What is kept of windows for people to look at, and how it is asked for.

Written by whoever evaluates windows, kept by the store, read by the console: these values are all they share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from otel_ml.drawing.frame import Frame
from otel_ml.sketch.sketch import FloatArray

ResultT = TypeVar("ResultT")

LARGEST_MAGNITUDE: Final = 5.0
"""Multiple of its threshold up to which a score is kept in a heat map."""
FIGURES: Final = np.dtype(
    [
        ("score", "<f4"),
        ("threshold", "<f4"),
        ("log_q", "<f2"),
        ("rows", "<u4"),
        ("missing", "<f2"),
        ("type_mismatch", "<f2"),
        ("infinite", "<f2"),
        ("out_of_range", "<f2"),
        ("unseen_category", "<f2"),
        ("flags", "u1"),
    ]
)
"""What is kept of a column in a window: the deciding score and its threshold, the decimal logarithm of the q-value,
shares of bad values, and `Flag`s. NaN is what was not measured."""

Figures = npt.NDArray[np.void]
"""(columns,) of `FIGURES`."""


class Flag(IntFlag):
    """What a window says of a column, in a byte."""

    BREACH = 1
    """Its drift is big, significant and unusual."""
    FIRING = 2
    """An alert about its drift fires."""
    BAD_VALUES = 4
    """A kind of bad value is too frequent."""
    BAD_VALUES_FIRING = 8
    """An alert about its values fires."""


class Subject(NamedTuple):
    """Whose windows they are.

    Attributes:
        segment: "dimension=value" of the slice; empty for the whole model.
    """

    model: str
    version: str
    segment: str = ""


class Column(NamedTuple):
    """A column of a model.

    Attributes:
        role: "feature", "prediction", "score" or "joint".
        importance: How much the model relies on it, relative to the others; 1 where nobody said.
    """

    role: str
    name: str
    kind: str
    importance: float = 1.0


@dataclass(frozen=True, slots=True)
class CallFigures:
    """How calls of the model went in a window, over all processes.

    Attributes:
        errors: By type.
        p50: Of the durations, in seconds; None where there are none.
    """

    count: int
    errors: Mapping[str, int] = field(default_factory=dict)
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @property
    def failed(self) -> int:
        """Calls that ended with an error."""
        return sum(self.errors.values())


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One thing that was told about a model.

    Attributes:
        check: What is watched: "drift", "missing", …, "common_change".
        role: Of the column; empty where it is about the model.
        state: "firing", "resolved", or "told" of what only happens.
        sentence: Why, with the numbers.
        attributes: All that the event says.
    """

    time_unix_nano: int
    subject: Subject
    check: str
    role: str
    column: str
    state: str
    sentence: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class FiringKey(NamedTuple):
    """An alert of a subject, by what it is about; named as in `AlertRecord`."""

    check: str
    role: str
    column: str


@dataclass(frozen=True, slots=True)
class WindowLine:
    """A window in one line.

    Attributes:
        outcome: As of `WindowEvaluation`.
        drifted: Features whose drift breached …
        compared: … of so many that were compared.
        producers: Processes heard, by the digest of their packages.
    """

    start_unix_nano: int
    end_unix_nano: int
    rows: int
    outcome: str
    baseline_id: str = ""
    drifted: int = 0
    compared: int = 0
    producers: Mapping[str, int] = field(default_factory=dict)
    calls: CallFigures | None = None
    is_partial: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class WindowRecord:
    """All that is kept of a window.

    Attributes:
        columns: What the figures are of, in their order.
        figures: (columns,) of `FIGURES`.
        frames: In which the shapes are drawn; None for a column that has none.
        shapes: Of each column its shares in the frame's bins; None likewise.
        details: JSON of everything that was found out.
        alerts: What was told on its occasion.
        firing: All that fires after it; None where that was not asked.
        is_notable: Its details are worth keeping as long as the window.
    """

    subject: Subject
    line: WindowLine
    columns: Sequence[Column]
    figures: Figures
    frames: Sequence[Frame | None] = ()
    shapes: Sequence[FloatArray | None] = ()
    details: str = "{}"
    alerts: Sequence[AlertRecord] = ()
    firing: Collection[FiringKey] | None = None
    is_notable: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """How far each column drifted in each window.

    Attributes:
        times: (windows,) ends of the windows, nanoseconds.
        columns: All that any of the windows has.
        magnitudes: (columns, windows) score over threshold, to two decimals up to 5; NaN where it was not measured.
        flags: (columns, windows) of `Flag`.
    """

    times: npt.NDArray[np.int64]
    columns: Sequence[Column]
    magnitudes: FloatArray
    flags: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How far the worst column drifted in each window.

    Attributes:
        times: (windows,) ends of the windows, nanoseconds; those without columns are left out.
        magnitudes: (windows,) as those of `Heat`, the largest of all columns.
        flags: (windows,) of `Flag`, those of all columns together.
    """

    times: npt.NDArray[np.int64]
    magnitudes: FloatArray
    flags: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSeries:
    """One column, window by window.

    Attributes:
        starts: (windows,) nanoseconds.
        times: (windows,) ends of the windows.
        figures: (windows,) of `FIGURES`.
    """

    column: Column
    starts: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    figures: Figures


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a column looked like in a window.

    Attributes:
        shares: (bins,) of the window; None where only the reference is known.
        count: Values of the window.
    """

    frame: Frame
    shares: FloatArray | None
    start_unix_nano: int
    end_unix_nano: int
    count: int


class Archive(Protocol):
    """What was kept, to be read; times are nanoseconds, and a range has its first and not its last moment."""

    def subjects(self, model: str | None = None) -> Sequence[Subject]:
        """Everybody who has windows, or all versions and segments of one model, by name."""
        ...

    def lines(self, subject: Subject, since: int, until: int, limit: int = 10_000) -> Sequence[WindowLine]:
        """Windows that end within a range, the latest `limit` of them, oldest first."""
        ...

    def drift_shares(self, subject: Subject, until: int, limit: int) -> Sequence[float | None]:
        """Share of features that drifted in each of the latest windows that end by then, oldest first."""
        ...

    def first_heard(self, subject: Subject) -> int | None:
        """Start of the oldest window that is kept."""
        ...

    def heat(self, subject: Subject, since: int, until: int) -> Heat:
        """All columns in the windows that end within a range, oldest first."""
        ...

    def course(self, subject: Subject, since: int, until: int) -> Course:
        """The worst of all columns in the windows that end within a range, oldest first."""
        ...

    def series(self, subject: Subject, role: str, name: str, since: int, until: int) -> ColumnSeries | None:
        """One column in the windows that end within a range, oldest first; None where nobody knows it."""
        ...

    def picture(self, subject: Subject, role: str, name: str, until: int) -> Picture | None:
        """What a column looked like in the last window that ended by then and is kept in detail."""
        ...

    def details(self, subject: Subject, until: int) -> tuple[int, Mapping[str, Any]] | None:
        """End and findings of the last window that ended by then and is kept in detail."""
        ...

    def alerts(self, since: int, until: int, model: str | None = None, limit: int = 500) -> Sequence[AlertRecord]:
        """What was told within a range, latest first."""
        ...

    def firing(self, model: str | None = None) -> Sequence[AlertRecord]:
        """What fires now, as it was told when it began, latest first."""
        ...


class History(Protocol):
    """Where somebody reads who must not hold up those who write."""

    async def ask(self, question: Callable[[Archive], ResultT]) -> ResultT:
        """The answer to a question, found in a thread for readers."""
        ...
