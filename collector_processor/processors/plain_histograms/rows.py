"""How many rows there were, where nobody says so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from otel_ml.sketch.feature import FeatureKey, ModelKey
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary

_MAX_BOUNDS: Final = 8
"""Sets of bounds that one column may come with in one window: a rolling update has two."""
_MAX_COLUMNS: Final = 200_000
"""In all windows together."""
_MAX_PLACES: Final = 20_000


class Place(NamedTuple):
    """Where rows are counted: one window, of a model or of a slice, from one kind of deployment."""

    model: ModelKey
    start_unix_nano: int
    segment: Segment | None
    resource: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Tally:
    """Values counted of each column, and the bounds they came with.

    Attributes:
        rows: The most values of any column.
    """

    values: dict[FeatureKey, int] = field(default_factory=dict)
    bounds: dict[FeatureKey, set[int]] = field(default_factory=dict)
    rows: int = 0


class RowCounts:
    """Counts rows by the column that has most values.

    Attributes:
        changed: Places whose tally is no longer as it was when this was last emptied.
    """

    def __init__(self) -> None:
        self._tallies: OrderedDict[Place, Tally] = OrderedDict()
        self._columns = 0
        self.changed: set[Place] = set()

    @property
    def tallies(self) -> Mapping[Place, Tally]:
        """What was counted, the oldest place first."""
        return self._tallies

    def restore(self, tallies: Mapping[Place, Tally]) -> None:
        """Go on from what was kept."""
        self._tallies = OrderedDict(sorted(tallies.items(), key=lambda item: item[0].start_unix_nano))
        self._columns = sum(len(tally.values) for tally in self._tallies.values())

    def has_room(self, place: Place, key: FeatureKey, edges_hash: int) -> bool:
        """Whether a column may come with these bounds, too."""
        bounds = self._tally(place).bounds.setdefault(key, set())
        if edges_hash not in bounds and len(bounds) >= _MAX_BOUNDS:
            return False
        bounds.add(edges_hash)
        return True

    def add(self, place: Place, summaries: Iterable[FeatureSummary]) -> int:
        """By how much the number of rows grows with these values."""
        tally = self._tally(place)
        before = tally.rows
        for summary in summaries:
            self._columns += summary.key not in tally.values
            count = tally.values.get(summary.key, 0) + summary.counters.rows
            tally.values[summary.key] = count
            tally.rows = max(tally.rows, count)
        # The windows of the oldest are closed by now, or the newest is one too many.
        while self._columns > _MAX_COLUMNS or len(self._tallies) > _MAX_PLACES:
            oldest, forgotten = self._tallies.popitem(last=False)
            self._columns -= len(forgotten.values)
            self.changed.add(oldest)
        return tally.rows - before

    def _tally(self, place: Place) -> Tally:
        self.changed.add(place)
        return self._tallies.setdefault(place, Tally())
