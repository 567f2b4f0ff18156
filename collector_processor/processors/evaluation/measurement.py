"""How far each column of a window is from its baseline, all columns at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from collector_processor.processors.windows import Window
from otel_ml.baseline import Baseline
from otel_ml.drift.binned import BinnedReferences
from otel_ml.drift.columns import Columns, Pair
from otel_ml.drift.comparison import distributions
from otel_ml.drift.contents import compare_contents
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.feature import FeatureKey
from otel_ml.sketch.summary import FeatureSummary


@dataclass(slots=True)
class Measurement:
    """What the detectors say about one column.

    Attributes:
        n_current: Values it was measured on.
        pair: Makes the two distributions.
        results: Of every detector that was asked and suits the column.
    """

    n_current: int
    pair: Callable[[], Pair]
    results: list[DriftResult] = field(default_factory=list)


def measure(
    window: Window,
    summaries: Iterable[FeatureSummary],
    baseline: Baseline,
    references: BinnedReferences,
    detectors: Sequence[DriftDetector],
    min_rows: int,
) -> dict[FeatureKey, Measurement]:
    """What detectors say about the columns that have enough values to compare.

    Args:
        summaries: One for each column of the window.
        references: The baseline's bins.
        min_rows: Values below which a column is not compared.
    """
    measured: dict[FeatureKey, Measurement] = {}
    ways = Counter(key for key, _ in window.unbinned) + Counter(key for block in window.binned for key in block.keys)
    for block in window.binned:
        keys, columns = references.columns(block, min_rows)
        # What came in several ways is in none of them as a whole.
        _collect(measured, [key if ways[key] == 1 else None for key in keys], columns, detectors)
    rest = [summary for summary in summaries if summary.key in baseline.features and summary.key not in measured]
    return measured | measure_pairs(
        rest,
        lambda summary: distributions(baseline.features[summary.key], summary, baseline.layout(summary.key)),
        detectors,
        min_rows,
    )


def add_content_results(
    measured: Mapping[FeatureKey, Measurement],
    summaries: Iterable[FeatureSummary],
    references: Mapping[FeatureKey, FeatureSummary],
) -> None:
    """Add what there is to say about columns beyond the distribution that stands for them."""
    for summary in summaries:
        reference, found = references.get(summary.key), measured.get(summary.key)
        if reference is not None and found is not None:
            found.results.extend(compare_contents(reference, summary))


def measure_pairs(
    summaries: Iterable[FeatureSummary],
    pair_of: Callable[[FeatureSummary], Pair | None],
    detectors: Sequence[DriftDetector] | Mapping[FeatureKey, DriftDetector],
    min_rows: int,
) -> dict[FeatureKey, Measurement]:
    """What detectors say about columns that are not in matrices, each with what `pair_of` gives.

    Args:
        detectors: All that are to be asked, or one for each column; a column without one is not compared.
    """
    measured: dict[FeatureKey, Measurement] = {}
    groups: dict[tuple[type, int], list[tuple[FeatureKey, Pair]]] = {}
    for summary in summaries:
        if isinstance(detectors, Mapping) and summary.key not in detectors:
            continue
        pair = pair_of(summary)
        if pair is not None and pair[1].total >= min_rows:
            groups.setdefault(_likes_of(pair), []).append((summary.key, pair))
    for group in groups.values():
        keys = [key for key, _ in group]
        asked = list(dict.fromkeys(detectors[key] for key in keys)) if isinstance(detectors, Mapping) else detectors
        _collect(measured, keys, Columns([pair for _, pair in group]), asked)
    return measured


def _likes_of(pair: Pair) -> tuple[type, int]:
    """Pairs of about as many points fit into one matrix."""
    reference, current = pair
    if isinstance(reference, NumericDistribution) and isinstance(current, NumericDistribution):
        return NumericDistribution, max(len(reference.points), len(current.points)).bit_length()
    return type(reference), 0


def _collect(
    measured: dict[FeatureKey, Measurement],
    keys: Sequence[FeatureKey | None],
    columns: Columns,
    detectors: Iterable[DriftDetector],
) -> None:
    if not len(columns):
        return
    found = {
        key: Measurement(int(m), partial(_pair, columns, row))
        for row, (key, m) in enumerate(zip(keys, columns.m.tolist(), strict=True))
        if key is not None
    }
    for detector in detectors:
        if detector.on_numbers if columns.is_numeric else detector.on_categories:
            for key, result in zip(keys, detector.results(columns), strict=True):
                if key is not None and not math.isnan(result.score):
                    found[key].results.append(result)
    measured.update(found)


def _pair(columns: Columns, row: int) -> Pair:
    return columns.pairs[row]
