"""What the labels of a window are likely to be, from its predictions alone."""

from otel_ml.drift.labels.shift import LabelShare, LabelShift, Obstacle, estimate_label_shift

__all__ = ["LabelShare", "LabelShift", "Obstacle", "estimate_label_shift"]
