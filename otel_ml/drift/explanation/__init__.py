"""Why something drifted: which values moved, which columns matter, and whether it was one change."""

from otel_ml.drift.explanation.attribution import Attribution, attribute_prediction_drift
from otel_ml.drift.explanation.common_change import CommonChange, common_change
from otel_ml.drift.explanation.effect_size import effect_sizes
from otel_ml.drift.explanation.moved_cells import MovedCell, moved_cells
from otel_ml.drift.explanation.ranking import RankedColumn, rank_columns

__all__ = [
    "Attribution",
    "CommonChange",
    "MovedCell",
    "RankedColumn",
    "attribute_prediction_drift",
    "common_change",
    "effect_sizes",
    "moved_cells",
    "rank_columns",
]
