"""The domain classifier: false alarms, what it finds that no column shows alone, and what it costs at both ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure, Figures
from otel_ml.drift.classifier import ClassifierResult, classify
from otel_ml.recording.inputs.batches import MatrixBatch
from otel_ml.recording.row_sample import RowSampler
from otel_ml.sketch.row_sample import EVERY_ROW, RowSample, SampledColumn

# Rows of the baseline's sample and of the window's, and pairs of clean samples that are compared.
CLEAN = ((100, 100, 200), (500, 500, 100), (2_000, 200, 80), (2_000, 2_000, 20))
WINDOWS = 20
COLUMNS = 25
CORRELATION = 0.8
SHIFT = 0.5
COST_ROWS = 1_000
BATCH = 128
EDGE_BATCHES = 4_000

Floats = npt.NDArray[np.float64]


def measure() -> Figures:
    """Of rows with 25 columns, the last of which are categories in the clean ones."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    figures: dict[str, Figure] = {}
    clean: list[ClassifierResult] = []
    for reference, current, windows in CLEAN if rounds else CLEAN[:1]:
        chance = np.random.default_rng([reference, current])
        found = [
            classify(_clean(chance, reference), _clean(chance, current), seed=seed)
            for seed in range(windows * rounds or 4)
        ]
        name = f"classifier.false_positives.n{reference}.m{current}"
        figures[name] = Figure(_rejected(found), "at 5 %", None, 0.05)
        clean += found
    # All sizes together, for of one alone there are too few to hold it to a goal.
    figures["classifier.false_positives"] = Figure(_rejected(clean), "at 5 %", 0.07, 0.05)
    figures["classifier.false_alarms"] = Figure(_alarms(clean), "of clean windows, big and at 5 %", 0.05, 0.0)
    for name, change in (("interaction", _uncorrelated), ("shift", _shifted)):
        for rows in (300, 1_000) if rounds else (300,):
            figures |= _power(name, change, rows, WINDOWS * rounds or 2)
    return figures | _cost() | _edge_cost(rounds)


def _power(name: str, change: Callable[[np.random.Generator, int], Floats], rows: int, windows: int) -> Figures:
    """Two columns go along in the training data, and not in the window; or one is shifted."""
    chance = np.random.default_rng([rows, len(name)])
    found = [
        classify(_sample(chance, _correlated(chance, rows)), _sample(chance, change(chance, rows)), seed=seed)
        for seed in range(windows)
    ]
    # The columns that changed are among the first two.
    named = float(np.mean([_share_of_first(result) for result in found if result.importances] or [0.0]))
    return {
        f"classifier.power.{name}.n{rows}": Figure(_rejected(found), "of windows at 5 %", None, 1.0, better="higher"),
        f"classifier.alarms.{name}.n{rows}": Figure(
            _alarms(found), "of windows, big and at 5 %", None, 1.0, better="higher"
        ),
        f"classifier.named.{name}.n{rows}": Figure(named, "of importance", None, 1.0, better="higher"),
        f"classifier.auc.{name}.n{rows}": Figure(
            float(np.mean([result.auc for result in found])), "mean AUC", None, None, better="higher"
        ),
    }


def _rejected(found: list[ClassifierResult]) -> float:
    return float(np.mean([result.p_value <= 0.05 for result in found]))


def _alarms(found: list[ClassifierResult]) -> float:
    return float(np.mean([result.p_value <= 0.05 and result.drifted for result in found]))


def _share_of_first(result: ClassifierResult) -> float:
    return result.importances.get("f00", 0.0) + result.importances.get("f01", 0.0)


def _cost() -> Figures:
    """Of one comparison, with importances and without, on the processor's one thread."""
    chance = np.random.default_rng(1)
    reference = _sample(chance, _correlated(chance, COST_ROWS))
    samples = {"drifted": _uncorrelated(chance, COST_ROWS), "clean": _correlated(chance, COST_ROWS)}
    classify(reference, reference)  # scikit-learn is imported
    figures = {}
    for name, rows in samples.items():
        current = _sample(chance, rows)
        begun = time.process_time()
        classify(reference, current)
        spent_s = time.process_time() - begun
        figures[f"classifier.time.{name}.n{COST_ROWS}"] = Figure(spent_s * 1e3, "ms of CPU", 1_000.0, None)
    return figures


def _edge_cost(rounds: int) -> Figures:
    """Of a row that is not chosen: what all rows pay so that a few can be."""
    rows = np.random.default_rng(2).normal(size=(BATCH, COLUMNS))
    batch = MatrixBatch(tuple(f"f{place}" for place in range(COLUMNS)), rows)
    sampler = RowSampler(200, lambda _: True)

    def take(batches: int) -> float:
        begun = time.process_time()
        for _ in range(batches):
            for _ in sampler.take(batch, lambda rows: rows):
                pass
        return time.process_time() - begun

    batches = EDGE_BATCHES * max(rounds, 1)
    take(batches)  # by then hardly any row is chosen
    nanoseconds = take(batches) / (batches * BATCH) * 1e9
    return {"classifier.edge.row": Figure(nanoseconds, "ns a row", 50.0, None)}


def _clean(chance: np.random.Generator, rows: int) -> RowSample:
    """Numbers of all kinds: normal, skewed, discrete, mostly zero, constant; and categories, few and many."""
    amounts = np.column_stack(
        [
            chance.normal(size=(rows, 4)),
            chance.lognormal(sigma=2.0, size=(rows, 2)),
            chance.poisson(2.0, size=(rows, 2)),
            np.where(chance.random((rows, 2)) < 0.8, 0.0, chance.random((rows, 2))),
            np.ones((rows, 1)),
        ]
    )
    amounts[chance.random(amounts.shape) < 0.05] = np.nan
    columns: dict[SampledColumn, object] = {
        SampledColumn(f"n{place:02}", is_numeric=True): amounts[:, place] for place in range(amounts.shape[1])
    }
    for name, categories in (("few", 5), ("many", 300)):
        shares = 1.0 / np.arange(1, categories + 1)
        drawn = chance.choice(categories, size=rows, p=shares / shares.sum())
        columns[SampledColumn(name, is_numeric=False)] = [f"c{place}" for place in drawn.tolist()]
    return RowSample.of(_priorities(chance, rows), columns)


def _sample(chance: np.random.Generator, rows: Floats) -> RowSample:
    columns = {SampledColumn(f"f{place:02}", is_numeric=True): rows[:, place] for place in range(rows.shape[1])}
    return RowSample.of(_priorities(chance, len(rows)), columns)


def _priorities(chance: np.random.Generator, rows: int) -> npt.NDArray[np.uint64]:
    return chance.integers(EVERY_ROW, size=rows, dtype=np.uint64)


def _correlated(chance: np.random.Generator, rows: int) -> Floats:
    values = chance.normal(size=(rows, COLUMNS))
    values[:, 1] = CORRELATION * values[:, 0] + (1 - CORRELATION**2) ** 0.5 * values[:, 1]
    return values


def _uncorrelated(chance: np.random.Generator, rows: int) -> Floats:
    """Every column is distributed as before; only that two of them go along is over."""
    return chance.normal(size=(rows, COLUMNS))


def _shifted(chance: np.random.Generator, rows: int) -> Floats:
    values = _correlated(chance, rows)
    values[:, :2] += SHIFT
    return values
