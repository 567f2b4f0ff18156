"""How the calls of a model went: how many, how they failed, and how long they took.

Durations are counted in buckets of one scale, the same everywhere, of which the lowest holds whatever is shorter than
about a millionth of the longest: what that millionth is only depends on the longest of all, so that parts add up to the
same whatever is added to what first. Which errors keep their names is decided by the names alone, for the same reason.

Source: collapsing the lowest buckets is from Masson, Rim & Lee, "DDSketch: a fast and fully-mergeable quantile sketch
with relative-error guarantees" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.exponential import MAX_BUCKETS, Buckets, ExponentialHistogram, bucket_bounds
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.text import bounded

SCALE: Final = 3
"""Of the durations: 8 buckets from one power of two to the next, so that a quantile is off by 4.4 % at most."""
ERROR_LIMIT: Final = 16
"""Types of errors that keep their names."""
TYPE_LENGTH: Final = 128
LARGEST_BYTES: Final = 8_000
"""What a summary can grow to in memory, about."""

_PER_OCTAVE: Final = 1 << SCALE
_MIN_NORMAL: Final = float(np.finfo(np.float64).tiny)
_FRACTION_BITS: Final = 52
_FRACTION: Final = (1 << _FRACTION_BITS) - 1
_BIAS: Final = 1023
# An octave in 256 cells, each with one bound of a bucket at most: how many bounds lie in the cells before each, and the
# bound in it. Finding a duration's bucket so takes a third of the time of a search among the bounds.
_CELL_SHIFT: Final = _FRACTION_BITS - 8
_BOUNDS: Final = bucket_bounds(SCALE, 0, _PER_OCTAVE - 1).view(np.int64) & _FRACTION
_BEFORE: Final = (_BOUNDS >> _CELL_SHIFT).searchsorted(np.arange(256))
_WITHIN: Final = np.full(256, _FRACTION + 1)
_WITHIN[_BOUNDS >> _CELL_SHIFT] = _BOUNDS


def _nothing() -> ExponentialHistogram:
    return ExponentialHistogram(SCALE)


@dataclass(slots=True, eq=False)
class CallSummary:
    """Calls of one model, failed ones included.

    Attributes:
        count: How many there were.
        errors: How many of them ended with an error, by its type; types beyond 16 are one, "_OTHER": those that come
            last by the alphabet.
        durations: In seconds, of those calls whose duration is known, at scale 3; never negative, and in at most 160
            buckets.
        exemplars: Calls worth a look: the two slowest that can be found again, and the two that failed last.
    """

    count: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    durations: ExponentialHistogram = field(default_factory=_nothing)
    exemplars: list[Exemplar] = field(default_factory=list)

    @property
    def error_count(self) -> int:
        """Calls that ended with an error."""
        return sum(self.errors.values())

    def update(self, durations_s: FloatArray, /) -> None:
        """Count calls, shape (n,), that took so many seconds; what is no duration stands for an unknown one."""
        self.count += durations_s.size
        if durations_s.size == 0:
            return
        zeros = 0
        # NaN is neither above nor below anything.
        if not (durations_s.min() >= _MIN_NORMAL and durations_s.max() < math.inf):
            zeros = int(np.count_nonzero(durations_s == 0.0))
            durations_s = np.maximum(durations_s[(durations_s > 0.0) & (durations_s < math.inf)], _MIN_NORMAL)
        self._add(zeros, _counted(durations_s))

    def add_errors(self, errors: Mapping[str, int], /) -> None:
        """Say of calls that are counted by `update` how many ended with an error of each type."""
        for name, count in errors.items():
            kept = name if name.isascii() and 0 < len(name) <= TYPE_LENGTH else bounded(name, TYPE_LENGTH)
            kept = kept or OTHER_LABEL
            self.errors[kept] = self.errors.get(kept, 0) + count
        self._prune()

    def add_exemplars(self, exemplars: Collection[Exemplar], /) -> None:
        """Tell of some calls, which `update` has counted, that they are worth a look; the most so are kept."""
        self.exemplars = merged_exemplars(self.exemplars, exemplars)

    def merge(self, other: CallSummary, /) -> None:
        """Add what `other` has counted. Sums that no process can come to, beyond 2^53, are not made."""
        # Only somebody who makes numbers up gets there; what could be counted no more could not be kept, either.
        if self.count + other.count > MAX_COUNT:
            return
        self.count += other.count
        self._add(other.durations.zero_count, other.durations.positive)
        if other.errors:
            for name, count in other.errors.items():
                self.errors[name] = self.errors.get(name, 0) + count
            self._prune()
        if other.exemplars:
            self.add_exemplars(other.exemplars)

    def copy(self) -> CallSummary:
        """The same, independent of this one."""
        return CallSummary(self.count, dict(self.errors), self.durations.copy(), list(self.exemplars))

    def quantile(self, rank: float) -> float | None:
        """The duration in seconds that a share `rank` of the calls did not exceed; None where none is known."""
        return self.quantiles([rank])[0]

    def quantiles(self, ranks: Sequence[float]) -> list[float | None]:
        """Durations in seconds that shares of the calls, in [0, 1], did not exceed, each within 4.4 %.

        None where no duration is known.

        Raises:
            ValueError: A rank is no share.
        """
        if not all(0.0 <= rank <= 1.0 for rank in ranks):
            raise ValueError(f"ranks {list(ranks)!r} (each from 0 to 1)")
        zeros, positive = self.durations.zero_count, self.durations.positive
        cumulative = positive.counts.cumsum() + zeros
        total = int(cumulative[-1]) if cumulative.size else zeros
        if not total:
            return [None] * len(ranks)
        found: list[float | None] = []
        for rank in ranks:
            place = max(1, math.ceil(rank * total))
            if place <= zeros:
                found.append(0.0)
                continue
            index = positive.offset + int(cumulative.searchsorted(min(place, total)))
            low, high = bucket_bounds(SCALE, index, index + 1).tolist()
            # As far from the one as from the other, relative to it.
            found.append(2.0 * low / (low / high + 1.0) if math.isfinite(high) else low)
        return found

    def _add(self, zeros: int, positive: Buckets) -> None:
        self.durations.zero_count += zeros
        self.durations.positive = lumped(self.durations.positive.plus(positive))

    def _prune(self) -> None:
        """Keep the names that come first: whoever has seen only some of the errors keeps all of these that it saw."""
        names = self.errors
        if len(names) - (OTHER_LABEL in names) <= ERROR_LIMIT:
            return
        kept = sorted(names.keys() - {OTHER_LABEL})[:ERROR_LIMIT]
        total = sum(names.values())
        self.errors = {name: names[name] for name in kept}
        self.errors[OTHER_LABEL] = total - sum(self.errors.values())


def durations_of(histogram: ExponentialHistogram) -> ExponentialHistogram:
    """A histogram without negative values as `CallSummary.durations` has it.

    Of coarser buckets all are taken for those in their middle.
    """
    positive, by = histogram.positive.trimmed(), SCALE - histogram.scale
    if by < 0:
        positive = positive.downscaled(-by)
    elif by > 0 and len(positive.counts):
        places = (2 * np.arange(positive.offset, positive.end) + 1) << by >> 1
        spread: CountArray = np.zeros(int(places[-1] - places[0]) + 1, np.int64)
        spread[places - places[0]] = positive.counts
        positive = Buckets(int(places[0]), spread)
    return ExponentialHistogram(SCALE, histogram.zero_count, lumped(positive))


def lumped(buckets: Buckets) -> Buckets:
    """The same counts in the highest 160 buckets; the lowest of them holds all that lies below."""
    beyond = len(buckets.counts) - MAX_BUCKETS
    if beyond <= 0:
        return buckets
    counts = buckets.counts[beyond:].copy()
    counts[0] += buckets.counts[:beyond].sum()
    return Buckets(buckets.offset + beyond, counts)


def _counted(durations_s: FloatArray) -> Buckets:
    """Positive, normal durations in buckets of our scale, those at the ends not empty."""
    if durations_s.size == 0:
        return Buckets()
    # Doubles are made of an exponent and a fraction, and are as large as their bits.
    bits = np.ascontiguousarray(durations_s).view(np.int64)
    fractions = bits & _FRACTION
    cells = fractions >> _CELL_SHIFT
    indexes = _BEFORE[cells]
    indexes += fractions > _WITHIN[cells]  # bounds belong to the bucket below them
    indexes += ((bits >> _FRACTION_BITS) - _BIAS) * _PER_OCTAVE
    first = int(indexes.min())
    return Buckets(first - 1, np.bincount(indexes - first))
