"""Where goes what lies beyond a limit: series with one name, so that no row is lost from sight.

| beyond the limit on | goes to | which holds |
|---|---|---|
| models | the model `_OTHER` | rows |
| versions of one model | its version `_OTHER` | rows, and of each column rows, missing and mismatched values |
| segments of one model | the segment `_OTHER` of the same dimension | all that a segment holds |
| features of one model | its feature `_OTHER` | rows, missing and mismatched values of all of them together |

Models and versions that have nothing in common have no common distribution: nothing is compared there, and nothing
can alert. Libraries that send snapshots use the same name for segments beyond their own limit, and so both are one.
"""

from __future__ import annotations

from typing import Final

from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

OVERFLOW_MODEL: Final = ModelKey(OTHER_LABEL)
OVERFLOW_COLUMN: Final = FeatureKey(FeatureRole.FEATURE, OTHER_LABEL)
OVERFLOW_PART: Final = (OVERFLOW_COLUMN, FeatureKind.OPAQUE)
"""How the column stands among the parts of a window."""


def overflow_version(model: ModelKey) -> ModelKey:
    """Where further versions of a model go."""
    return model._replace(version=OTHER_LABEL)


def overflow_segment(segment: Segment) -> Segment:
    """Where further values of a dimension go."""
    return segment._replace(value=OTHER_LABEL)


def is_mixed(model: ModelKey) -> bool:
    """Whether it stands for several models or versions."""
    return OTHER_LABEL in model
