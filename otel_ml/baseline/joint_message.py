"""How features vary together, as a part of a baseline's message and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from otel_ml.baseline.joint import Joint, JointLayout
from otel_ml.drift.multivariate.correlation_noise import CorrelationNoise
from otel_ml.errors import BaselineError, OtelMLError
from otel_ml.proto import baseline_pb2 as pb
from otel_ml.sketch.embedding_decoding import read_vectors
from otel_ml.sketch.feature_encoding import write_vectors
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import FloatArray

_MOST: Final = 1e30


def write_joint(message: pb.Joint, joint: Joint) -> None:
    """Fill an empty message."""
    layout, noise = joint.layout, joint.noise
    message.names.extend(layout.names)
    message.means.extend(layout.means.tolist())
    message.deviations.extend(layout.deviations.tolist())
    message.layout_hash = layout.hash
    message.rows = joint.vectors.count
    write_vectors(message.vectors, joint.vectors)
    message.spreads.extend(noise.spread[np.triu_indices(len(layout.names), 1)].tolist())
    message.skewness.extend(noise.skewness.tolist())


def read_joint(message: pb.Joint, features: Iterable[str], rows: int, source: str) -> Joint:
    """What a message says.

    Args:
        features: Names of the baseline's numeric features.
        rows: Of the baseline.
        source: What to call the baseline in messages.

    Raises:
        BaselineError: It contradicts itself, or the baseline.
    """
    try:
        layout = JointLayout(tuple(message.names), np.array(message.means), np.array(message.deviations))
        if layout.hash != message.layout_hash:
            raise BaselineError(f"layout_hash {message.layout_hash:016x}, where the layout's is {layout.hash:016x}")
        unknown = set(layout.names).difference(features)
        if unknown:
            raise BaselineError(f"{min(unknown)[:100]!r} is no numeric feature of the baseline")
        if not 1 <= message.rows <= rows:
            raise BaselineError(f"of {message.rows} rows, where the baseline has {rows}")
        columns = len(layout.names)
        if message.vectors.dimensions != columns:
            raise BaselineError(f"vectors of {message.vectors.dimensions} dimensions (one for each of {columns} names)")
        vectors = read_vectors(message.vectors, message.rows, NumericSummary())
        return Joint(layout, vectors, _read_noise(message, columns))
    except (OtelMLError, ValueError) as error:
        raise BaselineError(f"{source}: joint: {error}") from error


def _read_noise(message: pb.Joint, columns: int) -> CorrelationNoise:
    spreads, skewness = _numbers(message.spreads), _numbers(message.skewness)
    if len(spreads) != columns * (columns - 1) // 2 or len(skewness) != columns:
        raise BaselineError(
            f"{len(spreads)} spreads and {len(skewness)} skewness (one a pair and one for each of {columns} names)"
        )
    if not ((spreads > 0) & (spreads < _MOST)).all() or not (np.abs(skewness) < _MOST).all():
        raise BaselineError("a spread or a skewness is not finite, or a spread not above 0")
    spread = np.ones((columns, columns))
    first, second = np.triu_indices(columns, 1)
    spread[first, second] = spread[second, first] = spreads
    return CorrelationNoise(spread, skewness)


def _numbers(given: Iterable[float]) -> FloatArray:
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaNs
        return np.array(list(given), np.float64)
