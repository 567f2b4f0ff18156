"""Power of the tests of numbers on summaries, of that of the exact test on the rows behind them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.detection.populations import Floats, Pair, exact, far_from, sampled, sent_pair, small_pair
from benchmarks.figure import Figure, Figures
from otel_ml.drift import create
from otel_ml.drift.columns import Columns
from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.moments import Moments

NAMES = ("ks", "cramer_von_mises", "anderson_darling", "energy", "wasserstein", "welch", "anova", "levene", "psi")
DETECTORS = {name: create(name) for name in NAMES}
LEVEL = 0.05
SIZES = (100, 1_000, 10_000)
COLUMNS = 240
GOAL = 0.95
# Tests of means know all there is to know of a sketch's window.
BY_MOMENTS = ("welch", "anova")
# One value far away is most of a variance, whichever summary it is in.
OF_VALUES = ("welch", "anova", "levene")


def repeated(most: int, rounds: int) -> int:
    """So many repetitions, times the rounds; two where there is to be as good as none."""
    return most * rounds or 2


# By how much more than the mean has to move for the t-test a test asks for, for normal values; of Levene's, the
# logarithm of the spread.
_STRETCH = {
    "ks": 1.25,
    "cramer_von_mises": 1.06,
    "anderson_darling": 1.02,
    "energy": 1.02,
    "wasserstein": 1.03,
    "welch": 1.0,
    "anova": 1.0,
    "levene": 0.76,
    "psi": 1.4,
}


def measure(rounds: int) -> Figures:
    """The share of the drift found on raw rows, at 5 %, that summaries find; where rows find half, and 80 %.

    Kinds of summaries: `bins` of a baseline; `histogram`; `kll` windows beside a baseline's bins; `sketches` as they
    are sent where no baseline is known (histogram and KLL, of which the comparison chooses), and `sketches_by_kll` the
    same for values so far from zero that only KLL tells them apart.
    """
    figures = {}
    for rows in SIZES:
        if rounds == 0 and rows > SIZES[0]:
            continue
        columns = repeated(COLUMNS if rows < 10_000 else COLUMNS // 2, rounds)
        kinds: dict[str, Callable[[Floats, Floats], Pair]] = {
            "bins": lambda reference, current: small_pair("bins", reference, current),
            "histogram": lambda reference, current: small_pair("histogram", reference, current),
            "kll": _against_sketch,
            "sketches": sent_pair,
            "sketches_by_kll": lambda reference, current: sent_pair(far_from(reference), far_from(current)),
        }
        for aim, quantile in ((50, 0.0), (80, 0.8416)):
            chance = np.random.default_rng([rows, aim])
            for name in NAMES:
                step = (1.96 + quantile) * np.sqrt(2 / rows) * _STRETCH[name]
                draws = []
                for _ in range(columns):
                    reference, current = chance.normal(size=(2, rows))
                    draws.append((reference, current * np.exp(step) if name == "levene" else current + step))
                with warnings.catch_warnings():
                    # Of p-values beyond the table that it interpolates in.
                    warnings.simplefilter("ignore")
                    on_rows = float(np.mean([_raw_p_value(name, *pair) < LEVEL for pair in draws]))
                figures[f"power.{name}.rows.n{rows}.power{aim}"] = Figure(
                    on_rows, "of drift", None, None, better="higher"
                )
                for kind, summed_up in kinds.items():
                    # A hundred rows are sent one by one.
                    if kind == "sketches_by_kll" and (name in OF_VALUES or rows == SIZES[0]):
                        continue
                    compared = Columns([summed_up(*pair) for pair in draws])
                    p_values = DETECTORS[name].measure(compared).p_value
                    assert p_values is not None
                    figures[f"power.{name}.{kind}.n{rows}.power{aim}"] = Figure(
                        float(np.mean(p_values < LEVEL) / max(on_rows, 1 / columns)),
                        "of rows'",
                        GOAL,
                        1.0 if name in BY_MOMENTS else _limit(compared, aim / 100),
                        better="higher",
                    )
    return figures


def _limit(columns: Columns, power: float) -> float:
    """What is left of a power when the noise of sketches adds to what chance does at a rank, in the middle of it.

    Data that are blurred so are worth as much as fewer rows: with 1/n + 1/m for the chance, and s² for the variance of
    a rank, the part 1 / (1 + 4s² / (1/n + 1/m)) of them. A test that looks at many ranks at once averages some of it
    out, and may get further.
    """
    worth = 1 / (1 + 4 * columns.noise.variance / (1 / columns.n + 1 / columns.m))
    effect = stats.norm.ppf(power) + stats.norm.isf(LEVEL / 2)
    return float(stats.norm.cdf(effect * np.sqrt(worth) - stats.norm.isf(LEVEL / 2)).mean() / power)


def _raw_p_value(name: str, reference: Floats, current: Floats) -> float:
    if name == "ks":
        return float(stats.ks_2samp(reference, current, method="asymp").pvalue)
    if name == "cramer_von_mises":
        return float(stats.cramervonmises_2samp(reference, current, method="asymptotic").pvalue)
    if name == "anderson_darling":
        return float(stats.anderson_ksamp([reference, current]).pvalue)
    if name == "welch":
        return float(stats.ttest_ind(reference, current, equal_var=False).pvalue)
    if name == "anova":
        return float(stats.f_oneway(reference, current).pvalue)
    if name == "levene":
        return float(stats.levene(reference, current, center="median").pvalue)
    # SciPy has no such test: ours, with every row known.
    p_values = DETECTORS[name].measure(Columns([(exact(reference), exact(current))])).p_value
    assert p_values is not None
    return float(p_values[0])


def _against_sketch(reference: Floats, current: Floats) -> Pair:
    layout = layout_from_quantiles(np.sort(reference))
    return AnchoredBins.of(layout, reference).distribution(layout, Moments.of(reference)), sampled(current)
