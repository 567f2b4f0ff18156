"""Runs one library's jobs in its own process, and prints what comes of them as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peer_libraries.windows import Block, Case, cases, table

COST_ROWS, COST_COLUMNS = 100_000, 25
_COST_ROUNDS = 5
_COST_BUDGET_S = 15.0
"""No further round of one comparison begins after this time."""

Alarms = Callable[[Case, Block], Mapping[str, Sequence[bool]]]
"""By method, whether it calls each column drifted; without the methods that do not answer such a case."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way to compare two tables.

    Attributes:
        prepare: Takes the reference in; what it returns is handed to `compare`.
        compare: Gives the verdict about each column of the current table.
    """

    prepare: Callable[[Any], Any]
    compare: Callable[[Any, Any], object]


def main(alarms: Alarms, comparisons: Mapping[str, Comparison], as_table: Callable[[Any], Any]) -> None:
    """Do the job that the command line names.

    `alarms ROUNDS` prints for each case and method how many of how many columns were called drifted; `cost` prints
    processor time and bytes for each comparison. A case or comparison in which a library fails is left out, with the
    reason on stderr.
    """
    logging.disable()
    job, *arguments = sys.argv[1:]
    # Progress bars and advertisements are not the answer.
    with contextlib.redirect_stdout(io.StringIO()):
        if job == "alarms":
            answer: dict[str, Any] = count_alarms(alarms, cases(int(arguments[0])))
        else:
            answer = measure_costs(comparisons, as_table)
    json.dump(answer, sys.stdout)


def count_alarms(alarms: Alarms, asked: Sequence[Case]) -> dict[str, dict[str, tuple[int, int]]]:
    """By case and method, how many columns were called drifted, and of how many."""
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for case in asked:
        raised: dict[str, int] = defaultdict(int)
        try:
            for block in case.blocks():
                for method, verdicts in alarms(case, block).items():
                    raised[method] += sum(map(bool, verdicts))
        except Exception as error:
            print(f"{sys.argv[0]}: {case.name} is left out: {error!r}", file=sys.stderr)
            continue
        if raised:
            counted[case.name] = {method: (alarmed, case.repeats) for method, alarmed in raised.items()}
    return counted


def measure_costs(comparisons: Mapping[str, Comparison], as_table: Callable[[Any], Any]) -> dict[str, dict[str, float]]:
    """By comparison: processor seconds for the reference and for the window, and bytes that both take at their peak."""
    costs = {}
    small = as_table(table(2_000, COST_COLUMNS, 1)), as_table(table(2_000, COST_COLUMNS, 2))
    reference, current = (as_table(table(COST_ROWS, COST_COLUMNS, seed)) for seed in (1, 2))
    for name, comparison in comparisons.items():
        try:
            # What is imported late and compiled on first use is not the comparison's.
            comparison.compare(comparison.prepare(small[0]), small[1])
            costs[name] = _cost(comparison, reference, current)
        except Exception as error:
            print(f"{sys.argv[0]}: {name} is left out: {error!r}", file=sys.stderr)
    return costs


def _cost(comparison: Comparison, reference: object, current: object) -> dict[str, float]:
    prepare_s: list[float] = []
    compare_s: list[float] = []
    peak = 0
    rounds = 1 if os.environ.get("OTEL_ML_BENCHMARK_ROUNDS") == "0" else _COST_ROUNDS
    before = _begin_peak()
    while len(compare_s) < rounds and sum(prepare_s) + sum(compare_s) < _COST_BUDGET_S:
        begun = time.process_time()
        prepared = comparison.prepare(reference)
        prepare_s.append(time.process_time() - begun)
        begun = time.process_time()
        comparison.compare(prepared, current)
        compare_s.append(time.process_time() - begun)
        if not peak:
            peak = _status("VmHWM") - before
    return {"prepare_s": min(prepare_s), "compare_s": min(compare_s), "peak_bytes": float(peak)}


def _begin_peak() -> int:
    """Bytes resident now, from which on the peak is taken anew; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status: no {field}")
