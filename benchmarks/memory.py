"""What recording holds in memory, with 1, 100 and 1,000 features, and that it stops growing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import ROOT
from benchmarks.figure import Figure, Figures

FEATURES = (1, 100, 1_000)
BATCH = 256
INTERVALS = 4
VALUES_AN_INTERVAL = 2_000_000


def measure() -> Figures:
    """Memory beyond that of the same process with numpy and the SDK loaded, after one interval and after four more."""
    figures: dict[str, Figure] = {}
    for features in FEATURES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(features)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        measured = json.loads(done.stdout)
        # The buffers alone: 1,024 doubles a column.
        least_mb = features * 1_024 * 8 / 2**20
        figures[f"memory_{features}_features"] = Figure(measured["first"] / 2**20, "MB", None, least_mb)
        figures[f"memory_{features}_features_growth"] = Figure(
            (measured["later"] - measured["first"]) / 2**20 / INTERVALS, "MB per interval", None, 0.0
        )
    return figures


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096


def _use(features: int) -> dict[str, int]:
    import gc

    import numpy as np
    from opentelemetry import _logs, metrics
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider

    from otel_ml.recording.inference import Inference, ModelInfo
    from otel_ml.recording.recorder import get_recorder
    from otel_ml.sketch.feature import ModelKey

    _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))
    metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
    chance = np.random.default_rng(1)
    info = ModelInfo(ModelKey("measured"))
    recorder = get_recorder()
    batch = chance.normal(size=(BATCH, features))
    gc.collect()
    before = _resident()

    def interval() -> None:
        for _ in range(max(1, VALUES_AN_INTERVAL // batch.size)):
            recorder.submit(Inference(info, "predict", batch, batch[:, 0]))
            if len(recorder.queue) > 100:
                recorder.flush(60.0)
        recorder.flush(60.0)

    interval()
    first = _resident() - before
    for _ in range(INTERVALS):
        interval()
    return {"first": first, "later": _resident() - before}


if __name__ == "__main__":
    print(json.dumps(_use(int(sys.argv[1]))))
