"""Worked examples of every drift detector, with what they are worth and where they come from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from drift_samples import categories, exact

from otel_ml.sketch.distribution import CategoricalDistribution, Distribution

MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example.

    Attributes:
        source: Where it is from, or what it is computed with.
        score: What the detector should say; None where the source has another measure of effect, or none.
        p_value: Likewise.
        settings: Of the detector. What chance adds is taken off unless they say otherwise.
        tolerance: By how much of it the answer may be off: the source has only so many digits.
    """

    source: str
    reference: Distribution
    current: Distribution
    score: float | None = None
    p_value: float | None = None
    settings: dict[str, object] = field(default_factory=dict)
    tolerance: float = 1e-3


TEXTBOOK_VALUES = {"bias_corrected": False}


def shares(*of_each: float, values: int = MANY) -> CategoricalDistribution:
    """Categories with these shares."""
    return CategoricalDistribution({f"c{place}": round(share * values) for place, share in enumerate(of_each)})


def _poisson(mean: float) -> CategoricalDistribution:
    return shares(*(math.exp(-mean) * mean**k / math.factorial(k) for k in range(40)), values=10**12)


def _normal(mean: float) -> Distribution:
    standard = NormalDist()
    return exact(np.array([standard.inv_cdf((place + 0.5) / 100_000) for place in range(100_000)]) + mean)


# E|X - Y| of two normal distributions one standard deviation apart: X - Y is normal with mean 1 and variance 2.
_FOLDED_NORMAL_MEAN = math.sqrt(4 / math.pi) * math.exp(-1 / 4) + 2 * NormalDist().cdf(math.sqrt(0.5)) - 1
SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
PLANTS = {
    "ctrl": [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    "trt1": [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
}

COVER_AND_THOMAS = "Cover & Thomas, Elements of Information Theory (2006), example 2.3.1: {} bits"

TEXTBOOK: dict[str, list[Example]] = {
    "psi": [
        Example(
            COVER_AND_THOMAS.format("0.2075 + 0.1887"),
            shares(0.75, 0.25),
            shares(0.5, 0.5),
            score=(0.2075 + 0.1887) * math.log(2),
        )
    ],
    "kl": [
        Example(COVER_AND_THOMAS.format(0.2075), shares(0.75, 0.25), shares(0.5, 0.5), score=0.2075 * math.log(2)),
        Example(COVER_AND_THOMAS.format(0.1887), shares(0.5, 0.5), shares(0.75, 0.25), score=0.1887 * math.log(2)),
    ],
    "jensen_shannon": [
        Example(
            "SciPy's documentation of jensenshannon: 0.46450140402245893 for [1, 0] and [0.5, 0.5] in base e",
            shares(1.0, 0.0),
            shares(0.5, 0.5),
            score=0.46450140402245893 / math.sqrt(math.log(2)),
            tolerance=1e-5,
        )
    ],
    "hellinger": [
        Example(
            "two Poisson distributions: H² = 1 - exp(-(√a - √b)² / 2)",
            _poisson(1.0),
            _poisson(4.0),
            score=math.sqrt(1 - math.exp(-0.5)),
            tolerance=1e-5,
        )
    ],
    "total_variation": [
        Example(
            "two normal distributions, one standard deviation apart: 2Φ(1/2) - 1",
            _normal(0.0),
            _normal(1.0),
            score=2 * NormalDist().cdf(0.5) - 1,
            settings={"bins": 1000, **TEXTBOOK_VALUES},
        )
    ],
    "l_infinity": [
        Example("by hand: |0.3 - 0.45|", shares(0.5, 0.3, 0.2), shares(0.4, 0.45, 0.15), score=0.15, tolerance=1e-4)
    ],
    "chi_squared": [
        Example(
            "Agresti, An Introduction to Categorical Data Analysis (2007), table 2.5: X² = 30.07; R's chisq.test",
            categories(democrat=762, independent=327, republican=468),
            categories(democrat=484, independent=239, republican=477),
            p_value=2.954e-7,
        )
    ],
    "g_test": [
        Example(
            "McDonald, Handbook of Biological Statistics (2014), apolipoprotein B of Gardemann et al. (1998): G = 7.30",
            categories(ins_ins=268, ins_del=199, del_del=42),
            categories(ins_ins=807, ins_del=759, del_del=184),
            p_value=0.026,
            tolerance=0.02,
        )
    ],
    "fisher": [
        Example(
            "the lady tasting tea, Fisher (1935); Agresti (2007), section 2.6: P = 0.486",
            categories(milk=3, tea=1),
            categories(milk=1, tea=3),
            score=0.5,
            p_value=0.4857,
            settings=TEXTBOOK_VALUES,
        ),
        Example(
            "convictions of twins, Fisher (1962), as R's fisher.test documents them: p = 0.0005367",
            categories(convicted=2, not_convicted=15),
            categories(convicted=10, not_convicted=3),
            p_value=0.0005367,
        ),
    ],
    "proportions": [
        Example(
            "aspirin and heart attacks, Agresti (2007), table 2.3; R's prop.test without continuity correction",
            categories(attack=189, none=10_845),
            categories(attack=104, none=10_933),
            p_value=5.692e-7,
            tolerance=0.01,
        ),
        Example(
            "Cohen, Statistical Power Analysis (1988), table 6.2.2: 1.571 for a half and 1.369 for 0.4",
            shares(0.5, 0.5),
            shares(0.4, 0.6),
            score=1.571 - 1.369,
            tolerance=0.01,
        ),
    ],
    "ks": [
        Example(
            "two normal distributions, one standard deviation apart: 2Φ(1/2) - 1",
            _normal(0.0),
            _normal(1.0),
            score=2 * NormalDist().cdf(0.5) - 1,
        )
    ],
    "wasserstein": [
        Example(
            "SciPy's documentation of wasserstein_distance: 0.25 for 0 and 1 with weights 3, 1 and 2, 2; √(3/16) wide",
            exact([0, 0, 0, 1]),
            exact([0, 0, 1, 1]),
            score=0.25 / math.sqrt(3 / 16),
            settings=TEXTBOOK_VALUES,
        )
    ],
    "cramer_von_mises": [
        Example(
            "dried weights of plants (Dobson, 1983; R's PlantGrowth), scipy.stats.cramervonmises_2samp: T = 0.2425",
            exact(PLANTS["ctrl"]),
            exact(PLANTS["trt1"]),
            score=math.sqrt(3 * 0.2425 / 5),
            p_value=0.2073,
            settings=TEXTBOOK_VALUES,
            tolerance=0.05,
        )
    ],
    "anderson_darling": [
        Example(
            "dried weights of plants (Dobson, 1983; R's PlantGrowth), scipy.stats.anderson_ksamp's table: p = 0.21",
            exact(PLANTS["ctrl"]),
            exact(PLANTS["trt1"]),
            p_value=0.2137,
            tolerance=0.12,
        )
    ],
    "energy": [
        Example(
            "two normal distributions, one standard deviation apart: E|X - X'| = 2/√π, E|X - Y| = 1.399",
            _normal(0.0),
            _normal(1.0),
            score=math.sqrt(1 - 2 / math.sqrt(math.pi) / _FOLDED_NORMAL_MEAN),
            settings={"tail": 1e-5},
        )
    ],
    "welch": [
        Example(
            "hours of sleep gained, Student (1908), as R's t.test documents them: t = -1.8608, df = 17.776",
            exact(SLEEP[0]),
            exact(SLEEP[1]),
            score=1.8608 / math.sqrt(5),
            p_value=0.07939,
            settings=TEXTBOOK_VALUES,
        )
    ],
    "anova": [
        Example(
            "hours of sleep gained, Student (1908), variances taken for equal: p = 0.07919",
            exact(SLEEP[0]),
            exact(SLEEP[1]),
            score=1.8608 / math.sqrt(5) / 2,
            p_value=0.07919,
            settings=TEXTBOOK_VALUES,
        )
    ],
    "levene": [
        Example(
            "hours of sleep gained, Student (1908), scipy.stats.levene: W = 0.2482",
            exact(SLEEP[0]),
            exact(SLEEP[1]),
            p_value=0.6244,
            settings=TEXTBOOK_VALUES,
        )
    ],
}
