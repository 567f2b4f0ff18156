"""Copies of what was decoded, where two windows are to grow in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.summary import FeatureSummary

BlockT = TypeVar("BlockT", BinnedColumns, SketchedColumns)


def copied_columns(block: BlockT) -> BlockT:
    """The same columns, independent of these."""
    if isinstance(block, SketchedColumns):
        return block.copy()
    return replace(
        block,
        counts=block.counts.copy(),
        counters=block.counters.copy(),
        mean=block.mean.copy(),
        m2=block.m2.copy(),
        minimum=block.minimum.copy(),
        maximum=block.maximum.copy(),
        exemplars={position: list(exemplars) for position, exemplars in block.exemplars.items()},
    )


def copied_summary(summary: FeatureSummary) -> FeatureSummary:
    """A summary that has seen the same, independent of this one."""
    # Whatever merges takes nothing over, and of nothing, merging makes the same.
    copy = FeatureSummary(summary.key, type(summary.content)())
    copy.merge(summary)
    return copy
