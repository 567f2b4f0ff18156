"""What a column looks like, in bins in which its reference can be drawn behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from otel_ml.drawing.frame import Frame, frame_of
from otel_ml.drift.columns import Pair
from otel_ml.drift.comparison import distributions
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.summary import FeatureSummary

_LIMIT: Final = 100_000


class Shape(NamedTuple):
    """A column's shares.

    Attributes:
        frame: Its bins, and the reference's shares in them; those of the window itself, and of 0 values, where there
            is no reference.
        shares: (bins,) of the window.
    """

    frame: Frame
    shares: FloatArray


class Shapes:
    """Shapes of columns, those of one baseline always in the same frames."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, FeatureKey], Frame | None] = {}

    def of(self, baseline_id: str, key: FeatureKey, pair: Pair) -> Shape | None:
        """The shape of a column that was compared with a baseline; None where it cannot be drawn."""
        reference, current = pair
        known = (baseline_id, key)
        if known not in self._frames:
            if len(self._frames) >= _LIMIT:
                self._frames.clear()
            self._frames[known] = frame_of(reference)
        frame = self._frames[known]
        shares = None if frame is None else frame.of(current)
        return None if frame is None or shares is None else Shape(frame, shares)


def shape_alone(summary: FeatureSummary) -> Shape | None:
    """The shape of a column that nothing is known of but what came; None where it cannot be drawn."""
    if summary.key.role is FeatureRole.JOINT:
        return None
    pair = distributions(summary, summary)
    frame = None if pair is None else frame_of(pair[1])
    return None if frame is None else Shape(replace(frame, count=0), frame.shares)
