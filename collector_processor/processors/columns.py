"""One summary a column, of windows in which replicas may have read a column differently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from otel_ml.sketch.exemplar import merged_exemplars
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

Parts = Mapping[tuple[FeatureKey, FeatureKind], FeatureSummary]


def columns_of(
    parts: Parts, rows: int, expected: Mapping[FeatureKey, FeatureKind], due: Iterable[FeatureKey] = ()
) -> dict[FeatureKey, FeatureSummary]:
    """For each column one summary, of the expected kind where there is one; what was read as another is mismatched.

    Args:
        parts: A window's; they stay as they are.
        rows: The window's.
        expected: How columns are to be read; others as most of their rows were.
        due: Columns that count as missing from every row if nobody sends them any more; features only, and only where
            others were sent.
    """
    by_key: dict[FeatureKey, list[FeatureSummary]] = {}
    for (key, _), part in parts.items():
        by_key.setdefault(key, []).append(part)
    columns = {key: _joined(same, expected.get(key)) for key, same in by_key.items()}
    if any(key.role is FeatureRole.FEATURE for key in by_key):
        for key in due:
            if key.role is FeatureRole.FEATURE and key not in columns:
                columns[key] = FeatureSummary(key, OpaqueSummary(), Counters(rows=rows, missing=rows))
    return columns


def _joined(parts: Sequence[FeatureSummary], expected: FeatureKind | None) -> FeatureSummary:
    main = max(parts, key=lambda part: (part.kind is expected, part.counters.rows, part.kind.value))
    counters = replace(main.counters)
    for part in parts:
        if part is not main:
            rows, missing = part.counters.rows, part.counters.missing
            counters.merge(Counters(rows=rows, missing=missing, mismatched=rows - missing))
    return FeatureSummary(main.key, main.content, counters, merged_exemplars(*(part.exemplars for part in parts)))
