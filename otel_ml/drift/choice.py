"""Which detector should decide about a column, and why: one short table of rules, each of them measured.

Measured is what share of a catalogue of changes each detector finds where all are equally strict: none counts what
chance explains, and none may fire sooner than PSI does on what the hour of a day does to a column (`python -m
benchmarks detection`, the part `choice`). By that measure PSI is within a twentieth of the best in nearly every case:
of numbers and categories, counted or in sketches as they are sent, from 64 values on. What is said of other tests, that
they find more, is said of one kind of change, or of a threshold that is passed sooner: a test of means sees nothing but
means, and finds half of what PSI finds. The exceptions are the rules here.

A method that is not among those that may be chosen is passed over, and the next rule that applies decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from otel_ml.drift.columns import Pair
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution
from otel_ml.sketch.feature import FeatureKind

FEW_VALUES: Final = 64
"""Values below which ten cells hold about five each, are joined, and hide what they are to show."""
FEW_DISTINCT: Final = 20
"""Distinct values below which cells show single values, and lose nothing when there are few."""
ZERO_INFLATED: Final = 0.5
"""Share of one value from which on cells of equal mass leave little for the others."""
ROUGH: Final = 0.2
"""Rank error from which on a sketch does not fill ten cells; of the sketches that are sent it is 0.011."""
MANY_CATEGORIES: Final = 256
"""Categories from which on a summary names only the frequent ones."""
RARE: Final = 0.05
"""Share of the rarer of two categories below which it is the one that can only grow."""
PSI_THRESHOLD: Final = 0.2
"""The threshold of PSI that the scores of `equivalent_threshold` correspond to."""

_ON_SCALE: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "psi": (0.2, 1.0),
        "kl": (0.106, 1.0),
        "g_test": (0.036, 1.0),
        "hellinger": (0.16, 0.5),
        "jensen_shannon": (0.19, 0.5),
        "chi_squared": (0.22, 0.5),
        "total_variation": (0.22, 0.5),
        "l_infinity": (0.22, 0.5),
        "proportions": (0.45, 0.5),
        "fisher": (0.22, 0.5),
        "ks": (0.22, 0.5),
        "cramer_von_mises": (0.25, 0.5),
        "anderson_darling": (0.25, 0.5),
        "energy": (0.23, 0.5),
        "wasserstein": (0.48, 0.5),
        "welch": (0.46, 0.5),
        "anova": (0.23, 0.5),
    }
)
"""The highest score of what the hour of a day does to columns, as far as it has a PSI of 0.2: a normal distribution
moves by 0.46 standard deviations or spreads by half, a share of zeros of 0.7 changes by 0.2, two equal categories by
0.22, … And the power of PSI that the score grows with. The tests measure all of it."""

_NUMERIC: Final = (FeatureKind.NUMERIC, FeatureKind.TEXT)
# By how much they find; the last ones see one kind of change only.
_OF_NUMBERS: Final = (
    *("kl", "hellinger", "jensen_shannon", "chi_squared", "g_test", "ks", "total_variation", "energy"),
    *("anderson_darling", "wasserstein", "cramer_von_mises", "l_infinity", "welch", "anova", "levene"),
)
_OF_CATEGORIES: Final = (
    *("kl", "hellinger", "jensen_shannon", "g_test", "chi_squared", "total_variation", "l_infinity"),
)
_OF_TWO: Final = ("proportions", "fisher")


@dataclass(frozen=True, slots=True)
class Choice:
    """The detector that should decide about a column.

    Attributes:
        method: Its name.
        reason: Why, in one sentence for people that begins with the name.
    """

    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a column that a detector is chosen for.

    Attributes:
        kind: How its values are read.
        n_reference: Values behind the reference.
        n_current: Values behind the current window, or behind a typical one.
        distinct: Of the reference, categories (at least so many, where rare ones have no name), or cells that hold
            anything; 0 where it is not known.
        frequent_share: Share of the most frequent one.
        rank_error: Of the rougher side's sketch, see `NumericDistribution.rank_error`; 0 for counts.
    """

    kind: FeatureKind
    n_reference: int
    n_current: int
    distinct: int = 0
    frequent_share: float = 0.0
    rank_error: float = 0.0

    @classmethod
    def of(cls, kind: FeatureKind, pair: Pair) -> Evidence:
        """What two distributions, as `otel_ml.drift.distributions` gives them, tell of a column of that kind."""
        reference, current = pair
        if isinstance(reference, CategoricalDistribution) or isinstance(current, CategoricalDistribution):
            counts = [] if isinstance(reference, NumericDistribution) else list(reference.counts.values())
            are_hidden = isinstance(reference, CategoricalDistribution) and reference.other > 0
            distinct = max(len(counts), MANY_CATEGORIES if are_hidden else 0)
            return cls(kind, reference.total, current.total, distinct, max(counts, default=0) / max(reference.total, 1))
        counts_by_cell = np.diff(reference.cumulative, prepend=0, append=reference.total)
        return cls(
            kind,
            reference.total,
            current.total,
            int(np.count_nonzero(counts_by_cell)),
            float(counts_by_cell.max(initial=0)) / max(reference.total, 1),
            max(reference.rank_error, current.rank_error),
        )

    @property
    def n(self) -> int:
        """Values behind the smaller side: what limits a test."""
        return min(self.n_reference, self.n_current)

    @property
    def is_numeric(self) -> bool:
        """Whether numbers are compared: those of the column, or lengths of its texts."""
        return self.kind in _NUMERIC


Rule = Callable[[Evidence], str | None]


def choose(evidence: Evidence, configured: Collection[str] | None = None) -> Choice:
    """The detector that finds most in such a column, of those that may be chosen.

    Args:
        configured: Names of the detectors that may be chosen, "content" among them where texts are known by more than
            their lengths; all of ours for distributions where it is None.

    Raises:
        ConfigurationError: None of these compares such columns.
    """
    allowed = BUILTIN_DETECTORS if configured is None else configured
    if evidence.kind is FeatureKind.EMBEDDING:
        return Choice("mahalanobis", "mahalanobis: vectors, of which it finds most kinds of change")
    if evidence.kind is FeatureKind.TEXT and "content" in allowed:
        return Choice("content", "content: texts, whose words and characters tell more than their lengths")
    passed_over = ""
    for method, applies in _RULES:
        why = applies(evidence)
        if why is not None:
            if method in allowed:
                return Choice(method, f"{method}: {why}{passed_over}")
            passed_over = passed_over or f" ({method}, which finds more there, is not configured)"
    for method in _remaining(evidence, allowed):
        return Choice(method, f"{method}: {_described(evidence)}; of what is configured, it finds most")
    raise ConfigurationError(
        f"no detector for {evidence.kind.value} columns (of {', '.join(sorted(allowed)) or 'none'})"
    )


def equivalent_threshold(method: str, psi: float = PSI_THRESHOLD) -> float | None:
    """The score of a method that is as big as that PSI; None of a method that is not ours, or sees no change of place.

    A choice must not change what counts as big. The default thresholds of the detectors on cells correspond to each
    other, others find much less big enough; and a quarter of a threshold is far less on a scale that grows with the
    root of the PSI, as distances between distribution functions do, than on that of PSI itself.
    """
    found = _ON_SCALE.get(method)
    return None if found is None else found[0] * (psi / PSI_THRESHOLD) ** found[1]


def _rough(evidence: Evidence) -> str | None:
    if evidence.is_numeric and evidence.rank_error > ROUGH:
        return f"a sketch of {evidence.rank_error:.0%} rank error would hold too few in cells"
    return None


def _few_beside_one(evidence: Evidence) -> str | None:
    if evidence.is_numeric and evidence.n < FEW_VALUES and evidence.frequent_share >= ZERO_INFLATED:
        return f"{evidence.n:,} values, most of them usually the same, cells would hold too few of the others"
    return None


def _few(evidence: Evidence) -> str | None:
    if evidence.is_numeric and evidence.n < FEW_VALUES and evidence.distinct > FEW_DISTINCT:
        return f"{evidence.n:,} values, cells would hold too few"
    return None


def _many_categories(evidence: Evidence) -> str | None:
    if not evidence.is_numeric and evidence.distinct >= MANY_CATEGORIES:
        return f"{evidence.distinct:,} categories or more, of which new ones stand out"
    return None


def _rare(evidence: Evidence) -> str | None:
    if not evidence.is_numeric and evidence.distinct == 2 and evidence.frequent_share > 1 - RARE:
        return f"two categories, one with {1 - evidence.frequent_share:.2%}, which stands out when it grows"
    return None


def _described(evidence: Evidence) -> str:
    values = f"{evidence.n:,} values"
    if evidence.rank_error:
        return f"a sketch of {evidence.rank_error:.1%} rank error, {values}"
    if not evidence.distinct:
        return values
    what = "cells" if evidence.is_numeric else "categories"
    return f"counts in {evidence.distinct:,} {what}, {values}"


_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    # At 24 and 35 % rank error it finds 1 to 2 times what PSI does, at 12 % less; no sketch that is sent is as rough.
    ("ks", _rough),
    # Of 50 values, seven in ten of them zero, 1.4 times.
    ("energy", _few_beside_one),
    # Of 50 normal or log-normal values 1.3 to 1.7 times; of 80 less than PSI.
    ("anderson_darling", _few),
    # Of 1,000 categories in 1,000 values and more 1.06 to 1.09 times; of 100 it finds what PSI does.
    ("kl", _many_categories),
    # 1.03 to 1.05 times, but of 1,000 values.
    ("kl", _rare),
    ("psi", _described),
)
"""Which method, and why where the rule applies; the first that does and may be chosen decides."""


def _remaining(evidence: Evidence, allowed: Collection[str]) -> list[str]:
    """What else may be chosen, best first: ours in the order of what they find, then those of others."""
    if evidence.is_numeric:
        ours: tuple[str, ...] = _OF_NUMBERS
    elif evidence.distinct > 2:
        ours = _OF_CATEGORIES
    else:
        ours = (*_OF_CATEGORIES, *_OF_TWO)
    theirs = [name for name in allowed if name not in BUILTIN_DETECTORS]
    return [name for name in ours if name in allowed] + theirs
