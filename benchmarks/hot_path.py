"""What recording costs: in the request, behind it, and on the wire."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from contextvars import ContextVar
from operator import itemgetter
from typing import Any

import numpy as np

from benchmarks.environment import ROOT, peers_python
from benchmarks.figure import Figure, Figures
from benchmarks.stopwatch import best_s
from benchmarks.workload import (
    CATEGORIES,
    MODEL,
    NUMBERS,
    ROWS_A_MINUTE,
    baseline_of_matrix,
    baseline_of_rows,
    matrix,
    rows,
    snapshot,
)
from otel_ml import Baseline, record
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.joint import JointColumn
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch import codec
from otel_ml.sketch.feature import ModelKey

CALLS = 10_000  # the default size of the queue: it is never longer
FEATURES_OF_MATRIX = [f"f{index}" for index in range(25)]
CHUNK = 128  # what the worker takes from its queue while there is no backlog


def measure() -> Figures:
    """All figures of the design's hot-path and background budgets."""
    return {
        **_request_thread(),
        **_background(),
        **_wire(),
        **_peers(),
    }


def _peers() -> Figures:
    """What others do for the same row in the request, in an environment of their own."""
    try:
        python = peers_python()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"hot_path: others are left out, they cannot be installed: {error}", file=sys.stderr)
        return {}
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "benchmarks.peers"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    )
    measured = json.loads(done.stdout)
    ours = measured["otel_ml_record"]
    return {f"in_request_{name}": Figure(value, "ns", None, ours) for name, value in measured.items()}


# --- on the request thread --------------------------------------------------------------------------------------------


def _request_thread() -> Figures:
    row = rows(1)[0]
    # Open and without a worker: what is measured is the request's share alone.
    queue = get_recorder().queue
    queue.resize(2 * CALLS)
    queue.open()

    def record_rows() -> None:
        for _ in itertools.repeat(None, CALLS):
            record(row, 0.5, model=MODEL)

    bare: deque[Any] = deque()

    def append() -> None:
        for _ in itertools.repeat(None, CALLS):
            bare.append(row)

    def loop() -> None:
        for _ in itertools.repeat(None, CALLS):
            pass

    empty_s = best_s(loop)
    recorded_s = best_s(record_rows, prepare=queue.waiting.clear) - empty_s
    appended_s = best_s(append, prepare=bare.clear) - empty_s
    hook_s, guard_s = _hook()
    queue.waiting.clear()
    queue.close()
    return {
        "record_by_reference": Figure(recorded_s / CALLS * 1e9, "ns", 150, appended_s / CALLS * 1e9),
        "model_hook": Figure(hook_s * 1e6, "µs", 1.5, guard_s * 1e6),
    }


def _hook() -> tuple[float, float]:
    """Seconds that the hook adds to one `predict`, and seconds of the least any guard would cost."""
    from sklearn.base import BaseEstimator, RegressorMixin

    from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor

    class Constant(RegressorMixin, BaseEstimator):
        """A model that costs nothing, so that only the hook is left."""

        def predict(self, features: Any) -> Any:  # noqa: ARG002 - a model has one
            return answer

    calls = CALLS
    answer = np.zeros(1)
    features = matrix(1)
    model = Constant()
    inside: ContextVar[bool] = ContextVar("inside", default=False)
    queue = get_recorder().queue

    def predict() -> None:
        for _ in itertools.repeat(None, calls):
            model.predict(features)

    def guard() -> None:
        for _ in itertools.repeat(None, calls):
            inside.get()
            outer = inside.set(True)
            inside.reset(outer)

    bare_s = best_s(predict)
    instrumentor = SklearnInstrumentor()
    instrumentor.instrument()
    try:
        hooked_s = best_s(predict, prepare=queue.waiting.clear)
    finally:
        instrumentor.uninstrument()
    return (hooked_s - bare_s) / calls, best_s(guard) / calls


# --- behind it --------------------------------------------------------------------------------------------------------


def _background() -> Figures:
    info = ModelInfo(ModelKey(MODEL))
    table = rows(32 * CHUNK)
    calls = [(info, RECORD, row, 0.5, None) for row in table]
    values = matrix(16_384)
    of_rows, of_matrix = baseline_of_rows(), baseline_of_matrix()

    def summarise_rows(baseline: Baseline | None) -> float:
        accumulator = ModelAccumulator(info.key, baseline=baseline)
        accumulator.add(calls)  # the first batch infers kinds, once in a process's life

        def work() -> None:
            for start in range(0, len(calls), CHUNK):
                accumulator.add(calls[start : start + CHUNK])

        return best_s(work) / len(calls)

    def summarise_matrix(baseline: Baseline | None) -> float:
        accumulator = ModelAccumulator(info.key, baseline=baseline)
        accumulator.add([Inference(info, "predict", values)])
        return best_s(lambda: accumulator.add([Inference(info, "predict", values)])) / values.size

    def read_rows() -> None:
        """The least there is to do: read the numbers into an array, and count the strings."""
        pack = struct.Struct(f"{len(NUMBERS)}d").pack
        for start in range(0, len(table), CHUNK):
            chunk = table[start : start + CHUNK]
            np.frombuffer(b"".join(itertools.starmap(pack, map(itemgetter(*NUMBERS), chunk))))
            for name in CATEGORIES:
                Counter(map(itemgetter(name), chunk))

    blocks = [np.ascontiguousarray(values[start : start + 1024].T) for start in range(0, len(values), 1024)]
    sorted_s = best_s(lambda: [np.sort(block, axis=1) for block in blocks]) / values.size
    return {
        "background_dict_row_25_features": Figure(
            summarise_rows(of_rows) * 1e6, "µs", 1.5, best_s(read_rows) / len(table) * 1e6
        ),
        "background_dict_row_25_features_without_baseline": Figure(
            summarise_rows(None) * 1e6, "µs", 1.5, best_s(read_rows) / len(table) * 1e6
        ),
        "background_array_value": Figure(summarise_matrix(of_matrix) * 1e9, "ns", 15, sorted_s * 1e9),
        "background_array_value_without_baseline": Figure(summarise_matrix(None) * 1e9, "ns", 15, sorted_s * 1e9),
        "background_correlations_row_25_features": Figure(_correlations_s(of_matrix, values) * 1e6, "µs", 0.5, None),
        "background_burst_p95": Figure(_burst_s(info, values, of_matrix) * 1e3, "ms", 0.25, None),
    }


def _correlations_s(baseline: Baseline, values: np.ndarray) -> float:
    """Seconds a row that looking at all columns together costs beside the columns themselves."""
    column = JointColumn.of(baseline, None)
    assert column is not None
    take = column.part_of(FEATURES_OF_MATRIX)
    assert take is not None
    pieces = [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]
    return best_s(lambda: [sum(1 for _ in take(piece)) for piece in pieces]) / len(values)


def _burst_s(info: ModelInfo, values: np.ndarray, baseline: Baseline) -> float:
    """Seconds between two places where the worker may let a request go on, at the 95th percentile."""
    accumulator = ModelAccumulator(info.key, baseline=baseline)
    bursts = []
    for _ in range(12):
        begun = time.perf_counter()
        for _ in accumulator.steps([Inference(info, "predict", values)]):
            now = time.perf_counter()
            bursts.append(now - begun)
            begun = now
    return float(np.quantile(bursts, 0.95))


# --- on the wire ------------------------------------------------------------------------------------------------------


def _wire() -> Figures:
    known = len(codec.encode(snapshot(baseline_of_matrix(), ROWS_A_MINUTE))) / 25
    unknown = len(codec.encode(snapshot(None, ROWS_A_MINUTE))) / 25
    # Nothing that carries 66 counts of up to 6,000 rows in whole bytes, and no name, is smaller.
    return {
        "bytes_per_feature_with_baseline": Figure(known, "B", 1_024, 66.0),
        "bytes_per_feature_without_baseline": Figure(unknown, "B", 3_584, None),
    }
