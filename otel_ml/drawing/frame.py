"""The bins in which two distributions of a column are drawn over each other, cut where the reference has its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from otel_ml.drawing.numerals import numerals, round_step
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution, just_below
from otel_ml.sketch.sketch import FloatArray

OTHERS: Final = "(others)"
"""All that has no bin of its own."""
UNSEEN: Final = "(unseen)"
"""The same where the reference has none of it."""

_BINS: Final = 24
_CATEGORIES: Final = 12
_SHORT: Final = 3
# What lies outside is in the outer bins: one wild value must not press all others into a single bin.
_CENTRAL: Final = (0.005, 0.995)
# Share of one bin from which on the others tell little, and what is worth other bins.
_CROWDED: Final = 0.35
_LESS: Final = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Bins, and the shares of the reference in them.

    Attributes:
        edges: (k+1,) ends of k ranges of numbers, each without its lower end and with its upper one; the outer two
            hold whatever lies beyond as well. Empty where bins are no ranges.
        points: (k-1,) single numbers, where there are few; all other ones are in the last bin. Empty otherwise.
        labels: Categories, the last of them `OTHERS` or `UNSEEN`; empty where bins are numbers.
        shares: (k,) of the reference; they add up to 1.
        count: Values of the reference.
    """

    edges: FloatArray
    points: FloatArray
    labels: tuple[str, ...]
    shares: FloatArray
    count: int

    @property
    def is_numeric(self) -> bool:
        """Whether it can hold numbers; otherwise it holds categories."""
        return not self.labels

    @property
    def names(self) -> tuple[str, ...]:
        """What to write below each bin."""
        if self.labels:
            return self.labels
        if len(self.points):
            return (*numerals(self.points.tolist()), UNSEEN)
        inner = numerals(self.edges[1:-1].tolist())
        if not inner:
            low, high = numerals(self.edges[[0, -1]].tolist())
            return (f"{low} to {high}",)
        between = [f"{low} to {high}" for low, high in pairwise(inner)]
        return (f"≤ {inner[0]}", *between, f"> {inner[-1]}")

    def of(self, distribution: Distribution) -> FloatArray | None:
        """(k,) shares of a distribution in these bins; None where it is of another kind, or empty."""
        if not distribution.total or isinstance(distribution, NumericDistribution) != self.is_numeric:
            return None
        if isinstance(distribution, CategoricalDistribution):
            return _of_categories(distribution, self.labels)
        if len(self.points):
            at = distribution.cdf(self.points) - distribution.cdf(just_below(self.points))
            return np.append(at, max(0.0, 1.0 - float(at.sum())))
        return distribution.mass(self.edges[1:-1])

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "edges": self.edges.tolist(),
            "points": self.points.tolist(),
            "labels": list(self.labels),
            "shares": [round(share, 6) for share in self.shares.tolist()],
            "count": self.count,
        }

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Frame:
        """What `to_json` gave."""
        edges, points, shares = (np.asarray(fields[name], np.float64) for name in ("edges", "points", "shares"))
        return cls(edges, points, tuple(fields["labels"]), shares, int(fields["count"]))


def frame_of(reference: Distribution) -> Frame | None:
    """Bins that suit a distribution, some twenty at most; None where it is empty."""
    if not reference.total:
        return None
    none = np.empty(0)
    if isinstance(reference, CategoricalDistribution):
        # As many as the hours of a day, if their names take no more room than these.
        are_short = len(reference.counts) <= _BINS and max(map(len, reference.counts), default=0) <= _SHORT
        limit = _BINS if are_short else _CATEGORIES
        frequent = sorted(reference.counts, key=lambda name: (-reference.counts[name], name))[:limit]
        # Truth values and hours of the day keep the order that everybody expects.
        named = [name for name in reference.counts if name in frequent]
        rest = reference.total - sum(reference.counts[name] for name in named)
        labels = (*named, OTHERS if rest else UNSEEN)
        return Frame(none, none, labels, _of_categories(reference, labels), reference.total)
    if reference.minimum == reference.maximum:
        points, edges = np.array([reference.minimum]), none
    elif reference.is_step and len(reference.points) <= _BINS and not reference.rank_error:
        points, edges = reference.points, none
    else:
        points, edges = none, _edges(reference)
    frame = _filled(reference, edges, points)
    if len(edges) and frame.shares.max() > _CROWDED:
        for other_edges in _other_edges(reference):
            other = _filled(reference, other_edges, none)
            if other.shares.max() < _LESS * frame.shares.max():
                return other
    return frame


def _filled(reference: NumericDistribution, edges: FloatArray, points: FloatArray) -> Frame:
    frame = Frame(edges, points, (), np.empty(0), reference.total)
    shares = frame.of(reference)
    assert shares is not None
    return Frame(edges, points, (), shares, reference.total)


def _edges(reference: NumericDistribution) -> FloatArray:
    """Bins of one width, a round number."""
    low, high = _range(reference)
    if not math.isfinite(high - low):
        return _evenly(low, high, _BINS)
    step = (high - low) / _BINS
    if step:
        step = round_step(step)
        with np.errstate(over="ignore", invalid="ignore"):
            edges = (np.arange(math.floor(low / step), math.ceil(high / step) + 1) * step).astype(np.float64)
            are_bins = np.isfinite(edges).all() and (np.diff(edges) > 0).all()
        if are_bins:
            return edges
    # Steps too small for the numbers they lead to: neighbours of a large one are far apart.
    return np.unique(_evenly(low, high, 4))


def _evenly(low: float, high: float, bins: int) -> FloatArray:
    """As numpy.linspace, which overflows where the range is larger than any number."""
    parts = np.linspace(0.0, 1.0, bins + 1)
    return low * (1.0 - parts) + high * parts


def _other_edges(reference: NumericDistribution) -> Iterator[FloatArray]:
    """Bins for what most of such bins would hold little of: as wide as their numbers are large, or of one mass."""
    low, high = _range(reference)
    if low > 0:
        yield np.unique(np.geomspace(low, high, _BINS + 1).astype(np.float64))
    cut = reference.quantiles(np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
    yield np.unique([reference.minimum, *cut, reference.maximum])


def _range(reference: NumericDistribution) -> tuple[float, float]:
    low, high = (float(value) for value in reference.quantiles(np.array(_CENTRAL)))
    return (low, high) if low < high else (reference.minimum, reference.maximum)


def _of_categories(distribution: CategoricalDistribution, labels: tuple[str, ...]) -> FloatArray:
    named = [distribution.counts.get(name, 0) for name in labels[:-1]]
    return np.array([*named, distribution.total - sum(named)]) / distribution.total
