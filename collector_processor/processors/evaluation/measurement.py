"""How far each column of a window is from a reference, all columns at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from collector_processor.processors.windows import Window
from otel_ml.baseline import Baseline
from otel_ml.drift.binned import BinnedReferences
from otel_ml.drift.columns import Columns, Pair
from otel_ml.drift.comparison import distributions
from otel_ml.drift.contents import compare_contents
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.drift.explanation import MovedCell
from otel_ml.drift.sketched import SketchedReferences
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary


@dataclass(slots=True)
class Measurement:
    """What the detectors say about one column.

    Attributes:
        n_current: Values it was measured on.
        pair: Makes the two distributions; None where only contents could be compared.
        results: Of every detector that was asked and suits the column.
        contents: Both summaries, where more than the two distributions was compared.
        moved: Tells what changed most, where it is neither of these.
    """

    n_current: int
    pair: Callable[[], Pair] | None
    results: list[DriftResult] = field(default_factory=list)
    contents: tuple[FeatureSummary, FeatureSummary] | None = None
    moved: Callable[[], list[MovedCell]] | None = None


class BlockReferences:
    """What a baseline says of columns that come as matrices, ready to be compared.

    Args:
        baseline: It does not change.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._binned = BinnedReferences(baseline.features, baseline.layouts)
        self._sketched = SketchedReferences(baseline.features, baseline.layouts)

    def columns(self, window: Window, min_rows: int) -> Iterator[tuple[list[FeatureKey], Columns]]:
        """Those of a window that have enough values and compare as matrices, block by block."""
        for binned in window.binned:
            yield self._binned.columns(binned, min_rows)
        for sketched in window.sketched:
            yield self._sketched.columns(sketched, min_rows)


def measure(
    window: Window,
    summaries: Iterable[FeatureSummary],
    baseline: Baseline,
    references: BlockReferences,
    detectors: Sequence[DriftDetector],
    min_rows: int,
) -> dict[FeatureKey, Measurement]:
    """What detectors say about the columns that have enough values to compare.

    Args:
        summaries: One for each column of the window.
        references: Of the baseline.
        min_rows: Values below which a column is not compared.
    """
    measured: dict[FeatureKey, Measurement] = {}
    ways = Counter(key for key, _ in window.unbinned) + Counter(key for block in window.blocks for key in block.keys)
    for keys, columns in references.columns(window, min_rows):
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
    measured: dict[FeatureKey, Measurement],
    summaries: Iterable[FeatureSummary],
    references: Mapping[FeatureKey, FeatureSummary],
    min_rows: int,
    methods: Mapping[FeatureKey, str] | None = None,
) -> None:
    """Add what there is to say about columns beyond the distribution that stands for them.

    Args:
        measured: What is known of them so far; columns that have no such distribution are added.
        references: Summaries by column.
        min_rows: Values below which a column is not compared.
        methods: The only method that is asked of each column, others not at all; None asks all of all.
    """
    for summary in summaries:
        if summary.key.role is FeatureRole.JOINT:
            continue
        reference = references.get(summary.key)
        asked: Collection[str] | None = None
        if methods is not None:
            asked = [methods[summary.key]] if summary.key in methods else []
        if reference is None or asked == []:
            continue
        results = [result for result in compare_contents(reference, summary, asked) if result.n_current >= min_rows]
        if results:
            found = measured.setdefault(summary.key, Measurement(results[0].n_current, None))
            found.results.extend(results)
            found.contents = reference, summary


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
            groups.setdefault(likes_of(pair), []).append((summary.key, pair))
    for group in groups.values():
        keys = [key for key, _ in group]
        asked = list(dict.fromkeys(detectors[key] for key in keys)) if isinstance(detectors, Mapping) else detectors
        _collect(measured, keys, Columns([pair for _, pair in group]), asked)
    return measured


def likes_of(pair: Pair) -> tuple[type, int]:
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
