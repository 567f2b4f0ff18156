"""Which detector finds most: what share of a catalogue of changes each finds, and the one that is chosen automatically.

All are equally strict. A change counts where chance does not explain it, and where it is big: above the threshold of
PSI, or of any other detector what keeps it from firing sooner than PSI on what the hour of a day does (see
`otel_ml.drift.equivalent_threshold`). Three rules are asked, because a test of one column finds other things than one
of many columns at once: p < 5 % and p < 0.001 % with the whole threshold, and the latter with a quarter of PSI's.

The best is the one that finds most of the catalogue under all three rules, of those that with the whole threshold
mistake an ordinary hour for a change no more often than PSI does, or in at most 5 % of cases.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.detection.categories import _names, _summary, _zipf
from benchmarks.detection.populations import CLEAN, POPULATIONS
from benchmarks.figure import Figure, Figures
from otel_ml.drift import create
from otel_ml.drift.choice import Evidence, choose, equivalent_threshold
from otel_ml.drift.columns import Columns, Pair
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.feature import FeatureKind
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch

Floats = npt.NDArray[np.float64]

OF_NUMBERS: Final = (
    *("psi", "kl", "hellinger", "jensen_shannon", "chi_squared", "g_test", "total_variation", "l_infinity"),
    *("ks", "cramer_von_mises", "anderson_darling", "energy", "wasserstein", "welch"),
)
OF_CATEGORIES: Final = OF_NUMBERS[:8]
OF_TWO: Final = (*OF_CATEGORIES, "proportions", "fisher")


class Strictness(NamedTuple):
    """When a detector fires: below a p-value, and above what scores as much as a share of PSI's threshold."""

    level: float
    share: float


RULES: Final = (Strictness(0.05, 1.0), Strictness(1e-5, 1.0), Strictness(1e-5, 0.25))
ORDINARY: Final = 0.05
"""Share of ordinary hours that may be mistaken for changes."""
REFERENCE_ROWS: Final = 50_000
SIZES: Final = (50, 80, 200, 1_000, 10_000)
STRENGTHS: Final = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
CHANGES: Final = ("moved", "spread", "scaled", "outliers", "spike", "half")
CATEGORY_CHANGES: Final = ("steeper", "moved", "scattered", "new", "rare", "gone")
REPEATS: Final = 20
# By the size of the sketch: 200 is what is sent.
SKETCHES: Final = {"kll200": 200, "kll24": 24, "kll12": 12, "kll8": 8}
CATEGORIES: Final[Mapping[str, Floats]] = {
    "two": np.array([0.5, 0.5]),
    "two_rare": np.array([0.98, 0.02]),
    "10": _zipf(10),
    "100": _zipf(100),
    "1000": _zipf(1_000),
}
GOAL: Final = 0.05


class Case(NamedTuple):
    """Columns of one kind and size.

    Attributes:
        changed: Pairs of a reference and a window in which something changed.
        ordinary: Pairs of a reference and a window of another hour.
    """

    name: str
    kind: FeatureKind
    methods: Sequence[str]
    changed: Sequence[Pair]
    ordinary: Sequence[Pair]


def measure() -> Figures:
    """For each case what the best finds, what the automatic choice does, and by how much it is worse; means of all."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    figures: dict[str, Figure] = {}
    regrets = []
    by_method: dict[str, list[float]] = defaultdict(list)
    for case in (*_numbers(rounds), *_categories(rounds)):
        found, mistaken = _rates(case, case.changed, RULES), _rates(case, case.ordinary, RULES[:2])
        chosen = choose(Evidence.of(case.kind, case.changed[0])).method
        fair = [name for name in case.methods if mistaken[name] <= max(ORDINARY, mistaken["psi"])]
        best = max(fair, key=lambda name: found[name])
        of = "numbers" if case.kind is FeatureKind.NUMERIC else "categories"
        for name in OF_NUMBERS if of == "numbers" else OF_CATEGORIES:
            by_method[f"choice.{of}.{name}"].append(found[name])
        by_method[f"choice.{of}.auto"].append(found[chosen])
        regrets.append(max(0.0, 1 - found[chosen] / max(found[best], 1e-9)))
        figures |= {
            f"choice.{case.name}.{name}": Figure(found[name], "of changes", None, 1.0, better="higher")
            for name in dict.fromkeys(("psi", best, chosen))
        }
        figures |= {
            f"choice.{case.name}.mistaken.{name}": Figure(mistaken[name], "of ordinary hours", None, 0.0)
            for name in dict.fromkeys(("psi", chosen))
        }
        figures[f"choice.{case.name}.regret"] = Figure(regrets[-1], f"of what {best} finds", GOAL, 0.0)
    figures |= {
        name: Figure(float(np.mean(shares)), "of changes", None, 1.0, better="higher")
        for name, shares in by_method.items()
    }
    figures["choice.regret.mean"] = Figure(float(np.mean(regrets)), "of what the best finds", GOAL, 0.0)
    figures["choice.regret.highest"] = Figure(max(regrets), "of what the best finds", GOAL, 0.0)
    return figures


def _rates(case: Case, pairs: Sequence[Pair], rules: Sequence[Strictness]) -> dict[str, float]:
    """The share of pairs in which each detector fires, on average over the rules."""
    columns = Columns(pairs)
    rates = {}
    for name in case.methods:
        scores = create(name).measure(columns)
        assert scores.p_value is not None
        fires = [(scores.score > _threshold(name, rule.share)) & (scores.p_value < rule.level) for rule in rules]
        rates[name] = float(np.mean(fires))
    return rates


def _threshold(name: str, share: float) -> float:
    found = equivalent_threshold(name, share * create("psi").threshold)
    assert found is not None
    return found


# Numbers ------------------------------------------------------------------------------------------------------------


def _numbers(rounds: int) -> list[Case]:
    cases = []
    for seed, population in enumerate(CLEAN):
        rows = POPULATIONS[population].draw(np.random.default_rng(1_000 + seed), REFERENCE_ROWS)
        layout = layout_from_quantiles(np.sort(rows))
        reference = _binned(rows, layout)
        for size in SIZES if rounds else SIZES[:2]:
            chance = np.random.default_rng([seed, size])
            cases.append(_case(f"{population}.bins.n{size}", population, chance, reference, size, rounds, layout))
        for form, k in SKETCHES.items():
            size = 2_000 if rounds else 200
            chance = np.random.default_rng([seed, k])
            cases.append(_case(f"{population}.{form}.n{size}", population, chance, reference, size, rounds, k))
    return cases


def _case(
    name: str,
    population: str,
    chance: np.random.Generator,
    reference: NumericDistribution,
    size: int,
    rounds: int,
    form: BinLayout | int,
) -> Case:
    def summed_up(rows: Floats) -> Pair:
        return reference, _binned(rows, form) if isinstance(form, BinLayout) else _sketched(rows, form)

    draw = POPULATIONS[population].draw
    repeats = REPEATS * rounds or 1
    changed = [
        summed_up(_changed(draw(chance, size), change, strength, chance))
        for change in CHANGES
        for strength in STRENGTHS
        for _ in range(repeats)
    ]
    ordinary = [summed_up(SWINGS[population](chance, size)) for _ in range(10 * repeats)]
    return Case(name, FeatureKind.NUMERIC, OF_NUMBERS, changed, ordinary)


def _binned(rows: Floats, layout: BinLayout) -> NumericDistribution:
    return AnchoredBins.of(layout, rows).distribution(layout, Moments.of(rows))


def _sketched(rows: Floats, k: int) -> NumericDistribution:
    sketch = QuantileSketch(k)
    sketch.update(rows)
    return replace(sketch.distribution(), moments=Moments.of(rows))


def _changed(rows: Floats, change: str, strength: float, chance: np.random.Generator) -> Floats:
    """Rows of which all change, or some."""
    deviation, middle = rows.std(), np.median(rows)
    some = chance.random(rows.size) < strength / 4
    if change == "moved":
        return rows + strength * deviation
    if change == "spread":
        return middle + (rows - middle) * np.exp(strength)
    if change == "scaled":
        return rows * np.exp(strength)
    if change == "outliers":
        return np.where(some, rows.max() + deviation * chance.random(rows.size), rows)
    if change == "spike":
        return np.where(some, np.sort(rows)[int(0.6 * rows.size)], rows)
    return np.where(chance.random(rows.size) < 0.25, rows + 2 * strength * deviation, rows)


def _normal_hour(chance: np.random.Generator, size: int) -> Floats:
    rows, sign = chance.normal(size=size), chance.choice([-1, 1])
    return rows + 0.3 * sign if chance.random() < 0.5 else rows * (1 + 0.15 * sign)


def _lognormal_hour(chance: np.random.Generator, size: int) -> Floats:
    return chance.lognormal(0.3 * chance.choice([-1, 1]), size=size)


def _discrete_hour(chance: np.random.Generator, size: int) -> Floats:
    return chance.poisson(3 * (1 + 0.1 * chance.choice([-1, 1])), size=size).astype(np.float64)


def _zero_inflated_hour(chance: np.random.Generator, size: int) -> Floats:
    zeros = 0.7 + 0.1 * chance.choice([-1, 1])
    return np.where(chance.random(size) < zeros, 0.0, chance.lognormal(size=size))


SWINGS: Final[Mapping[str, Callable[[np.random.Generator, int], Floats]]] = {
    "normal": _normal_hour,
    "lognormal": _lognormal_hour,
    "discrete": _discrete_hour,
    "zero_inflated": _zero_inflated_hour,
}
"""What the hour of the day does at most in the months of `benchmarks.detection.month`."""


# Categories ---------------------------------------------------------------------------------------------------------


def _categories(rounds: int) -> list[Case]:
    cases = []
    for seed, (name, shares) in enumerate(CATEGORIES.items()):
        names = _names(len(shares) + 1)
        repeats = (REPEATS if len(shares) <= 100 else REPEATS // 2) * rounds or 1
        for size in SIZES if rounds else SIZES[:2]:
            chance = np.random.default_rng([100 + seed, size])
            # One category more, which without a change does not come.
            known = np.append(shares, 0.0)
            references = [_summary(chance.multinomial(REFERENCE_ROWS, known)[np.newaxis], names) for _ in range(4)]
            windows = [
                _redistributed(shares, change, strength, chance)
                for change in CATEGORY_CHANGES
                if len(shares) > 2 or change not in ("new", "scattered")
                for strength in STRENGTHS
                for _ in range(repeats)
            ]
            hours = [_other_hour(known, chance) for _ in range(10 * repeats)]
            changed, ordinary = (
                [
                    (references[place % 4], _summary(chance.multinomial(size, now)[np.newaxis], names))
                    for place, now in enumerate(all_shares)
                ]
                for all_shares in (windows, hours)
            )
            kind = FeatureKind.BOOLEAN if len(shares) == 2 else FeatureKind.CATEGORICAL
            methods = OF_TWO if len(shares) == 2 else OF_CATEGORIES
            cases.append(Case(f"categories_{name}.n{size}", kind, methods, changed, ordinary))
    return cases


def _redistributed(shares: Floats, change: str, strength: float, chance: np.random.Generator) -> Floats:
    changed, last = np.append(shares, 0.0), len(shares) - 1
    if change == "steeper":
        changed **= 1 + strength
    elif change == "moved":
        moved = min(0.9, strength) * changed[0]
        changed[0] -= moved
        changed[min(4, last)] += moved
    elif change == "scattered":
        changed *= np.exp(strength * chance.normal(size=len(changed)))
    elif change == "gone":
        changed[min(2, last)] *= 1 - strength
    else:
        changed *= 1 - strength / 5
        changed[-1 if change == "new" else last] += strength / 5
    # Zero to the power of anything above zero is zero.
    return changed / changed.sum()


def _other_hour(shares: Floats, chance: np.random.Generator) -> Floats:
    wave = 1 + 0.2 * np.cos(2 * np.pi * chance.random(len(shares)))
    return shares * wave / (shares * wave).sum()
