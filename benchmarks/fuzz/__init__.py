"""Hostile requests, 100,000 of them, through decoding, merging and evaluation: crashes, hangs, growth of memory.

Each item follows from the seed and its number alone: `python -m benchmarks.fuzz.child --seed 1 --item 4711` repeats it.
OTEL_ML_BENCHMARK_ROUNDS multiplies their number; 0 sends some.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.environment import ROOT
from benchmarks.figure import Figure, Figures

SEED: Final = 1
ITEMS: Final = 100_000
_ITEMS_OF_A_QUICK_RUN: Final = 1_500
_STALLED_S: Final = 120.0
_GROWTH_MB: Final = 16.0
"""What the caches and the allocator are granted: a kilobyte lost with every item would be six times as much."""


@dataclass
class Findings:
    """What became of all items.

    Attributes:
        crashes: Items with an error that is none of the declared ones, or whose process died, with the error.
        hangs: Items that took too long, with the seconds of CPU they took.
        grown_kb: Memory, after the warm-up.
        counts: Snapshots read and merged, windows evaluated.
    """

    crashes: dict[int, str] = field(default_factory=dict)
    hangs: dict[int, float] = field(default_factory=dict)
    grown_kb: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def measure() -> Figures:
    """What was found, which should be nothing."""
    rounds = float(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    items = round(ITEMS * rounds) or _ITEMS_OF_A_QUICK_RUN
    findings = fuzz(SEED, items)
    for index, error in findings.crashes.items():
        print(f"fuzz: item {index} of seed {SEED} crashes:\n{error}", file=sys.stderr)
    for index, seconds in findings.hangs.items():
        print(f"fuzz: item {index} of seed {SEED} takes {seconds:.1f} s", file=sys.stderr)
    return {
        "fuzz_items": Figure(items, "requests", None, None, "higher"),
        "fuzz_snapshots_read": Figure(findings.counts.get("read", 0), "snapshots", None, None, "higher"),
        "fuzz_snapshots_merged": Figure(findings.counts.get("merged", 0), "snapshots", None, None, "higher"),
        "fuzz_windows_evaluated": Figure(findings.counts.get("evaluated", 0), "windows", None, None, "higher"),
        "fuzz_crashes": Figure(len(findings.crashes), "items", 0, 0),
        "fuzz_hangs": Figure(len(findings.hangs), "items", 0, 0),
        "fuzz_memory_growth": Figure(
            max(0.0, findings.grown_kb / 1024 - _GROWTH_MB), f"MiB beyond {_GROWTH_MB:g}", 0, 0
        ),
    }


def fuzz(seed: int, items: int, module: str = "benchmarks.fuzz.child", stalled_s: float = _STALLED_S) -> Findings:
    """Send items in a child process, and in another one from the next item on if it dies.

    Args:
        module: What the child runs.
        stalled_s: Without a word from the child for so long, it hangs for good.
    """
    findings = Findings()
    first = 0
    with tempfile.TemporaryDirectory() as folder:
        while first < items:
            command = [sys.executable, "-m", module, f"--seed={seed}", f"--from={first}", f"--to={items}"]
            first = _run_child(command, first, items, Path(folder) / "report", findings, stalled_s)
    return findings


def _run_child(command: list[str], first: int, items: int, report: Path, findings: Findings, stalled_s: float) -> int:
    """Add what a child finds; returns the item to go on with."""
    report.write_text("", encoding="utf-8")
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen([*command, f"--report={report}"], cwd=ROOT, stderr=errors)
        try:
            stalled = _waited(child, report, stalled_s)
        finally:
            child.kill()
            child.wait()
        errors.seek(0)
        last_words = errors.read()[-4000:]
    at = first - 1
    for said in _said(report):
        at = said.get("at", at)
        if "crash" in said:
            findings.crashes[said["crash"]] = said["error"]
        if "hang" in said:
            findings.hangs[said["hang"]] = said["spent_s"]
        if "grown_kb" in said:
            findings.grown_kb = max(findings.grown_kb, said.pop("grown_kb"))
            for name, count in said.items():
                findings.counts[name] = findings.counts.get(name, 0) + count
            return items
    if at < first:
        raise RuntimeError(f"fuzz: no item was sent: {last_words}")
    if stalled:
        findings.hangs[at] = stalled_s
    else:
        findings.crashes[at] = f"exit status {child.returncode}: {last_words}"
    return at + 1


def _waited(child: subprocess.Popen[bytes], report: Path, stalled_s: float) -> bool:
    """Whether the child stopped saying anything, rather than ending."""
    size, since_s = -1, time.monotonic()
    while child.poll() is None:
        time.sleep(0.05)
        if (now := report.stat().st_size) != size:
            size, since_s = now, time.monotonic()
        elif time.monotonic() - since_s > stalled_s:
            return True
    return False


def _said(report: Path) -> list[dict[str, Any]]:
    """All lines but one that was cut off."""
    return [
        json.loads(line) for line in report.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
    ]
