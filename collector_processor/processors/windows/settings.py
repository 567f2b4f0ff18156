"""When windows begin and end, and how many there may be."""

from __future__ import annotations

from pydantic import Field

from collector_processor.settings import Duration, PositiveDuration, Settings


class LimitSettings(Settings):
    """Bounds on memory; what lies beyond is counted, and kept together in overflow series.

    Attributes:
        models: Models with open windows, each version for itself; the rows of further ones are counted together.
        versions: Of them, versions of one name; rows and missing values of further ones are counted together.
        features: Columns of a model; of further ones, rows and missing values are counted together.
        open_windows: Windows of one model that wait for their end, or for what is late.
        segments: Segments of one model; further values of a dimension are one more segment.
        producers: Processes whose sequence numbers are remembered.
        memory_mib: Of all windows together, about. Beyond it, a model that has more than its share gets no more
            columns: they are counted as those beyond `features` are.
    """

    models: int = Field(default=200, ge=1)
    versions: int = Field(default=20, ge=1)
    features: int = Field(default=2000, ge=1)
    open_windows: int = Field(default=48, ge=1)
    segments: int = Field(default=200, ge=0)
    producers: int = Field(default=10_000, ge=1)
    memory_mib: int = Field(default=1024, ge=1)


class WindowSettings(Settings):
    """When windows begin and end.

    Attributes:
        window: Length; windows begin at multiples of it since 1970, UTC.
        lateness: How long after its end a window still takes snapshots in before it is evaluated.
        allowed_lateness: For how long after that it is evaluated again with what comes; 0 evaluates it once.
        max_future: How far a producer's clock may run ahead of ours.
    """

    window: PositiveDuration = 300.0
    lateness: Duration = 30.0
    allowed_lateness: Duration = 600.0
    max_future: Duration = 600.0
    limits: LimitSettings = LimitSettings()
