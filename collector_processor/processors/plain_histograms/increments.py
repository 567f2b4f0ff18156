"""From data points of plain histograms to snapshots, which windows take as they take any other."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from collector_processor.component import HistogramPoint
from collector_processor.processors.plain_histograms import encoding
from collector_processor.processors.plain_histograms.counted import summary_of
from collector_processor.processors.plain_histograms.rows import Place, RowCounts
from collector_processor.processors.plain_histograms.series import Increment, SeriesMemory, Skipped
from collector_processor.processors.windows import WindowSettings
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary

SECTION: Final = "histograms"
"""Of the store, for what `encode` and `changes` give."""
REDUNDANT: Final = "redundant"
"""Of a model that sends snapshots: they say the same."""
FUTURE: Final = "future"
TOO_MANY_BOUNDS: Final = "too_many_bounds"

_SECOND: Final = 1_000_000_000
_SHORTEST_HORIZON_S: Final = 300.0
_PRODUCER: Final = bytes(16)


class Increments:
    """Turns data points into snapshots of what they add, each value once. Used from the event loop only.

    A plain histogram does not tell how many rows there were. As many are taken as the column has values that has most
    of them in the window: a row without a value of that column is never seen.

    Attributes:
        outcomes: Data points that add nothing, by reason, since the counter was last emptied. Each of the others is one
            of the features of one of the snapshots.
    """

    def __init__(self, settings: WindowSettings, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._length = round(settings.window * _SECOND)
        self._max_future = round(settings.max_future * _SECOND)
        self._models = settings.limits.models
        self._wall_clock_ns = wall_clock_ns
        horizon = round(max(2 * settings.window, _SHORTEST_HORIZON_S) * _SECOND)
        self._memory = SeriesMemory(settings.limits.producers, horizon)
        self._heard: OrderedDict[ModelKey, int] = OrderedDict()
        self._row_counts = RowCounts()
        self._changed_models: set[ModelKey] = set()
        self.outcomes: Counter[str] = Counter()

    def snapshot_came(self, snapshot: Snapshot) -> None:
        """Remember that a model sends snapshots: what comes of it as histograms within a window is the same again."""
        latest = self._heard.pop(snapshot.model, 0)
        self._heard[snapshot.model] = max(latest, snapshot.end_time_unix_nano)
        self._changed_models.add(snapshot.model)
        if len(self._heard) > self._models:
            self._changed_models.add(self._heard.popitem(last=False)[0])

    def take(self, points: Iterable[HistogramPoint]) -> list[Snapshot]:
        """What data points add, to be merged into windows as it is; most of them come to one snapshot a model."""
        groups: dict[tuple[Place, int, int], list[FeatureSummary]] = {}
        for point in points:
            found = self._added(point)
            if isinstance(found, str):
                self.outcomes[found] += 1
                continue
            start = found.start_unix_nano
            place = Place(point.model, start - start % self._length, point.segment, tuple(point.resource.items()))
            counts = found.values.counts
            if isinstance(counts, AnchoredBins) and not self._row_counts.has_room(place, point.key, counts.edges_hash):
                self.outcomes[TOO_MANY_BOUNDS] += 1
                continue
            group = groups.setdefault((place, start, found.end_unix_nano), [])
            group.append(summary_of(point.key, found.values))
        return [
            Snapshot(
                _PRODUCER,
                1,
                place.model,
                start,
                end,
                self._row_counts.add(place, summaries),
                0,
                summaries,
                place.segment,
                resource=dict(place.resource),
            )
            for (place, start, end), summaries in groups.items()
        ]

    def encode(self) -> dict[str, bytes]:
        """All that a restart should find."""
        self.changes()
        found = {encoding.series_key(key): encoding.encode(state) for key, state in self._memory.states.items()}
        found |= {encoding.model_key(model): encoding.encode_time(latest) for model, latest in self._heard.items()}
        found |= {
            encoding.place_key(place): encoding.encode_tally(tally) for place, tally in self._row_counts.tallies.items()
        }
        return {**found, encoding.FORGOTTEN: encoding.encode_time(self._memory.forgotten_until)}

    def changes(self) -> dict[str, bytes | None]:
        """What of `encode()` is another since this was last asked, None for what is gone.

        Should they not be kept, the next ones are not enough: then keep all that `encode()` gives.
        """
        states = self._memory.states
        found: dict[str, bytes | None] = {encoding.FORGOTTEN: encoding.encode_time(self._memory.forgotten_until)}
        for key in self._memory.changed:
            found[encoding.series_key(key)] = encoding.encode(states[key]) if key in states else None
        for model in self._changed_models:
            latest = self._heard.get(model)
            found[encoding.model_key(model)] = None if latest is None else encoding.encode_time(latest)
        for place in self._row_counts.changed:
            tally = self._row_counts.tallies.get(place)
            found[encoding.place_key(place)] = None if tally is None else encoding.encode_tally(tally)
        self._memory.changed.clear()
        self._changed_models.clear()
        self._row_counts.changed.clear()
        return found

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave, with all changes since."""
        kept = encoding.decode(entries)
        self._memory.restore(kept.states, kept.forgotten_until)
        self._heard = OrderedDict(sorted(kept.models.items(), key=lambda item: item[1]))
        self._row_counts.restore(kept.tallies)

    def _added(self, point: HistogramPoint) -> Increment | str:
        if point.time_unix_nano > self._wall_clock_ns() + self._max_future:
            return FUTURE
        found = self._memory.add(point)
        if isinstance(found, Skipped):
            return found.value
        heard = self._heard.get(point.model)
        # Also what began a window later: the next snapshot may not be here yet.
        if heard is not None and found.start_unix_nano < heard + self._length:
            return REDUNDANT
        return found
