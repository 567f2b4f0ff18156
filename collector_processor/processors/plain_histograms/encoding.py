"""The memory of plain histograms as entries of a store."""

from __future__ import annotations

import json
import math
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector_processor.processors.plain_histograms.counted import Values
from collector_processor.processors.plain_histograms.rows import Place, Tally
from collector_processor.processors.plain_histograms.series import Cumulative, Deltas, State
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.exponential import Buckets, ExponentialHistogram
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.snapshot import Segment

FORGOTTEN: Final = "forgotten"

_SERIES: Final = "series/"
_MODEL: Final = "model/"
_PLACE: Final = "rows/"
_TIME: Final = struct.Struct("<Q")
_DELTAS: Final = struct.Struct("<cQQ")
_INTERVAL: Final = struct.Struct("<QQ")
_CUMULATIVE: Final = struct.Struct("<cQddd")
_EXPONENTIAL: Final = struct.Struct("<bQqIqI")


@dataclass(slots=True)
class Kept:
    """What a store had."""

    forgotten_until: int = 0
    states: dict[bytes, State] = field(default_factory=dict)
    models: dict[ModelKey, int] = field(default_factory=dict)
    tallies: dict[Place, Tally] = field(default_factory=dict)


def series_key(key: bytes) -> str:
    """The name of a series' entry."""
    return _SERIES + key.hex()


def model_key(model: ModelKey) -> str:
    """The name of the entry that says when a model last sent a snapshot."""
    return _MODEL + json.dumps(model)


def place_key(place: Place) -> str:
    """The name of a tally's entry."""
    return _PLACE + json.dumps(place)


def encode_time(time_unix_nano: int) -> bytes:
    """A point in time."""
    return _TIME.pack(time_unix_nano)


def encode(state: State) -> bytes:
    """The state of a series."""
    if isinstance(state, Deltas):
        intervals = b"".join(_INTERVAL.pack(*interval) for interval in state.intervals)
        return _DELTAS.pack(b"d", state.latest, state.forgotten_until) + intervals
    values = state.values
    numbers = [math.nan if number is None else number for number in (values.total, values.minimum, values.maximum)]
    counts = values.counts
    if isinstance(counts, AnchoredBins):
        assert counts.layout is not None
        return _CUMULATIVE.pack(b"b", state.latest, *numbers) + _bytes(counts.layout.edges) + _bytes(counts.counts)
    sides = counts.positive, counts.negative
    places = [number for side in sides for number in (side.offset, len(side.counts))]
    header = _CUMULATIVE.pack(b"x", state.latest, *numbers)
    return (
        header
        + _EXPONENTIAL.pack(counts.scale, counts.zero_count, *places)
        + b"".join(_bytes(side.counts) for side in sides)
    )


def encode_tally(tally: Tally) -> bytes:
    """The counts of a window's columns."""
    return json.dumps(
        [
            tally.rows,
            [[*_column(key), count] for key, count in tally.values.items()],
            [[*_column(key), sorted(bounds)] for key, bounds in tally.bounds.items()],
        ]
    ).encode()


def decode(entries: Mapping[str, bytes]) -> Kept:
    """What the functions above wrote."""
    kept = Kept()
    for key, value in entries.items():
        if key == FORGOTTEN:
            (kept.forgotten_until,) = _TIME.unpack(value)
        elif key.startswith(_SERIES):
            kept.states[bytes.fromhex(key[len(_SERIES) :])] = _state(value)
        elif key.startswith(_MODEL):
            (kept.models[ModelKey(*json.loads(key[len(_MODEL) :]))],) = _TIME.unpack(value)
        else:
            kept.tallies[_place(key[len(_PLACE) :])] = _tally(value)
    return kept


def _state(value: bytes) -> State:
    if value[:1] == b"d":
        _, latest, forgotten_until = _DELTAS.unpack_from(value)
        intervals: OrderedDict[tuple[int, int], None] = OrderedDict()
        for start, end in _INTERVAL.iter_unpack(value[_DELTAS.size :]):
            intervals[start, end] = None
        return Deltas(latest, intervals, forgotten_until)
    kind, latest, *numbers = _CUMULATIVE.unpack_from(value)
    total, low, high = (None if math.isnan(number) else number for number in numbers)
    rest = value[_CUMULATIVE.size :]
    if kind == b"b":
        edges = len(rest) // 16
        layout = BinLayout(np.frombuffer(rest, "<f8", edges))
        bins = AnchoredBins(layout.hash, _integers(rest, edges + 1, edges * 8), layout)
        return Cumulative(latest, Values(bins, total, low, high))
    scale, zeros, above, positives, below, negatives = _EXPONENTIAL.unpack_from(rest)
    begin = _EXPONENTIAL.size
    histogram = ExponentialHistogram(
        scale,
        zeros,
        Buckets(above, _integers(rest, positives, begin)),
        Buckets(below, _integers(rest, negatives, begin + positives * 8)),
    )
    return Cumulative(latest, Values(histogram, total, low, high))


def _place(written: str) -> Place:
    model, start, segment, resource = json.loads(written)
    attributes = tuple([(key, text) for key, text in resource])
    return Place(ModelKey(*model), start, Segment(*segment) if segment else None, attributes)


def _tally(value: bytes) -> Tally:
    rows, values, bounds = json.loads(value)
    return Tally(
        {FeatureKey(FeatureRole(role), name): count for role, name, count in values},
        {FeatureKey(FeatureRole(role), name): set(hashes) for role, name, hashes in bounds},
        rows,
    )


def _bytes(values: FloatArray | CountArray) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _integers(data: bytes, count: int, offset: int) -> CountArray:
    return np.frombuffer(data, "<i8", count, offset).astype(np.int64)


def _column(key: FeatureKey) -> tuple[str, str]:
    return key.role.value, key.name
