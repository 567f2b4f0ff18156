"""Correlations of features: false alarms on skewed columns, power beside Fisher's z on rows, error, replicas."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from benchmarks.figure import Figure, Figures
from otel_ml.baseline.joint import Joint, JointLayout
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.multivariate import CorrelationShift, VectorPair
from otel_ml.recording.joint import JointColumn
from otel_ml.sketch import codec
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Snapshot

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
HIGHEST = 0.07
REFERENCE = 50_000
WINDOWS = {200: (8, 50), 1_000: (20, 20), 10_000: (40, 2), 100_000: (30, 1)}
"""By rows of a window: baselines, and windows of each. In large windows, it is the baseline's chance that tells."""
COLUMNS = (2, 10, 40)
KINDS = ("normal", "lognormal", "heavy", "zeros", "mixed")
POWER_WINDOWS = 200
POWER_SIZES = (200, 1_000, 10_000)
REPLICAS = 64

_DETECTOR = CorrelationShift()


def measure() -> Figures:
    """All of them, on columns that share three hidden causes."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    return {**_false_positives(rounds), **_power(rounds), **_error(rounds), **_replicas(rounds)}


def _false_positives(rounds: int) -> dict[str, Figure]:
    """Of windows without drift, those called significant; and those whose score passes the threshold as well."""
    figures: dict[str, Figure] = {}
    for rows, (references, windows) in WINDOWS.items():
        all_significant: list[bool] = []
        all_big: list[bool] = []
        for columns in COLUMNS:
            for kind in KINDS:
                chance = np.random.default_rng([rows, columns, KINDS.index(kind)])
                results: list[DriftResult] = []
                for _ in range(references * rounds or 1):
                    joint = _joint(_rows(chance, kind, _kept(columns), columns))
                    drawn = (_rows(chance, kind, rows, columns) for _ in range(windows if rounds else 2))
                    results += [_DETECTOR.result(_pair(joint, window)) for window in drawn]
                significant = [result.p_value is not None and result.p_value < LEVEL for result in results]
                figures[f"joint.false_positives.{kind}.columns{columns}.n{rows}"] = Figure(
                    float(np.mean(significant)), "of clean windows", _allowed(len(results)), LEVEL
                )
                all_significant += significant
                all_big += [result.drifted for result in results]
        both = np.logical_and(all_significant, all_big)
        figures[f"joint.false_positives.all.n{rows}"] = Figure(
            float(np.mean(all_significant)), "of clean windows", HIGHEST, LEVEL
        )
        # What may breach: significant, and above the threshold as well.
        figures[f"joint.false_breaches.all.n{rows}"] = Figure(float(np.mean(both)), "of clean windows", LEVEL, 0.0)
    return figures


def _allowed(repeats: int) -> float:
    """7 %, and what chance may add to a rate of 5 % that was seen so few times: three standard deviations."""
    return max(HIGHEST, LEVEL + 3 * float(np.sqrt(LEVEL * (1 - LEVEL) / repeats)))


def _power(rounds: int) -> dict[str, Figure]:
    """Share of windows found in which one pair of columns is less correlated, and that of Fisher's z on all rows.

    Fisher's is exact where columns are normal; elsewhere it has no valid level, and is shown there for what it costs.
    """
    figures: dict[str, Figure] = {}
    for kind in ("normal", "lognormal"):
        for rows in POWER_SIZES:
            figures |= _fishers_false_positives(kind, rows, rounds)
            for change in (1.0, 2.0):
                chance = np.random.default_rng([rows, KINDS.index(kind), int(change)])
                reference = _rows(chance, kind, _kept(10), 10)
                joint = _joint(reference)
                share = min(1.0, change * 4.0 / np.sqrt(rows))
                ours = exact = 0
                repeats = POWER_WINDOWS * rounds or 2
                for _ in range(repeats):
                    window = _broken(chance, _rows(chance, kind, rows, 10), share)
                    p_value = _DETECTOR.result(_pair(joint, window)).p_value
                    ours += p_value is not None and p_value < LEVEL
                    exact += _fishers(reference, window) < LEVEL
                name = f"{kind}.n{rows}.{share:.0%}_of_rows_unlinked"
                figures[f"joint.power.{name}"] = Figure(ours / repeats, "of windows", None, 1.0, better="higher")
                figures[f"joint.power.{name}.fisher_on_rows"] = Figure(
                    exact / repeats, "of windows", None, 1.0, better="higher"
                )
                if kind == "normal":
                    figures[f"joint.power.{name}.of_exact"] = Figure(
                        ours / max(exact, 1), "of exact", 0.95, 1.0, better="higher"
                    )
    return figures


def _fishers_false_positives(kind: str, rows: int, rounds: int) -> dict[str, Figure]:
    chance = np.random.default_rng([rows, KINDS.index(kind)])
    p_values = []
    for _ in range(20 * rounds or 1):
        reference = _rows(chance, kind, _kept(10), 10)
        p_values += [_fishers(reference, _rows(chance, kind, rows, 10)) for _ in range(5)]
    rate = float(np.mean(np.array(p_values) < LEVEL))
    return {f"joint.false_positives.{kind}.columns10.n{rows}.fisher_on_rows": Figure(rate, "of windows", None, LEVEL)}


def _error(rounds: int) -> dict[str, Figure]:
    """By how much correlations from moments that travelled differ from those of clipped and standardised rows."""
    figures = {}
    for kind in KINDS:
        largest = 0.0
        for seed in range(5 * rounds or 1):
            chance = np.random.default_rng([seed, KINDS.index(kind)])
            joint = _joint(_rows(chance, kind, REFERENCE // 10, 10))
            window = _rows(chance, kind, 5_000, 10)
            found = _DETECTOR.changes(_pair(joint, window), limit=100)
            exact = np.corrcoef(joint.layout.standardised(window), rowvar=False)
            largest = max(largest, *(abs(change.current - exact[change.first, change.second]) for change in found))
        figures[f"joint.error.{kind}"] = Figure(largest, "largest of a correlation", 1e-5, 0.0)
    return figures


def _replicas(rounds: int) -> dict[str, Figure]:
    """1 replica or 64, merged in any order: by how much scores and p-values differ."""
    score = p_value = 0.0
    for seed in range(20 * rounds or 1):
        chance = np.random.default_rng(seed)
        joint = _joint(_rows(chance, "mixed", REFERENCE // 10, 10))
        window = _broken(chance, _rows(chance, "mixed", 5_000, 10), 0.05)
        parts = np.split(chance.permutation(window), np.sort(chance.integers(0, 5_001, size=REPLICAS - 1)))
        one = _DETECTOR.result(_pair(joint, window))
        many = _DETECTOR.result(_pair(joint, *parts))
        assert one.p_value is not None
        assert many.p_value is not None
        score = max(score, abs(many.score - one.score))
        p_value = max(p_value, abs(many.p_value / one.p_value - 1) if one.p_value > 1e-9 else 0.0)
    return {
        "joint.replicas.score.largest_difference": Figure(score, "of the score", 1e-5, 0.0),
        "joint.replicas.p_value.largest_difference": Figure(p_value, "relative", 1e-3, 0.0),
    }


def _rows(chance: np.random.Generator, kind: str, rows: int, columns: int) -> Floats:
    """Columns that go together, with the shape of each kind."""
    weights = np.random.default_rng(columns).normal(size=(columns, 3))
    values = chance.normal(size=(rows, 3)) @ weights.T * 0.8 + chance.normal(size=(rows, columns))
    values /= np.sqrt(0.64 * np.square(weights).sum(axis=1) + 1)
    if kind == "lognormal":
        return np.asarray(np.exp(values))
    if kind == "heavy":
        return np.asarray(np.exp(1.5 * values))
    if kind == "zeros":
        return np.maximum(values - 1.0, 0.0)
    if kind == "mixed":
        values[:, ::3] = np.exp(values[:, ::3])
        values[:, 1::3] = np.floor(3 * values[:, 1::3])
    return values


def _broken(chance: np.random.Generator, window: Floats, share: float) -> Floats:
    """The window with a share of the first column's values among other rows than before: it alone is as it was."""
    moved = np.flatnonzero(chance.random(len(window)) < share)
    window[moved, 0] = window[chance.permutation(moved), 0]
    return window


def _joint(reference: Floats) -> Joint:
    names = tuple(f"f{index}" for index in range(reference.shape[1]))
    return Joint.of(JointLayout(names, reference.mean(axis=0), reference.std(axis=0)), reference)


def _kept(columns: int) -> int:
    """Rows that a baseline works correlations out from."""
    return min(REFERENCE, (1 << 20) // columns)


def _pair(joint: Joint, *parts: Floats) -> VectorPair:
    """As the processor compares them: each part seen by one replica, sent, and merged."""
    merged = EmbeddingSummary()
    for summary in _sent(joint, parts):
        merged.merge(summary)
    return VectorPair(joint.vectors, merged, joint.noise)


def _sent(joint: Joint, parts: tuple[Floats, ...]) -> Iterator[EmbeddingSummary]:
    for part in parts:
        column = JointColumn(joint.layout)
        for _ in column.take(np.arange(part.shape[1]), part):
            pass
        summary = column.drain()
        if summary is not None:
            snapshot = Snapshot(bytes(16), 1, ModelKey("measured"), 1, 2, len(part), 0, [summary])
            (found,) = codec.decode(codec.encode(snapshot)).features
            assert isinstance(found.content, EmbeddingSummary)
            yield found.content


def _fishers(reference: Floats, window: Floats) -> float:
    """The smallest p-value of Fisher's z over all pairs, on rows, times their number."""
    first, second = np.triu_indices(reference.shape[1], 1)
    was, now = (np.arctanh(np.corrcoef(rows, rowvar=False)[first, second]) for rows in (reference, window))
    deviation = np.sqrt(1 / (len(reference) - 3) + 1 / (len(window) - 3))
    return float(min(1.0, (2 * ndtr(-np.abs(was - now) / deviation)).min() * len(first)))
