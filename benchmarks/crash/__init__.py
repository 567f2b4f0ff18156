"""Kills the processor at random under load, and counts what is lost and what is counted twice: `--kills N`."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.crash.run import Outcome, run
from benchmarks.figure import Figure, Figures
from benchmarks.processor.collector import NoCollectorError, collector_binary
from benchmarks.processor.programs import NoProgramsError, folder_of_programs
from benchmarks.processor.scale import scaled

_KILLS: Final = 20
# Of the kills, this share once more without a Collector, where acknowledgements are the processor's own.
_DIRECTLY: Final = 0.25
_SEED: Final = "OTEL_ML_CRASH_SEED"


def measure(kills: int | None = None) -> Figures:
    """Rows and records lost, and rows counted twice, behind a real Collector and without one; all goals are 0.

    Args:
        kills: Of the processor; by OTEL_ML_BENCHMARK_ROUNDS when absent.
    """
    try:
        folder_of_programs()
    except NoProgramsError as error:
        print(f"crash: left out: {error}", file=sys.stderr)
        return {}
    kills = int(scaled(_KILLS, 2)) if kills is None else kills
    seed = int(os.environ.get(_SEED) or int.from_bytes(os.urandom(4), "big"))
    variants = {"collector": kills, "direct": max(round(kills * _DIRECTLY), 2)}
    try:
        collector_binary()
    except NoCollectorError as error:
        print(f"crash: without a Collector in front: {error}", file=sys.stderr)
        variants = {"direct": kills}
    figures: dict[str, Figure] = {}
    for variant, times in variants.items():
        print(f"crash: {variant}: {times} kills, {_SEED}={seed}", file=sys.stderr)
        folder = Path(tempfile.mkdtemp(prefix="otel-ml-crash-"))
        print(f"crash: {variant}: what is written stays in {folder} unless all is well", file=sys.stderr)
        outcome = run(folder, times, seed, with_collector=variant == "collector")
        for problem in outcome.problems:
            print(f"crash: {problem}", file=sys.stderr)
        if not outcome.problems:
            shutil.rmtree(folder)
        figures |= _figures(f"crash.{variant}", outcome)
    return figures


def _figures(name: str, outcome: Outcome) -> Figures:
    must_not = {
        "lost_rows": (outcome.difference.lost, "row"),
        "doubled_rows": (outcome.difference.doubled, "row"),
        "wrong_counts": (outcome.difference.wrong_cells, "cell"),
        "lost_records": (outcome.lost_records, "record"),
        "refused_for_good": (sum(outcome.refusals.values()), "request"),
    }
    told = {
        "kills": (outcome.kills.total, "kill"),
        **{f"kills.{kind}": (count, "kill") for kind, count in sorted(outcome.kills.by_kind.items())},
        "kills.under_load": (outcome.kills.under_load, "kill"),
        "snapshots": (outcome.snapshots, "snapshot"),
        "rows": (outcome.rows, "row"),
        "windows": (outcome.windows, "window"),
        "windows.closed_under_way": (outcome.closed_under_way, "window"),
        "records": (outcome.records, "record"),
        "duplicated_records": (outcome.duplicated_records, "record"),
        "recovered": (len(outcome.kills.starts_s), "start"),
        "restart.median": (statistics.median(outcome.kills.starts_s), "s"),
        "restart.longest": (max(outcome.kills.starts_s), "s"),
        "seed": (outcome.seed, ""),
        "time": (outcome.seconds, "s"),
    }
    return {
        **{f"{name}.{what}": Figure(value, unit, 0, None) for what, (value, unit) in must_not.items()},
        **{f"{name}.{what}": Figure(value, unit, None, None) for what, (value, unit) in told.items()},
    }
