"""How what belongs to many columns is put into few bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector_processor.history import FIGURES, LARGEST_MAGNITUDE, CallFigures, Column, Figures
from otel_ml.drawing.frame import Frame
from otel_ml.sketch.sketch import FloatArray

PART: Final = 16
"""Columns whose figures lie in one row: one column of a month is read without most of the others."""

_STEPS: Final = 50.0
_SHARES: Final = 65_535


def pack_columns(columns: Sequence[Column]) -> str:
    """Columns as text; the same for the same columns in the same order."""
    return json.dumps([[*column[:3], round(column.importance, 6)] for column in columns], separators=(",", ":"))


def unpack_columns(text: str) -> list[Column]:
    """What `pack_columns` was given."""
    return [Column(*fields) for fields in json.loads(text)]


def pack_magnitudes(figures: Figures) -> bytes:
    """Score over threshold in a byte a column: 0 where there is none, else one more than fiftieths."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = figures["score"].astype(np.float64) / figures["threshold"]
    steps = np.clip(np.rint(np.where(np.isnan(ratio), 0.0, ratio) * _STEPS), 0, LARGEST_MAGNITUDE * _STEPS)
    return np.where(np.isnan(ratio), 0, steps + 1).astype(np.uint8).tobytes()


def unpack_magnitudes(packed: npt.NDArray[np.uint8]) -> FloatArray:
    """What `pack_magnitudes` was given, as far as it is kept."""
    found: FloatArray = np.where(packed == 0, np.nan, (packed - 1.0) / _STEPS)
    return found


def parts(figures: Figures) -> list[bytes]:
    """Figures by so many columns as lie together."""
    return [figures[start : start + PART].tobytes() for start in range(0, len(figures), PART)]


def unpack_part(packed: bytes) -> Figures:
    """Figures of one part."""
    return np.frombuffer(packed, FIGURES)


def pack_frames(frames: Sequence[Frame | None]) -> str:
    """Frames as text."""
    return json.dumps([frame and frame.to_json() for frame in frames], separators=(",", ":"))


def unpack_frames(text: str) -> list[Frame | None]:
    """What `pack_frames` was given."""
    return [fields and Frame.of_json(fields) for fields in json.loads(text)]


def pack_shapes(frames: Sequence[Frame | None], shapes: Sequence[FloatArray | None]) -> bytes:
    """Shares in all bins of all frames, as parts of 65,535; of a column without shape -1, which is its largest."""
    packed = [
        np.full(len(frame.shares), _SHARES, np.uint16)
        if shape is None
        else np.rint(np.clip(shape, 0.0, 1.0) * (_SHARES - 1)).astype(np.uint16)
        for frame, shape in zip(frames, shapes, strict=True)
        if frame is not None
    ]
    return zlib.compress(np.concatenate(packed).tobytes() if packed else b"", 1)


def unpack_shape(packed: bytes, frames: Sequence[Frame | None], place: int) -> FloatArray | None:
    """The shares of the column in a place; None where it has no shape."""
    frame = frames[place]
    if frame is None:
        return None
    start = sum(len(before.shares) for before in frames[:place] if before is not None)
    values = np.frombuffer(zlib.decompress(packed), np.uint16)[start : start + len(frame.shares)]
    if not len(values) or (values == _SHARES).all():
        return None
    return values.astype(np.float64) / (_SHARES - 1)


def pack_text(text: str) -> bytes:
    """A long text in fewer bytes."""
    return zlib.compress(text.encode(), 1)


def unpack_text(packed: bytes) -> str:
    """What `pack_text` was given."""
    return zlib.decompress(packed).decode()


def pack_calls(calls: CallFigures | None) -> str | None:
    """How calls went, as text."""
    if calls is None:
        return None
    return json.dumps([calls.count, dict(calls.errors), calls.p50, calls.p95, calls.p99])


def unpack_calls(text: str | None) -> CallFigures | None:
    """What `pack_calls` was given."""
    if text is None:
        return None
    fields: list[Any] = json.loads(text)
    return CallFigures(*fields)
