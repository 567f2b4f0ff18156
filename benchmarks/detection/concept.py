"""Streaming detectors on errors that get more: how late each alarm comes, and how many come without a change."""

from __future__ import annotations

import os
import statistics
import sys

import numpy as np

from benchmarks.figure import Figure, Figures
from otel_ml.drift.streaming import STREAMING_METHODS, StreamingDetector
from otel_ml.errors import ConfigurationError

RATE = 0.1
RISEN = (0.2, 0.3)
BEFORE = 1_500
PATIENCE = 1_500
STREAMS = 20
# scipy's exact test at every value makes it a hundred times as slow as the others.
STREAMS_OF = {"kswin": 1}
QUIET = 200


def measure() -> Figures:
    """False alarms, delays, missed changes and repeated alarms of river's detectors, at their own defaults."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    try:
        StreamingDetector("adwin")
    except ConfigurationError as error:
        print(f"detection: concept left out: {error}", file=sys.stderr)
        return {}
    figures: dict[str, Figure] = {}
    for name in STREAMING_METHODS:
        streams = STREAMS_OF.get(name, STREAMS) * rounds or 1
        figures |= _of_method(name, streams, *((BEFORE, PATIENCE) if rounds else (150, 150)))
    return figures


def _of_method(name: str, streams: int, before: int, patience: int) -> Figures:
    false_alarms = clean_values = changes = repeated = 0
    figures: dict[str, Figure] = {}
    for risen in RISEN:
        delays = []
        for seed in range(streams):
            chance = np.random.default_rng([seed, int(100 * risen)])
            errors = chance.random(before + patience) < np.repeat((RATE, risen), (before, patience))
            detector = StreamingDetector(name)
            alarms = [place for place, error in enumerate(errors.tolist()) if detector.update(error)]
            found = [place - before for place in alarms if place >= before]
            false_alarms += len(alarms) - len(found)
            clean_values += before
            if found:
                changes += 1
                repeated += sum(place - found[0] <= QUIET for place in found[1:])
            delays.append(found[0] if found else patience)
        prefix = f"concept.{name}.errors_{RATE:.0%}_to_{risen:.0%}".replace("%", "")
        missed = sum(delay == patience for delay in delays) / streams
        figures[f"{prefix}.delay"] = Figure(statistics.median(delays), "predictions", None, None)
        figures[f"{prefix}.missed"] = Figure(missed, f"of changes, within {patience:,} predictions", None, 0.0)
    per_1000 = 1_000 * false_alarms / clean_values
    figures[f"concept.{name}.false_alarms"] = Figure(per_1000, "per 1,000 clean predictions", None, 0.0)
    # What `quiet` takes away.
    again = repeated / changes if changes else 0.0
    figures[f"concept.{name}.repeated_alarms"] = Figure(again, f"per change, within {QUIET} predictions", None, 0.0)
    return figures
