"""The one distribution that a column is drawn by."""

from __future__ import annotations

from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, DatetimeSummary, FeatureSummary, numbers_of


def distribution_of(summary: FeatureSummary, layout: BinLayout | None = None) -> Distribution | None:
    """What a summary in which every sketch holds all values, as a baseline's does, knows best; None where it is empty.

    That is the numbers themselves, the lengths of texts, the norms of vectors, and the hours of points in time.

    Args:
        layout: The bins that a baseline cut for the column's numbers, if it has any.
    """
    content = summary.content
    found: Distribution | None = None
    numbers = numbers_of(content)
    if numbers is not None:
        found = _of_numbers(numbers, layout)
    elif isinstance(content, BooleanSummary):
        found = CategoricalDistribution({"false": content.false_count, "true": content.true_count})
    elif isinstance(content, CategoricalSummary):
        categories = content.categories
        found = CategoricalDistribution(dict(categories.counts), categories.other, categories.error_bound)
    elif isinstance(content, DatetimeSummary):
        # All of them, for a clock has no gaps.
        found = CategoricalDistribution({f"{hour:02}": count for hour, count in enumerate(content.hours.tolist())})
    return found if found is not None and found.total else None


def _of_numbers(numbers: NumericSummary, layout: BinLayout | None) -> NumericDistribution | None:
    if numbers.exact is not None and numbers.exact.count:
        return numbers.exact.distribution()
    if numbers.quantiles is not None and numbers.quantiles.count:
        return numbers.quantiles.distribution(numbers.moments)
    if layout is not None and layout.hash in numbers.bins:
        return numbers.bins[layout.hash].distribution(layout, numbers.moments)
    if numbers.histogram is not None and numbers.histogram.count:
        return numbers.histogram.distribution(numbers.moments)
    return None
