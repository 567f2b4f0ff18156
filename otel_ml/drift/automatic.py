"""Comparing two summaries of a column with the method that suits them."""

from __future__ import annotations

from dataclasses import replace

from otel_ml.drift.choice import Evidence, choose, equivalent_threshold
from otel_ml.drift.comparison import distributions
from otel_ml.drift.contents import compare_contents
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.registry import create
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.feature import FeatureKind
from otel_ml.sketch.summary import FeatureSummary


def compare(reference: FeatureSummary, current: FeatureSummary, layout: BinLayout | None = None) -> DriftResult | None:
    """How far a column is from its reference, by the method that `choose` names; None where nothing can be compared.

    Its threshold is what is as big as a PSI of 0.2, whichever the method. Vectors and texts are compared by all that is
    known of them; where a side knows too little for that, the norms of vectors and the lengths of texts are.

    Args:
        reference: A baseline's summary.
        current: A window's summary.
        layout: The bins the baseline cut for the column's numbers, if it has any.
    """
    kind = reference.kind
    if kind in (FeatureKind.EMBEDDING, FeatureKind.TEXT):
        for result in compare_contents(reference, current, [choose(Evidence(kind, 0, 0), ["content"]).method]):
            return result
        kind = FeatureKind.NUMERIC
    pair = distributions(reference, current, layout)
    if pair is None:
        return None
    detector = create(choose(Evidence.of(kind, pair)).method)
    result = detector.compare(*pair)
    return replace(result, threshold=equivalent_threshold(detector.name) or result.threshold)
