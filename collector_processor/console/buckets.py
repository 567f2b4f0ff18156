"""Many windows in a few columns: a month is no more to draw than a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector_processor.history import LARGEST_MAGNITUDE, ColumnSeries, Heat, WindowLine
from otel_ml.drawing.palette import LEVEL_BOUNDS
from otel_ml.sketch.sketch import FloatArray

HEAT_COLUMNS: Final = 60
CHART_POINTS: Final = 300

# Multiples of its threshold at which a score is drawn that is infinite.
_TOP: Final = 5.0


def cuts(times: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.intp]:
    """Where groups of windows begin, at most so many: each alone where they are few, else by equal spans of time."""
    if len(times) <= most:
        return np.arange(len(times))
    first, last = int(times[0]), int(times[-1])
    span = max(1, -(-(last - first + 1) // most))
    groups = (times - first) // span
    return np.flatnonzero(np.diff(groups, prepend=-1))


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Windows put together, as many columns of a heat map as there is room for.

    Attributes:
        ends: Of the last window of each group, nanoseconds.
        windows: How many there are in each group.
        magnitudes: (rows, groups) the largest of each.
        levels: (rows, groups) of the palette, for these.
        flags: (rows, groups) those of all its windows.
        worst: (rows, groups) end of the window to look at: where something is beyond its threshold or was told of,
            then the one that went furthest.
    """

    ends: Sequence[int]
    windows: Sequence[int]
    magnitudes: FloatArray
    levels: npt.NDArray[np.intp]
    flags: npt.NDArray[np.uint8]
    worst: npt.NDArray[np.int64]


def heat_groups(heat: Heat, most: int = HEAT_COLUMNS) -> Groups:
    """The windows of a heat map in at most so many groups, each with its worst window."""
    if not len(heat.times):
        none = np.zeros(heat.flags.shape, np.int64)
        return Groups([], [], heat.magnitudes, none, heat.flags, none)
    starts = cuts(heat.times, most)
    after = [*starts[1:].tolist(), len(heat.times)]
    known = np.where(np.isnan(heat.magnitudes), -1.0, heat.magnitudes)
    largest = np.maximum.reduceat(known, starts, axis=1)
    # Above all that is neither: magnitudes are kept up to their largest.
    urgency = known + np.where((heat.flags > 0) | (known > 1.0), 2 * LARGEST_MAGNITUDE, 0.0)
    bounds = list(zip(starts.tolist(), after, strict=True))
    worst = [start + urgency[:, start:end].argmax(axis=1) for start, end in bounds]
    return Groups(
        heat.times[np.array(after) - 1].tolist(),
        [end - start for start, end in bounds],
        np.where(largest < 0, np.nan, largest),
        # As the palette's `level` has it, for all cells at once: how many of the bounds are below.
        np.searchsorted(LEVEL_BOUNDS, largest, side="left"),
        np.bitwise_or.reduceat(heat.flags, starts, axis=1),
        heat.times[np.stack(worst, axis=1)],
    )


def known_or_none(values: FloatArray) -> list[float | None]:
    """The same as pages hold it: what was not measured is None."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - only NaN is unlike itself


def heat_row(groups: Groups, place: int) -> dict[str, Any]:
    """One row of a heat map, as pages show it."""
    return {
        "magnitudes": known_or_none(groups.magnitudes[place]),
        "levels": groups.levels[place].tolist(),
        "flags": groups.flags[place].tolist(),
        "worst_windows": groups.worst[place].tolist(),
    }


def charts(lines: Sequence[WindowLine], most: int = CHART_POINTS) -> dict[str, Any]:
    """Volume, latency and errors over time: sums of rows, shares of failed calls, the worst latency of each group."""
    times = np.array([line.end_unix_nano for line in lines], np.int64)
    starts = cuts(times, most).tolist()
    found: dict[str, list[Any]] = {
        name: [] for name in ("times", "rows", "drifted", "error_ratio", "p50_s", "p95_s", "p99_s")
    }
    for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
        group = lines[start:end]
        calls = [line.calls for line in group if line.calls is not None and line.calls.count]
        total = sum(call.count for call in calls)
        found["times"].append(group[-1].end_unix_nano)
        found["rows"].append(sum(line.rows for line in group))
        compared = [line.drifted / line.compared for line in group if line.compared]
        found["drifted"].append(max(compared) if compared else None)
        found["error_ratio"].append(sum(call.failed for call in calls) / total if total else None)
        for name in ("p50", "p95", "p99"):
            known = [value for call in calls if (value := getattr(call, name)) is not None]
            found[f"{name}_s"].append(max(known) if known else None)
    return found


def thinned(series: ColumnSeries, kinds: Sequence[str], most: int = CHART_POINTS) -> dict[str, Any]:
    """A column over time: of each group of windows the one that drifted most, and the largest share of each bad value.

    Scores are those of the window that went furthest beyond its threshold, with the threshold that it had; one that is
    infinite is at the top of the picture.

    Args:
        kinds: Bad values, by the names of `FIGURES`.
    """
    starts = cuts(series.times, most)
    figures = series.figures
    scores, thresholds = (figures[name].astype(np.float64) for name in ("score", "threshold"))
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitudes = np.where(thresholds > 0, scores / thresholds, scores)
    known = np.where(np.isnan(magnitudes), -1.0, magnitudes)
    ends = [*starts[1:].tolist(), len(known)]
    worst = [start + int(known[start:end].argmax()) for start, end in zip(starts.tolist(), ends, strict=True)]
    scores, thresholds = scores[worst], thresholds[worst]
    is_infinite = np.isposinf(scores)
    top = max([_TOP * value for value in _finite(thresholds)] + _finite(scores), default=1.0)
    return {
        "times": [int(series.times[end - 1]) for end in ends] if worst else [],
        "scores": _told(np.where(is_infinite, top, scores)),
        "thresholds": _told(thresholds),
        "infinite": int(is_infinite.sum()),
        "values": {kind: _told(_largest(figures[kind], starts)) for kind in kinds},
    }


def _largest(values: npt.NDArray[np.floating[Any]], starts: npt.NDArray[np.intp]) -> FloatArray:
    """Of each group the largest; NaN where it has none."""
    if not len(starts):
        return np.empty(0)
    found: FloatArray = np.fmax.reduceat(values.astype(np.float64), starts)
    return found


def _finite(values: FloatArray) -> list[float]:
    return [float(value) for value in values if np.isfinite(value)]


def _told(values: FloatArray) -> list[float | None]:
    """As pages hold them: of what are kept in few bytes no more digits than these have."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values]
