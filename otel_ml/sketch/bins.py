"""Counts in bins anchored to a baseline: the cheapest sketch, and the one that drift is measured with.

A baseline's quantiles cut the edges once; every replica counts into them. Counts are integers, so that any number of
replicas, merged in any order, give the same bits, and ordinary p-values hold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.distribution import NumericDistribution, just_below
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray

DEFAULT_BINS = 64
MAX_BINS = 128

_MAX = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class BinLayout:
    """Increasing edges that cut the real line into right-closed bins (-inf, e₀], (e₀, e₁], …, (eₖ, inf).

    Attributes:
        edges: (k,) finite and strictly increasing; kept as a read-only copy.
        hash: The first 8 bytes, big endian, of the SHA-256 of the edges as little-endian doubles: the layout's name on
            the wire.
    """

    edges: FloatArray
    hash: int = field(init=False)

    def __post_init__(self) -> None:
        # Adding zero turns -0.0 into 0.0: equal edges must have equal hashes.
        edges = np.array(self.edges, dtype="<f8").astype(np.float64) + 0.0
        if edges.ndim != 1 or edges.size == 0:
            raise ValueError(f"edges: shape {edges.shape} (must be one non-empty row)")
        if not np.isfinite(edges).all() or not (edges[1:] > edges[:-1]).all():
            raise ValueError("edges: not finite and strictly increasing")
        edges.flags.writeable = False
        digest = hashlib.sha256(edges.astype("<f8").tobytes()).digest()
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "hash", int.from_bytes(digest[:8], "big"))

    @property
    def bins(self) -> int:
        """How many bins the edges cut, the two open ones included."""
        return len(self.edges) + 1

    def count_sorted(self, values: FloatArray, /) -> CountArray:
        """How many of the increasing `values` lie in each bin, shape (bins,)."""
        at_or_below = values.searchsorted(self.edges, side="right")
        return np.diff(at_or_below, prepend=0, append=values.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BinLayout) and np.array_equal(self.edges, other.edges)

    def __hash__(self) -> int:
        return self.hash


@dataclass(slots=True, eq=False)
class AnchoredBins:
    """Integer counts in the bins of a layout.

    Counts that arrive over the wire know their layout by hash only; they merge, but to count or to be looked at they
    need the layout, which whoever holds the baseline supplies.

    Attributes:
        edges_hash: `BinLayout.hash` of the edges.
        counts: (bins,) never changed in place.
        layout: The edges themselves, where they are known.
    """

    edges_hash: int
    counts: CountArray
    layout: BinLayout | None = None

    @classmethod
    def of(cls, layout: BinLayout, values: FloatArray | None = None, /) -> AnchoredBins:
        """Counts of finite `values` in the bins of `layout`; all zero without values."""
        bins = cls(layout.hash, np.zeros(layout.bins, dtype=np.int64), layout)
        if values is not None:
            bins.update(values)
        return bins

    @property
    def count(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def update(self, values: FloatArray, /) -> None:
        """Count finite values, shape (n,).

        Raises:
            IncompatibleSketchError: Only the hash of the edges is known here.
        """
        if self.layout is None:
            raise IncompatibleSketchError(f"bins {self.edges_hash:016x}: cannot count without their edges")
        self.counts = self.counts + self.layout.count_sorted(np.sort(values))

    def merge(self, other: AnchoredBins, /) -> None:
        """Add the counts of `other`.

        Raises:
            IncompatibleSketchError: The edges differ; nothing was changed.
        """
        if self.edges_hash != other.edges_hash:
            raise IncompatibleSketchError(f"bins {self.edges_hash:016x}: cannot add bins {other.edges_hash:016x}")
        if len(self.counts) != len(other.counts):
            raise IncompatibleSketchError(
                f"bins {self.edges_hash:016x}: cannot add {len(other.counts)} counts to {len(self.counts)}"
            )
        self.counts = self.counts + other.counts
        self.layout = self.layout or other.layout

    def copy(self) -> AnchoredBins:
        """The same counts, independent of these."""
        return AnchoredBins(self.edges_hash, self.counts.copy(), self.layout)

    def distribution(self, layout: BinLayout | None = None, moments: Moments | None = None) -> NumericDistribution:
        """The counts as a distribution function known at the edges.

        Args:
            layout: The edges, where these counts know only their hash.
            moments: Of the same values; without them the extremes are taken from the outermost bins in use.

        Raises:
            IncompatibleSketchError: The edges are unknown, or `layout` has other ones.
        """
        layout = layout or self.layout
        if layout is None or layout.hash != self.edges_hash or layout.bins != len(self.counts):
            raise IncompatibleSketchError(f"bins {self.edges_hash:016x}: their edges are not at hand")
        edges, cumulative = layout.edges, self.counts.cumsum()
        total = int(cumulative[-1])
        minimum, maximum = _extremes(edges, self.counts)
        if total and moments is not None and moments.count:
            minimum, maximum = moments.minimum, moments.maximum
        known = moments if moments is not None and moments.count == total else None
        return NumericDistribution(edges, cumulative[:-1], total, minimum, maximum, is_step=False, moments=known)


def layout_from_quantiles(
    values: FloatArray,
    weights: CountArray | FloatArray | None = None,
    *,
    bins: int = DEFAULT_BINS,
    minimum: float | None = None,
    maximum: float | None = None,
) -> BinLayout:
    """Edges that cut a baseline's values into bins of equal mass, with atoms in bins of their own.

    A value holding at least 1/bins of the mass is an atom: the edge just below it keeps its neighbours out. A baseline
    of few distinct values gives each its own bin, and the gaps between them bins as well, in which nothing is expected.
    The first edge is the double below the smallest value and the last one is the largest value, so that bin 0 counts
    exactly what lies below the baseline's range and the last bin exactly what lies above it. (Nothing finite is
    smaller than the smallest double; a baseline that contains it has its edge there, and counts it in bin 0.)

    Args:
        values: (n,) finite and increasing.
        weights: (n,) how much each value counts, positive; 1 each when left out.
        bins: How many bins of equal mass to aim at. At most 128 come out, atoms included.
        minimum: The baseline's smallest value, where `values` are a sample that may have missed it.
        maximum: The baseline's largest value, likewise.

    Raises:
        ValueError: There is no value, or one of the arguments is out of its range.
    """
    if not 1 <= bins <= MAX_BINS // 2:
        raise ValueError(f"bins: {bins!r} (must be 1 to {MAX_BINS // 2})")
    distinct, at_or_below = _cumulative_mass(values, weights)
    low = float(distinct[0]) if minimum is None else min(minimum, float(distinct[0]))
    high = float(distinct[-1]) if maximum is None else max(maximum, float(distinct[-1]))
    ends = np.append(_strictly_below(np.array([low])), high)
    if len(distinct) <= bins and 2 * len(distinct) < MAX_BINS - 1:
        return BinLayout(_united(ends, distinct, _strictly_below(distinct)))
    total = at_or_below[-1]
    cut = np.searchsorted(at_or_below, np.arange(1, bins) * (total / bins), side="left")
    edges = _united(ends, distinct[cut])
    mass = np.diff(at_or_below, prepend=0.0)
    atoms = np.flatnonzero(mass >= total / bins)
    # The heaviest first: where there is no room for all, the lightest share a bin with a neighbour.
    atoms = atoms[np.argsort(-mass[atoms], kind="stable")]
    # An atom spans at least one multiple of the bin mass, so that its upper edge is there already.
    below = np.setdiff1d(_strictly_below(distinct[atoms]), edges, assume_unique=True)[: MAX_BINS - 1 - len(edges)]
    return BinLayout(_united(edges, below))


def _cumulative_mass(values: FloatArray, weights: CountArray | FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """The distinct values, and the mass at or below each."""
    values = np.asarray(values, dtype=np.float64) + 0.0
    if values.size == 0:
        raise ValueError("values: none (an edge needs at least one finite value)")
    if not np.isfinite(values[[0, -1]]).all() or not (values[1:] >= values[:-1]).all():
        raise ValueError("values: not finite and increasing")
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    if weights is None:
        return values[last], (last + 1).astype(np.float64)
    return values[last], np.cumsum(weights, dtype=np.float64)[last]


def _strictly_below(values: FloatArray) -> FloatArray:
    """The next smaller double, and the smallest one's self."""
    below: FloatArray = np.maximum(just_below(values), -_MAX)
    return below


def _united(*edges: FloatArray) -> FloatArray:
    return np.unique(np.concatenate(edges))


def _extremes(edges: FloatArray, counts: CountArray) -> tuple[float, float]:
    """The tightest known range of the counted values; NaN, NaN when there are none."""
    used = np.flatnonzero(counts)
    if used.size == 0:
        return np.nan, np.nan
    return float(edges[max(used[0] - 1, 0)]), float(edges[min(used[-1], len(edges) - 1)])
