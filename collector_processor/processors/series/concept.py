"""The streaming detectors of river, each on one series of every model: means, ratios and scores of windows."""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from collector_processor.processors.evaluation import DRIFT, FeatureEvaluation, WindowEvaluation
from collector_processor.processors.series.settings import ConceptSettings
from collector_processor.processors.windows.overflow import OVERFLOW_COLUMN
from otel_ml.drift.streaming import StreamingDetector, StreamingState
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

_SERIES: Final = 1_000
"""Watched at once; of further ones those that were silent longest are forgotten."""
_MEMORY: Final = 500
"""Values since its last alarm that a series keeps for a restart, eight bytes each."""
_PATH: Final = "processors::drift::concept"

_OUTPUTS: Final = (FeatureRole.PREDICTION, FeatureRole.SCORE)


def _prediction_mean(feature: FeatureEvaluation) -> float | None:
    if feature.key.role not in _OUTPUTS or feature.center is None:
        return None
    return feature.center.standardised


def _missing_ratio(feature: FeatureEvaluation) -> float | None:
    rows = feature.counters.rows
    is_column = feature.key.role is not FeatureRole.JOINT and feature.key != OVERFLOW_COLUMN
    return feature.counters.missing / rows if rows and is_column else None


def _drift_score(feature: FeatureEvaluation) -> float | None:
    return next((check.score for check in feature.checks if check.name == DRIFT), None)


_VALUES: Final[Mapping[str, Callable[[FeatureEvaluation], float | None]]] = {
    "prediction_mean": _prediction_mean,
    "missing_ratio": _missing_ratio,
    "drift_score": _drift_score,
}


class _Key(NamedTuple):
    model: ModelKey
    feature: FeatureKey
    watch: str
    """The settings of its detector: with others it is another series."""


@dataclass(frozen=True, slots=True)
class ConceptAlarm:
    """A series has changed.

    Attributes:
        value: Of the window in which that showed.
    """

    window: WindowEvaluation
    feature: FeatureKey
    method: str
    series: str
    value: float


class ConceptWatch:
    """Feeds a detector for each model, column and configured series.

    Args:
        settings: What is watched.
        limit: How many series at most.
        path: Where the settings stand, for errors.
    """

    def __init__(self, settings: Sequence[ConceptSettings], limit: int = _SERIES, path: str = _PATH) -> None:
        self._settings = {
            json.dumps(watch.model_dump(), sort_keys=True, default=repr): (f"{path}::{place}", watch)
            for place, watch in enumerate(settings)
        }
        self._limit = limit
        self._detectors: OrderedDict[_Key, StreamingDetector] = OrderedDict()
        # Seeing again what a detector has seen takes milliseconds: it waits until its series goes on.
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._encoded: dict[_Key, bytes] = {}

    def __len__(self) -> int:
        """How many series are watched."""
        return len(self._detectors)

    def prepare(self) -> None:
        """Import river, which takes seconds, and try all settings.

        Raises:
            ConfigurationError: River is not installed, or a setting is not valid.
        """
        for path, watch in self._settings.values():
            _create(watch, path)

    def observe(self, window: WindowEvaluation) -> list[ConceptAlarm]:
        """Take a window of a whole model in, and return the series that have changed."""
        if window.outcome != "evaluated" or window.segment is not None:
            return []
        alarms = []
        for identity, (path, watch) in self._settings.items():
            for feature in window.features:
                value = _VALUES[watch.series](feature)
                if value is None:
                    continue
                key = _Key(window.model, feature.key, identity)
                if self._detector(key, watch, path).update(value):
                    alarms.append(ConceptAlarm(window, feature.key, watch.method, watch.series, value))
                self._encoded.pop(key, None)
        while len(self._detectors) > self._limit:
            forgotten, _ = self._detectors.popitem(last=False)
            self._encoded.pop(forgotten, None)
        return alarms

    def encode(self) -> dict[str, bytes]:
        """Everything, to be kept: least recently seen first."""
        for key, detector in self._detectors.items():
            if key not in self._encoded:
                self._encoded[key] = _encode(detector.state())
        entries: Iterator[tuple[_Key, bytes]] = iter(
            (*self._kept.items(), *((key, self._encoded[key]) for key in self._detectors))
        )
        return {
            json.dumps([place, key.model, key.feature.role.value, key.feature.name, key.watch]): encoded
            for place, (key, encoded) in enumerate(entries)
        }

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave, as far as it is still watched.

        Raises:
            ValueError: It is something else.
        """
        entries = sorted((json.loads(key), value) for key, value in kept.items())
        for (_, model, role, name, watch), value in entries[-self._limit :]:
            if watch in self._settings:
                self._kept[_Key(ModelKey(*model), FeatureKey(FeatureRole(role), name), watch)] = value

    def _detector(self, key: _Key, watch: ConceptSettings, path: str) -> StreamingDetector:
        detector = self._detectors.get(key)
        if detector is None:
            detector = self._detectors[key] = _create(watch, path)
            kept = self._kept.pop(key, None)
            if kept is not None:
                detector.restore(_decode(kept))
            if self._kept and len(self._kept) + len(self._detectors) > self._limit:
                self._kept.popitem(last=False)
        self._detectors.move_to_end(key)
        return detector


def _create(watch: ConceptSettings, path: str) -> StreamingDetector:
    return StreamingDetector(
        watch.method, watch.settings, scale=watch.scale, quiet=watch.quiet, memory=_MEMORY, path=path
    )


def _encode(state: StreamingState) -> bytes:
    return json.dumps({"quiet": state.quiet}).encode() + b"\n" + array("d", state.values).tobytes()


def _decode(encoded: bytes) -> StreamingState:
    header, _, numbers = encoded.partition(b"\n")
    values = array("d")
    values.frombytes(numbers)
    return StreamingState(tuple(values), json.loads(header)["quiet"])
