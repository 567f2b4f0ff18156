"""Watching 100 clean columns for 1,000 windows: how often anything is found, and how soon drift is that begins late."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure, Figures
from otel_ml.drift.columns import Columns
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.sequential import Cusum, EDetector, OnlineFdr
from otel_ml.drift.univariate.ks import KolmogorovSmirnov
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.distribution import NumericDistribution

COLUMNS = 100
WINDOWS = 1000
ROWS = 1000
BASELINE_ROWS = 20_000
LEVEL = 0.05
# Where drift begins, and when it is given up on.
CLEAN_WINDOWS = 500
PATIENCE = 200
SHIFTS = (0.1, 0.25, 0.5)

Floats = npt.NDArray[np.float64]


def measure() -> Figures:
    """Shares of histories with any false discovery, and delays in windows."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    uniform_seeds, windows = (500 * rounds, WINDOWS) if rounds else (3, 20)
    real_seeds, real_windows = (20 * rounds, WINDOWS) if rounds else (2, 10)
    delay_seeds, clean_windows = (20 * rounds, CLEAN_WINDOWS) if rounds else (2, 20)
    figures = {
        **_uniform(uniform_seeds, windows),
        **_real(real_seeds, real_windows),
        **_delays(delay_seeds, clean_windows),
    }
    return {f"online.{name}": figure for name, figure in figures.items()}


def _uniform(seeds: int, windows: int) -> Figures:
    """Uniform p-values: what the control itself does, beside Benjamini-Hochberg in each window."""
    spoiled = spoiled_windows = 0
    for seed in range(seeds):
        p_values = np.random.default_rng(seed).random((windows, COLUMNS)).tolist()
        control = OnlineFdr(LEVEL)
        spoiled += _any_discovery(control, p_values)
        if seed < 20:
            spoiled_windows += sum(min(_q_values(row)) <= LEVEL for row in p_values)
    return {
        "online_fdr.uniform.any_false_discovery": _share(spoiled, seeds),
        "benjamini_hochberg.uniform.false_windows": Figure(
            spoiled_windows / min(seeds, 20), f"of {windows} windows", None, None
        ),
    }


def _real(seeds: int, windows: int) -> Figures:
    """p-values of real comparisons: clean windows counted in the bins of a finite baseline."""
    found = dict.fromkeys(("psi", "ks"), 0)
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        baselines = [_baseline(rng.random(BASELINE_ROWS)) for _ in range(COLUMNS)]
        # Uniform values: a bin's probability is its width.
        widths = [np.diff(np.clip(layout.edges, 0, 1), prepend=0.0, append=1.0) for layout, _ in baselines]
        controls = {detector: OnlineFdr(LEVEL) for detector in (PopulationStabilityIndex(), KolmogorovSmirnov())}
        is_spoiled = dict.fromkeys(found, False)
        for _ in range(windows):
            columns = Columns(
                [
                    (reference, AnchoredBins(layout.hash, rng.multinomial(ROWS, share)).distribution(layout))
                    for (layout, reference), share in zip(baselines, widths, strict=True)
                ]
            )
            for detector, control in controls.items():
                p_values = detector.measure(columns).p_value
                assert p_values is not None
                is_spoiled[detector.name] |= any(control.observe(p_values.tolist()).rejected)
        for name, was_spoiled in is_spoiled.items():
            found[name] += was_spoiled
    # A shorter history has its share of the level.
    return {
        f"online_fdr.{name}.any_false_discovery": _share(count, seeds, LEVEL * windows / WINDOWS)
        for name, count in found.items()
    }


def _delays(seeds: int, clean_windows: int) -> Figures:
    """Windows until one column of 100 is found that shifts after many clean windows, and how many never are."""
    figures: dict[str, Figure] = {}
    for shift in SHIFTS:
        delays: dict[str, list[float]] = {}
        for seed in range(seeds):
            rng = np.random.default_rng(2000 + seed)
            for name, delay in _delays_to(shift, rng, clean_windows).items():
                delays.setdefault(name, []).append(delay)
        for name, of_name in delays.items():
            figures[f"{name}.delay.shift_{shift}"] = Figure(float(np.mean(of_name)), "windows", None, 1)
    return figures


def _delays_to(shift: float, rng: np.random.Generator, clean_windows: int) -> dict[str, float]:
    """By method; each sees the clean windows too, and what it raises there has ended before the drift begins."""
    values = rng.normal(size=BASELINE_ROWS)
    layout, reference = _baseline(values)
    error = values.std(ddof=1) * math.sqrt(1 / ROWS + 1 / BASELINE_ROWS)
    detector = KolmogorovSmirnov()
    control, evidence, total = OnlineFdr(LEVEL), EDetector(COLUMNS * 1000), Cusum(1.0, COLUMNS * 1000)

    def windows() -> Iterator[tuple[float, float]]:
        for window in range(clean_windows + PATIENCE):
            drawn = rng.normal(shift if window >= clean_windows else 0.0, size=ROWS)
            result = detector.compare(reference, AnchoredBins.of(layout, drawn).distribution(layout))
            assert result.p_value is not None
            yield result.p_value, float(drawn.mean() - values.mean()) / error

    observers: dict[str, Callable[[float, float], bool]] = {
        "online_fdr": lambda p, _: bool(control.observe([p, *rng.random(COLUMNS - 1).tolist()]).rejected[0]),
        "e_detector": lambda p, _: evidence.observe(p).is_alarming,
        "cusum": lambda _, z: total.observe(z).is_alarming,
    }
    delays = dict.fromkeys(observers, float(PATIENCE))
    waiting = dict(observers)
    for window, (p_value, deviation) in enumerate(windows()):
        if not waiting:
            break
        for name, observe in list(waiting.items()):
            if observe(p_value, deviation) and window >= clean_windows:
                delays[name] = window - clean_windows + 1.0
                del waiting[name]
    return delays


def _any_discovery(control: OnlineFdr, windows: list[list[float]]) -> bool:
    return any(any(control.observe(p_values).rejected) for p_values in windows)


def _q_values(p_values: list[float]) -> list[float]:
    return [q_value for q_value in benjamini_hochberg(p_values) if q_value is not None]


def _share(count: int, of: int, level: float = LEVEL) -> Figure:
    """A share of histories; its goal is the level and what so few histories may be off by, in 97.5 % of all cases."""
    margin = 2 * math.sqrt(level * (1 - level) / of)
    return Figure(count / of, f"of {of} histories", level + margin, level)


def _baseline(values: Floats) -> tuple[BinLayout, NumericDistribution]:
    layout = layout_from_quantiles(np.sort(values))
    return layout, AnchoredBins.of(layout, values).distribution(layout)
