"""The bins of a baseline beside those of a window, in matrices: what is compared every few minutes, for every model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from otel_ml.drift.columns import Columns, MomentPairs, Pair
from otel_ml.drift.functions import Functions
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.feature import FeatureKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

_REMEMBERED = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """References of the columns of one kind of block, in matrices, and what was worked out from them."""

    identity: tuple[object, ...]
    rows: npt.NDArray[np.intp]
    edges: FloatArray
    shares: FloatArray
    n: FloatArray
    mean: FloatArray
    m2: FloatArray
    worked_out: dict[Hashable, Any] = field(default_factory=dict)


class BinnedReferences:
    """A baseline's bins, ready to be compared with the windows of its model.

    Args:
        features: The baseline's summaries.
        layouts: The bins it cut.
    """

    def __init__(self, features: Mapping[FeatureKey, FeatureSummary], layouts: Mapping[FeatureKey, BinLayout]) -> None:
        self._features = features
        self._layouts = layouts
        self._stacks: list[_Stack] = []

    def columns(self, block: BinnedColumns, at_least: int = 1) -> tuple[list[FeatureKey], Columns]:
        """The columns of a block that the baseline cut the bins for, and that have at least so many values."""
        stack = self._stack(block)
        counts = block.counts if len(stack.rows) == len(block.keys) else block.counts[stack.rows]
        m = counts.sum(axis=1)
        worked_out = stack.worked_out
        if len(m) and m.min() < max(1, at_least):
            chosen = np.flatnonzero(m >= max(1, at_least))
            stack = _chosen(stack, chosen)
            counts, m, worked_out = counts[chosen], m[chosen], {}
        size = m.astype(np.float64)
        exact = np.zeros(len(size))
        functions = Functions(
            stack.edges,
            stack.shares,
            counts[:, :-1].cumsum(axis=1) / size[:, np.newaxis],
            np.zeros(len(size), dtype=np.bool_),
            exact,
            exact,
        )
        moments = MomentPairs(stack.mean, stack.m2, block.mean[stack.rows], block.m2[stack.rows])
        keys = [block.keys[row] for row in stack.rows.tolist()]
        columns = Columns.of_matrices(
            functions,
            moments,
            stack.n,
            size,
            make_pairs=lambda: self._pairs(block, stack.rows.tolist()),
            of_references=worked_out,
        )
        return keys, columns

    def _stack(self, block: BinnedColumns) -> _Stack:
        identity = block.identity
        for stack in self._stacks:
            if stack.identity == identity:
                return stack
        rows, references = [], []
        for row, (key, edges_hash) in enumerate(zip(block.keys, block.edges_hashes, strict=True)):
            reference = self._reference(key, edges_hash, block.counts.shape[1])
            if reference is not None:
                rows.append(row)
                references.append(reference)
        counts = np.array([bins.counts for _, bins, _ in references]).reshape(len(rows), block.counts.shape[1])
        n = counts.sum(axis=1).astype(np.float64)
        stack = _Stack(
            identity,
            np.array(rows, dtype=np.intp),
            np.array([layout.edges for layout, _, _ in references]).reshape(len(rows), block.counts.shape[1] - 1),
            counts[:, :-1].cumsum(axis=1) / n[:, np.newaxis],
            n,
            np.array([moments.mean for _, _, moments in references]),
            np.array([moments.m2 for _, _, moments in references]),
        )
        self._stacks = [stack, *self._stacks[: _REMEMBERED - 1]]
        return stack

    def _reference(self, key: FeatureKey, edges_hash: int, bins: int) -> tuple[BinLayout, AnchoredBins, Moments] | None:
        """The layout and counts of a column whose window was counted in the bins of this baseline."""
        summary, layout = self._features.get(key), self._layouts.get(key)
        if summary is None or layout is None or layout.hash != edges_hash or layout.bins != bins:
            return None
        content = summary.content
        if not isinstance(content, NumericSummary) or edges_hash not in content.bins or not content.moments.count:
            return None
        return layout, content.bins[edges_hash], content.moments

    def _pairs(self, block: BinnedColumns, rows: Sequence[int]) -> list[Pair]:
        pairs: list[Pair] = []
        summaries = block.summaries()
        for row in rows:
            current = summaries[row].content
            assert isinstance(current, NumericSummary)
            reference = self._reference(block.keys[row], block.edges_hashes[row], block.counts.shape[1])
            assert reference is not None
            layout, bins, moments = reference
            now = current.bins[layout.hash].distribution(layout, current.moments)
            pairs.append((bins.distribution(layout, moments), now))
        return pairs


def _chosen(stack: _Stack, chosen: npt.NDArray[np.intp]) -> _Stack:
    return _Stack(
        stack.identity,
        stack.rows[chosen],
        stack.edges[chosen],
        stack.shares[chosen],
        stack.n[chosen],
        stack.mean[chosen],
        stack.m2[chosen],
    )
