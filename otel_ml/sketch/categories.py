"""Counts by category, within a bounded number of names."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.text import bounded

LIMIT: Final = 256
NAME_LENGTH: Final = 128


HASH_DIGITS: Final = 16


def hashed_name(name: str, key: bytes) -> str:
    """HMAC-SHA256 (RFC 2104) of a category's name, as 16 hexadecimal digits: the same wherever the key is the same."""
    return hmac.new(key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:HASH_DIGITS]


@dataclass(slots=True)
class CategoryCounts:
    """Exact counts of up to `limit` categories; beyond that, of the frequent ones.

    A category's true count lies in [counts.get(name, 0), counts.get(name, 0) + error_bound], and
    error_bound ≤ other / (limit + 1) when all parts had the same limit. The total is always exact, and the same parts
    merged in another order keep the same promise, though not the same names.

    Source: Misra & Gries, "Finding repeated elements" (1982); merging as in Agarwal et al., "Mergeable summaries"
    (2012).

    Attributes:
        limit: How many categories keep a name.
        counts: Category → count, in no particular order.
        other: Values not attributed to a name; 0 as long as the counts are exact.
        error_bound: By how much any count may be too low.
        altered_names: Names that were cut to 128 characters or held characters UTF-8 cannot encode, each time one came.
    """

    limit: int = LIMIT
    counts: dict[str, int] = field(default_factory=dict)
    other: int = 0
    error_bound: int = 0
    altered_names: int = 0

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts.values()) + self.other

    @property
    def is_exact(self) -> bool:
        """True while every category has its name and its count."""
        return self.error_bound == 0

    def update(self, batch: Mapping[str, int], /) -> None:
        """Add category → count."""
        counts = self.counts
        for name, count in batch.items():
            if len(name) > NAME_LENGTH or not name.isascii():
                kept = bounded(name, NAME_LENGTH)
                self.altered_names += kept != name
            else:
                kept = name
            counts[kept] = counts.get(kept, 0) + count
        self._prune()

    def merge(self, other: CategoryCounts, /) -> None:
        """Add what `other` has counted, within this one's `limit`."""
        counts = self.counts
        for name, count in other.counts.items():
            counts[name] = counts.get(name, 0) + count
        self.other += other.other
        self.error_bound += other.error_bound
        self.altered_names += other.altered_names
        self._prune()

    def renamed(self, rename: Callable[[str], str]) -> CategoryCounts:
        """The same counts under other names; those that become the same are added."""
        counts: dict[str, int] = {}
        for name, count in self.counts.items():
            new = rename(name)
            counts[new] = counts.get(new, 0) + count
        return CategoryCounts(self.limit, counts, self.other, self.error_bound, self.altered_names)

    def distribution(self) -> CategoricalDistribution:
        """What detectors see."""
        return CategoricalDistribution(dict(self.counts), self.other)

    def _prune(self) -> None:
        """Take the largest count that finds no place from every count, as many values from each of limit + 1 names."""
        if len(self.counts) <= self.limit:
            return
        before = sum(self.counts.values())
        cut = sorted(self.counts.values(), reverse=True)[self.limit]
        self.counts = {name: count - cut for name, count in self.counts.items() if count > cut}
        self.other += before - sum(self.counts.values())
        self.error_bound += cut
