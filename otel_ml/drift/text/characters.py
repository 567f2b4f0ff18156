"""What texts are written with: shares of kinds of characters, and the length of words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.drift.text.detector import TextDetector
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text_bytes import CHARACTERS, LEVELS, LEVELS_OF_WORD_LENGTH
from otel_ml.sketch.text_summary import TextSummary
from otel_ml.sketch.text_sums import CharacterSums

MOST: Final = 1e6
"""Score of whatever is further away."""
_FINEST: Final = 1.0
"""Standard deviation, in levels, of what does not vary: a level is the smallest difference that is kept."""
_FEWEST_TO_TEST: Final = 10
_SYMMETRIC: Final = 1e-3
_UNITS: Final = np.array([1 / LEVELS**2] * (len(CHARACTERS) - 1) + [1 / LEVELS_OF_WORD_LENGTH**2])


class CharacterChange(NamedTuple):
    """How one of the `CHARACTERS` changed.

    Attributes:
        name: Which one.
        reference: Mean share of a text in the reference; of "word length", the mean length in characters.
        current: The same now.
        effect: By how many standard deviations of the reference the mean level moved, less what chance explains.
        p_value: Probability of as much without drift, of this one alone.
    """

    name: str
    reference: float
    current: float
    effect: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Characters(TextDetector):
    """By how many standard deviations the texts moved in the one of nine features of writing that moved most.

    These are the shares of a text that are letters, upper case, digits, punctuation, markup, white space, not ASCII,
    and left by damage, and its mean word length; each as its square root, which makes the variance of small shares
    about the same wherever they lie (Bartlett, "The square root transformation in analysis of variance", 1936). The
    score is the greatest difference of means in standard deviations of the reference (Glass's Δ), less the largest of
    nine that chance alone makes as often as not.

    Texts are the units, as the characters of one text do not come independently. The p-value is the smallest of nine,
    times nine (Bonferroni); each is that of a gamma distribution with the variance and the skewness of the difference
    (Pearson's type III), since most texts may have no such character at all. There is none below ten texts on a side.

    Args:
        threshold: Standard deviations above which the texts count as drifted; Cohen (1988) calls 0.2 small, and 0.5
            medium.
    """

    name: ClassVar[str] = "characters"

    threshold: float = 0.3

    def __post_init__(self) -> None:
        require_number("characters::threshold", self.threshold, above=0)

    def compare(self, reference: TextSummary, current: TextSummary) -> DriftResult | None:
        """How far the texts moved; None where a side knows no characters."""
        was, now = reference.characters, current.characters
        if not (was.texts and now.texts):
            return None
        difference = _difference(was, now)
        p_value = None
        if min(was.texts, now.texts) >= _FEWEST_TO_TEST:
            p_value = min(1.0, float(_p_values(difference).min()) * len(CHARACTERS))
        return DriftResult(self.name, float(_effects(difference).max()), self.threshold, p_value, was.texts, now.texts)


def character_changes(reference: TextSummary, current: TextSummary) -> list[CharacterChange]:
    """What changed of the characters, what moved most first; nothing where a side knows none."""
    was, now = reference.characters, current.characters
    if not (was.texts and now.texts):
        return []
    difference = _difference(was, now)
    effects, p_values = _effects(difference), _p_values(difference)
    # Levels are roots, so that their squares are what they stand for.
    before, after = (sums.powers[1] / sums.texts * _UNITS for sums in (was, now))
    return [
        CharacterChange(
            CHARACTERS[place], float(before[place]), float(after[place]), float(effects[place]), float(p_values[place])
        )
        for place in np.argsort(-effects, kind="stable").tolist()
    ]


class _Difference(NamedTuple):
    """Differences of mean levels, all of shape (9,).

    Attributes:
        mean: Of the current window less the reference.
        deviation: Of one text of the reference.
        error: Standard deviation of `mean` without drift; 0 where nothing varies.
        skewness: Of `mean` without drift.
    """

    mean: FloatArray
    deviation: FloatArray
    error: FloatArray
    skewness: FloatArray


def _difference(was: CharacterSums, now: CharacterSums) -> _Difference:
    n, m = was.texts, now.texts
    (first_was, m2_was, m3_was), (first_now, m2_now, m3_now) = _central(was), _central(now)
    variance = (m2_was + m2_now) / max(n + m - 2, 1)
    third = (m3_was + m3_now) / max(n + m - 2, 1)
    error = np.sqrt(variance * (1 / n + 1 / m))
    skewness = np.divide(third * (1 / m**2 - 1 / n**2), error**3, out=np.zeros_like(error), where=error > 0)
    deviation = np.maximum(np.sqrt(m2_was / max(n - 1, 1)), _FINEST)
    return _Difference(first_now - first_was, deviation, error, skewness)


def _central(sums: CharacterSums) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means, and sums of the squares and cubes of deviations from them."""
    first, second, third = sums.powers
    mean = first / sums.texts
    # What of sums of squares is left by rounding.
    m2 = np.where(second - mean * first > 1e-9 * second, second - mean * first, 0.0)
    return mean, m2, np.where(m2 > 0, third - 3 * mean * second + 2 * mean * mean * first, 0.0)


def _effects(difference: _Difference) -> FloatArray:
    by_chance = float(special.ndtri(1 - 0.25 / len(CHARACTERS))) * difference.error
    effects: FloatArray = np.maximum(0.0, np.abs(difference.mean) - by_chance) / difference.deviation
    return np.minimum(effects, MOST)


def _p_values(difference: _Difference) -> FloatArray:
    p_values = np.where(difference.mean == 0.0, 1.0, 0.0)
    for place in np.flatnonzero(difference.error > 0).tolist():
        standardised = float(difference.mean[place] / difference.error[place])
        skewness = float(difference.skewness[place])
        tails = _beyond(standardised, skewness), _beyond(-standardised, -skewness)
        p_values[place] = min(1.0, 2 * min(tails))
    return p_values


def _beyond(standardised: float, skewness: float) -> float:
    """The probability of a greater value of a gamma distribution that is moved to mean 0 and variance 1."""
    if abs(skewness) < _SYMMETRIC:
        return float(special.ndtr(-standardised))
    if skewness < 0:
        return 1.0 - _beyond(-standardised, -skewness)
    freedom = 8 / skewness**2
    moved = freedom + standardised * math.sqrt(2 * freedom)
    return float(special.chdtrc(freedom, moved)) if moved > 0 else 1.0
