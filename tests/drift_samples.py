"""Distributions and summaries of known values, for tests of the drift kernel."""

import numpy as np

from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exact import LIMIT, ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary, NumericSummary
from otel_ml.sketch.text_summary import TextSummary

KEY = FeatureKey(FeatureRole.FEATURE, "amount")


def exact(values):
    """Every value known."""
    points, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    return NumericDistribution(points, counts.cumsum(), len(values), points[0], points[-1], is_step=True)


def binned(values, layout):
    """Counts in bins, their range known."""
    return AnchoredBins.of(layout, np.asarray(values, dtype=np.float64)).distribution(moments=moments_of(values))


def categories(**counts):
    """Counts by category."""
    return CategoricalDistribution(counts)


def moments_of(values):
    moments = Moments()
    moments.update(np.asarray(values, dtype=np.float64))
    return moments


def layout_of(values):
    return layout_from_quantiles(np.sort(np.asarray(values, dtype=np.float64)))


def numeric_baseline(values, **counters):
    """A baseline's summary, complete, and the bins it cut."""
    values = np.asarray(values, dtype=np.float64)
    layout = layout_of(values)
    counts = AnchoredBins(layout.hash, AnchoredBins.of(layout, values).counts)
    few = len(np.unique(values)) <= LIMIT
    content = NumericSummary(
        moments_of(values),
        {layout.hash: counts},
        ExactCounts.of(values) if few else None,
        ExponentialHistogram.of(values),
        kll(values),
    )
    return FeatureSummary(KEY, content, Counters(**{"rows": len(values), **counters})), layout


def numeric_window(*, bins=None, exact=None, sampled=None, histogram=None, layout=None, **counters):
    """A window's summary in which each value is in one part."""
    content = NumericSummary()
    rows = 0
    for values in (bins, exact, sampled, histogram):
        if values is not None:
            rows += len(values)
            content.moments.merge(moments_of(values))
    if bins is not None:
        content.bins[layout.hash] = AnchoredBins(
            layout.hash, AnchoredBins.of(layout, np.asarray(bins, dtype=np.float64)).counts
        )
    if exact is not None:
        content.exact = ExactCounts.of(np.asarray(exact, dtype=np.float64))
    if sampled is not None:
        content.quantiles = kll(sampled)
    if sampled is not None or histogram is not None:
        content.histogram = ExponentialHistogram.of(np.asarray(histogram if sampled is None else sampled, np.float64))
    return FeatureSummary(KEY, content, Counters(**{"rows": rows, **counters}))


def categorical_summary(counts, limit=256, **counters):
    content = CategoricalSummary(CategoryCounts(limit))
    content.categories.update(counts)
    return FeatureSummary(KEY, content, Counters(**{"rows": sum(counts.values()), **counters}))


def boolean_summary(false_count, true_count):
    return FeatureSummary(KEY, BooleanSummary(false_count, true_count), Counters(rows=false_count + true_count))


def text_baseline(texts):
    """A baseline's summary of texts, and the bins it cut for their lengths."""
    content = TextSummary()
    content.update(texts)
    lengths, layout = numeric_baseline([len(text) for text in texts])
    content.lengths = lengths.content
    return FeatureSummary(KEY, content, Counters(rows=len(texts))), layout


def text_window(texts, layout=None):
    content = TextSummary.anchored(layout)
    content.update(texts)
    return FeatureSummary(KEY, content, Counters(rows=len(texts)))


def datetime_summary(epochs):
    content = DatetimeSummary()
    content.update(np.asarray(epochs, dtype=np.float64))
    return FeatureSummary(KEY, content, Counters(rows=len(epochs)))


def embedding_baseline(matrix):
    """A baseline's summary of vectors, and the bins it cut for their norms."""
    content = EmbeddingSummary()
    norms, layout = numeric_baseline(content.add(matrix))
    content.norms = norms.content
    return FeatureSummary(KEY, content, Counters(rows=len(matrix))), layout


def embedding_window(matrix, layout=None):
    content = EmbeddingSummary.anchored(layout)
    content.update(matrix)
    return FeatureSummary(KEY, content, Counters(rows=len(matrix)))


def kll(values):
    sketch = QuantileSketch()
    sketch.update(np.asarray(values, dtype=np.float64))
    return sketch
