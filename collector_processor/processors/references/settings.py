"""Which references a window is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from collector_processor.settings import Duration, PositiveDuration, Settings, parse_duration

SECOND: Final = 1_000_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
LOOK_BACK_DAYS: Final = 3
"""How far back an example of a time of day is looked for, where a column drifted on the days between."""


class Span(NamedTuple):
    """How far back the trailing windows reach: a number of windows, or a time."""

    windows: int = 0
    seconds: float = 0.0

    def nanoseconds(self, window: int) -> int:
        """The same for windows of this length, in nanoseconds."""
        return self.windows * window or round(self.seconds * SECOND)


def parse_span(value: object) -> Span:
    """The span written as a number of windows, as a duration, or as "off".

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, Span):
        return value
    # YAML reads a plain off as false.
    if value is False or value in (None, "off", 0):
        return Span()
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Span(windows=value)
    if isinstance(value, str):
        try:
            return Span(seconds=parse_duration(value))
        except ValueError:
            pass
    raise ValueError(f'{value!r} is not a span (a number of windows such as 24, a duration such as "24h", or off)')


def _off(value: object) -> object:
    """YAML reads a plain off as false."""
    return "off" if value is False else value


class StableSettings(Settings):
    """Which deployment the others are compared with, window by window.

    Attributes:
        choose: "longest_lived": the one heard of first; "most_rows": the one with most rows in the window; "listed":
            the first of `versions` that is there; or "off".
        versions: By name of the model, for "listed"; or values of the dimension.
        dimension: Deployments are told apart by the version of the model; and, where this names a resource attribute,
            such as service.version or k8s.replicaset.name, those of one version by it. It may name a dimension of
            segments, too.
    """

    choose: Annotated[Literal["longest_lived", "most_rows", "listed", "off"], BeforeValidator(_off)] = "longest_lived"
    versions: Mapping[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(default_factory=dict)
    dimension: str | None = Field(default=None, min_length=1, max_length=256)

    @model_validator(mode="after")
    def _lists_what_it_chooses_from(self) -> StableSettings:
        if self.choose == "listed" and not any(self.versions.values()):
            raise ValueError('choose: "listed" needs versions (such as {fraud: ["3"]})')
        if self.choose != "listed" and self.versions:
            raise ValueError(f'versions: are not used with choose: {self.choose!r} (choose: "listed")')
        if self.choose == "off" and self.dimension is not None:
            raise ValueError(
                f"dimension: {self.dimension!r} is not used with choose: 'off' (choose: \"longest_lived\")"
            )
        return self


class HistorySettings(Settings):
    """Bounds on what is kept of past windows; beyond them the oldest is forgotten, and counted.

    Attributes:
        series: Models, each version and each segment for itself.
        windows: Of one of these, those that were merged into hours included.
        memory_mib: Of all together, encoded.
    """

    series: int = Field(default=1000, ge=1)
    windows: int = Field(default=2000, ge=2)
    memory_mib: int = Field(default=256, ge=1)


def _whole_windows(value: float) -> float:
    if value and value < 3600.0:
        raise ValueError(f"{value:g} s is too short (at least 1h, or 0 for none)")
    return value


class ReferenceSettings(Settings):
    """What a window is compared with, beside the baseline.

    Attributes:
        trailing: The windows just before, together; off by default, for what is wrong for a while becomes normal.
        last_day: The same time a day ago, in UTC; of a column that drifted then, the day before, up to three days back.
        last_week: The same hour of the same weekday a week ago; windows shorter than an hour are compared with all of
            that hour.
        known_season: Share of a detector's threshold that counts as drift where the same time of another day confirms
            it. As long as no day before is known, only what passes the whole threshold counts: it can hardly be a
            season.
        seasonal_threshold: How much of that the same time of another day has to differ by: half, so that one shift
            does not have to pass the same threshold twice.
        neighbours: Windows on either side of last day's that are taken too, where one alone has too few rows.
        stable: Another deployment of the same model in the same window.
        segments: Keep references for segments too.
        rollup: Length of the merged window that gradual drift is judged on; a day, so that its seasons average out. 0
            for none.
        rollup_every: How often it is judged.
        rollup_threshold: Share of a detector's threshold that counts as gradual drift: a day has more rows than an
            hour, and what lasts for one is no accident.
        history: Bounds on memory.
    """

    trailing: Annotated[Span, PlainValidator(parse_span)] = Span()
    last_day: bool = True
    last_week: bool = True
    known_season: float = Field(default=0.25, gt=0, le=1)
    seasonal_threshold: float = Field(default=0.5, gt=0, le=1)
    neighbours: int = Field(default=0, ge=0, le=6)
    stable: StableSettings = StableSettings()
    segments: bool = False
    rollup: Annotated[Duration, AfterValidator(_whole_windows)] = 86_400.0
    rollup_every: PositiveDuration = 21_600.0
    rollup_threshold: float = Field(default=0.05, gt=0, le=1)
    history: HistorySettings = HistorySettings()

    def names(self, window: int) -> tuple[str, ...]:
        """The references that windows of so many nanoseconds are to have, the baseline first."""
        return (
            BASELINE,
            *([TRAILING] if self.trailing != Span() else []),
            # In a window of a day there are no hours to tell apart.
            *([LAST_DAY] if self.last_day and window < DAY else []),
            *([LAST_WEEK] if self.last_week and window < WEEK else []),
            *([STABLE] if self.stable.choose != "off" else []),
        )


BASELINE: Final = "baseline"
TRAILING: Final = "trailing"
LAST_DAY: Final = "last_day"
LAST_WEEK: Final = "last_week"
STABLE: Final = "stable"
SAME_HOUR: Final = "same_hour"
"""The same hour of about the last seven days."""
SEASONAL: Final = (LAST_DAY, LAST_WEEK)
