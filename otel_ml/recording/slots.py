"""Which summaries a row goes into: of its model, its interval, and each segment it belongs to."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.guard import failed, warn_once
from otel_ml.recording.inference import SHORT
from otel_ml.recording.queue import MAX_MODELS
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.text import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_ml.baseline import Baseline
    from otel_ml.recording.privacy import PrivacyPolicy
    from otel_ml.sketch.feature import ModelKey

MAX_DIMENSIONS: Final = 5
"""Dimensions of segments a row may name."""
MAX_SEGMENTS: Final = 100
"""Segments of a model that are told apart; rows of those beyond are counted as one more, "_OTHER", per dimension."""
MAX_SEGMENT_COLUMNS: Final = 5_000
"""Columns of all segments of a model together, for each holds a buffer of 8 KB."""
_MAX_WINDOWS: Final = 8
"""Intervals of one model, given by explicit timestamps, that are open at a time."""
_IDLE_INTERVALS: Final = 60
"""Intervals without a row after which a model's columns are forgotten."""
_NAME_LENGTH: Final = 128


class Slot(NamedTuple):
    """What rows are summarised apart by, within one model.

    Attributes:
        window: Start of the interval in ns, for rows with an explicit timestamp; 0 for the current one.
    """

    window: int = 0
    segment: Segment | None = None


class Slots:
    """Summaries by model and slot, within bounds.

    Args:
        interval_ns: Length of an interval.
        max_features: Columns that are summarised per role.
        privacy: Which columns of the input may be summarised at all.
        sample_rows: Rows of a model and interval that leave as they are; 0 for none.
        correlations: Look at numeric features together, where the baseline does; of the whole only, not of segments.

    Attributes:
        baselines: By model; one of version "" stands for every version of its model.
    """

    def __init__(
        self,
        *,
        interval_ns: int,
        max_features: int,
        privacy: PrivacyPolicy | None = None,
        sample_rows: int = 0,
        correlations: bool = True,
    ) -> None:
        self.baselines: Mapping[ModelKey, Baseline] = {}
        self._interval_ns = interval_ns
        self._max_features = max_features
        self._privacy = privacy
        self._sample_rows = sample_rows
        self._correlations = correlations
        self._models: dict[ModelKey, dict[Slot, ModelAccumulator]] = {}
        self._quiet: dict[ModelKey, int] = {}

    def grouped(self, inferences: Sequence[Any]) -> dict[tuple[ModelKey, Slot], list[Any]]:
        """Inferences by where they belong, in order; one that names segments is in several places."""
        # The usual chunk is of one model, of now, and names no segments: told by a few passes in C.
        if len(set(map(_INFO, inferences))) == 1:
            lengths = set(map(len, inferences))
            if lengths == {SHORT} or (
                min(lengths) >= _WITH_SEGMENTS
                and not any(map(_TIMESTAMP, inferences))
                and not any(map(_SEGMENTS, inferences))
            ):
                return {(inferences[0][0].key, _WHOLE): list(inferences)}
        groups: dict[tuple[ModelKey, Slot], list[Any]] = {}
        for inference in inferences:
            key = inference[0].key
            timestamp = inference[9] if len(inference) > 9 else 0
            window = timestamp // self._interval_ns * self._interval_ns if timestamp else 0
            groups.setdefault((key, Slot(window)), []).append(inference)
            if len(inference) > 10 and inference[10]:
                for segment in _segments(inference[10]):
                    groups.setdefault((key, Slot(window, segment)), []).append(inference)
        return groups

    def of(self, key: ModelKey, slot: Slot) -> ModelAccumulator | None:
        """Where rows of the slot go; None when there are too many models. A segment too many gives its "_OTHER"."""
        slots = self._models.get(key)
        if slots is None:
            if len(self._models) >= MAX_MODELS:
                return None
            slots = self._models[key] = {}
        accumulator = slots.get(slot)
        if accumulator is None:
            if slot.segment is not None and not self._has_room(slots, slot):
                slot = Slot(slot.window, Segment(slot.segment.dimension, semconv.OTHER_LABEL))
                if slot in slots:
                    return slots[slot]
                if len({other.segment for other in slots}) > MAX_SEGMENTS + MAX_DIMENSIONS:
                    return None
            accumulator = ModelAccumulator(
                key,
                baseline=self.baseline(key),
                max_features=self._max_features,
                privacy=self._privacy,
                finds_exemplars=slot.segment is None,
                sample_rows=self._sample_rows if slot.segment is None else 0,
                correlations=self._correlations and slot.segment is None,
            )
            slots[slot] = accumulator
        return accumulator

    def baseline(self, key: ModelKey) -> Baseline | None:
        """The baseline of this version, else of every version of its model."""
        return self.baselines.get(key) or self.baselines.get(key._replace(version=""))

    def past_windows(self, key: ModelKey) -> list[tuple[Slot, ModelAccumulator]]:
        """Take out what has an explicit time, once there are many such intervals: a backfill jumps through time."""
        slots = self._models.get(key, {})
        if len({slot.window for slot in slots}) <= _MAX_WINDOWS:
            return []
        return [(slot, slots.pop(slot)) for slot in [slot for slot in slots if slot.window]]

    def items(self) -> Iterator[tuple[ModelKey, Slot, ModelAccumulator]]:
        """All of them; may be changed meanwhile."""
        for key, slots in list(self._models.items()):
            for slot, accumulator in list(slots.items()):
                yield key, slot, accumulator

    def end_interval(self) -> None:
        """Forget what is over: intervals with an explicit time, segments and models that were quiet for long."""
        for key, slots in list(self._models.items()):
            for slot in [slot for slot in slots if slot.window]:
                del slots[slot]
            quiet = self._quiet.get(key, 0) + 1
            self._quiet[key] = quiet
            if quiet > _IDLE_INTERVALS:
                del self._models[key], self._quiet[key]

    def was_busy(self, key: ModelKey) -> None:
        """The model did something in this interval."""
        self._quiet[key] = 0

    def _has_room(self, slots: Mapping[Slot, ModelAccumulator], slot: Slot) -> bool:
        known = [accumulator for other, accumulator in slots.items() if other.segment is not None]
        columns = sum(accumulator.columns for accumulator in known)
        if len(known) < MAX_SEGMENTS and columns < MAX_SEGMENT_COLUMNS:
            return True
        warn_once(
            f"segments {slot.segment.dimension if slot.segment else ''}",
            f"more than {MAX_SEGMENTS} segments or {MAX_SEGMENT_COLUMNS} columns in them; rows of further segments are"
            f" summarised as {semconv.OTHER_LABEL}",
        )
        return False


_WHOLE: Final = Slot()
_INFO: Final = itemgetter(0)
_TIMESTAMP: Final = itemgetter(9)
_SEGMENTS: Final = itemgetter(10)
_WITH_SEGMENTS: Final = 11


def _segments(given: Mapping[Any, Any]) -> list[Segment]:
    try:
        items = list(given.items())[:MAX_DIMENSIONS]
        return [
            Segment(bounded(str(dimension), _NAME_LENGTH), bounded(str(value), _NAME_LENGTH))
            for dimension, value in items
            if value is not None
        ]
    except Exception as error:  # no mapping, or a value whose own methods fail: the row still counts for the whole
        failed("reading segments", error)
        return []
