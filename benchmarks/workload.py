"""What is measured: rows of 20 numbers and 5 categories, as a model server sees them, and their baseline."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from otel_ml import Baseline
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Snapshot

NUMBERS = [f"number_{index}" for index in range(20)]
CATEGORIES = [f"category_{index}" for index in range(5)]
FEATURES = [*NUMBERS, *CATEGORIES]
MODEL = "measured"
ROWS_A_MINUTE = 6_000


def rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """`count` rows as dictionaries: normal numbers, and categories of which few are frequent."""
    chance = random.Random(seed)
    return [
        {name: chance.gauss(0, 1) for name in NUMBERS}
        | {name: f"value_{int(chance.paretovariate(1)) % 200}" for name in CATEGORIES}
        for _ in range(count)
    ]


def matrix(count: int, features: int = 25, seed: int = 1) -> np.ndarray:
    """(count, features) normal numbers."""
    return np.random.default_rng(seed).normal(size=(count, features))


def baseline_of_rows() -> Baseline:
    """The baseline of the same rows."""
    columns: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for row in rows(20_000, seed=2):
        for name, values in columns.items():
            values.append(row[name])
    return Baseline.build(columns, model=MODEL)


def baseline_of_matrix(features: int = 25) -> Baseline:
    """The baseline of the same matrix, columns f0, f1, and so on."""
    return Baseline.build(
        matrix(50_000, features, seed=2), model=MODEL, features=[f"f{index}" for index in range(features)]
    )


def snapshot(baseline: Baseline | None, count: int, features: int = 25, seed: int = 3) -> Snapshot:
    """What a process that has seen `count` rows of the matrix sends."""
    info = ModelInfo(ModelKey(MODEL))
    accumulator = ModelAccumulator(info.key, baseline=baseline)
    accumulator.add([Inference(info, "predict", matrix(count, features, seed))])
    drained = accumulator.drain()
    summaries = [column.summary for column in drained.columns]
    return Snapshot(bytes(15) + bytes([seed]), 1, info.key, 1, 2, drained.rows, 0, summaries)
