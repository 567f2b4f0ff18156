"""Sends items through the parts of the processor, in a process of its own.

`python -m benchmarks.fuzz.child --seed S --item I` sends one again and lets its error through.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.fuzz.corpus import HISTOGRAM, Corpus, corpus
from benchmarks.fuzz.mutations import item
from collector_processor.component import HistogramSource, Signal
from collector_processor.errors import UndecodableRequestError
from collector_processor.processors.drift import DriftSettings
from collector_processor.processors.evaluation import Evaluator
from collector_processor.processors.references.baselines import References
from collector_processor.processors.windows import Outcome, Window, WindowSettings, WindowStore
from collector_processor.receivers import decode, json_requests
from collector_processor.receivers.plain_histograms import HistogramReader
from collector_processor.receivers.settings import GrpcSettings
from otel_ml.drift.registry import create

BUDGET_S: Final = 2.0
"""CPU time of one item; it takes about a millisecond."""
CLOSE_EVERY: Final = 200
_LARGEST: Final = GrpcSettings().max_recv_msg_size_mib << 20
"""What is larger no receiver reads."""
_WARM_UP: Final = 0.3
"""Share of the items after which memory must no longer grow."""
_FAR_AHEAD_NS: Final = 1 << 62
_CLOSED_AT_MOST: Final = 20
"""Windows to evaluate of those that close: hostile snapshots name many models."""


class Target:
    """The parts that a hostile request meets, from the receiver to the verdict on a window."""

    def __init__(self, source: Corpus) -> None:
        settings = DriftSettings(min_rows=1)
        self._evaluator = Evaluator(
            References([source.baseline]),
            {name: create(name) for name in settings.detectors},
            settings.decide_by,
            settings.quality,
            1,
            settings.rule,
        )
        self._histograms = HistogramReader({HISTOGRAM: HistogramSource(feature="amount")}, {"service.version"})
        self._windows = self._new_windows()
        self.counts = Counter({"read": 0, "merged": 0, "evaluated": 0})

    def take(self, signal: Signal, body: bytes, *, is_json: bool) -> None:
        """Read a request as a receiver does, and merge what it holds.

        Raises:
            UndecodableRequestError: As declared.
            Exception: A bug.
        """
        if len(body) > _LARGEST:
            return
        if is_json:
            body = json_requests.to_protobuf(signal, body)
        if signal is Signal.METRICS:
            decode.count_items(signal, body)
            self._histograms.read(body)
            return
        if signal is Signal.TRACES:
            decode.count_items(signal, body)
            return
        logs = decode.read_logs(body, take=True, resource_attributes={"service.version"})
        again, rejected = decode.snapshots_in(signal, logs.taken, {"service.version"})
        if (len(again), rejected) != (len(logs.snapshots), logs.rejected):
            raise AssertionError(f"read {len(logs.snapshots)} and {logs.rejected}, then {len(again)} and {rejected}")
        if decode.count_items(signal, logs.body) != logs.remaining:
            raise AssertionError(f"{logs.remaining} records remain, where the rest does not hold so many")
        with self._windows.together():
            for snapshot in logs.snapshots:
                self.counts["read"] += 1
                if len(list(snapshot.features)) != len(snapshot.features):
                    raise AssertionError("the features of a snapshot are not as many as it says")
                self.counts["merged"] += self._windows.merge(snapshot) is Outcome.MERGED

    def close(self) -> None:
        """Close all windows, and evaluate some."""
        windows = self._windows
        self.reset()
        for window in sorted(windows.close_all(), key=_interest)[:_CLOSED_AT_MOST]:
            self._evaluator.evaluate(window)
            self.counts["evaluated"] += 1

    def reset(self) -> None:
        """Forget what was merged."""
        self._windows = self._new_windows()

    @staticmethod
    def _new_windows() -> WindowStore:
        return WindowStore(WindowSettings(), wall_clock_ns=lambda: _FAR_AHEAD_NS, deployments="service.version")


def _interest(window: Window) -> tuple[int, int]:
    return -window.snapshots, window.start_unix_nano


def run(seed: int, first: int, last: int, report: Path) -> None:
    """Send items, and write after each to `report` where we are: whatever happens, the parent knows of which."""
    source = corpus()
    target = Target(source)
    warm_up = first + int((last - first) * _WARM_UP)
    warm_kb = 0
    with report.open("w", encoding="utf-8") as file:
        for index in range(first, last):
            if index == warm_up:
                warm_kb = _resident_kb()
            _say(file.fileno(), at=index)
            signal, body, is_json = item(source, seed, index)
            since_s = time.process_time()
            error = None
            try:
                with suppress(UndecodableRequestError):
                    target.take(signal, body, is_json=is_json)
                if index % CLOSE_EVERY == CLOSE_EVERY - 1:
                    target.close()
            except Exception:
                error = traceback.format_exc()
                target.reset()
            spent_s = time.process_time() - since_s
            if error is not None:
                _say(file.fileno(), crash=index, error=error)
            if spent_s > BUDGET_S:
                _say(file.fileno(), hang=index, spent_s=spent_s)
        _say(file.fileno(), grown_kb=max(0, _resident_kb() - warm_kb), **target.counts)


def _say(descriptor: int, **what: object) -> None:
    # Unbuffered: what was said is there even if the next moment is the last one.
    os.write(descriptor, json.dumps(what).encode() + b"\n")


def _resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.child", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--item", type=int, help="send one item, and print it")
    parser.add_argument("--from", type=int, dest="first")
    parser.add_argument("--to", type=int, dest="last")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args(arguments)
    if options.item is None:
        faulthandler.enable()
        run(options.seed, options.first, options.last, options.report)
        return 0
    source = corpus()
    signal, body, is_json = item(source, options.seed, options.item)
    print(f"{signal.value}, {'JSON' if is_json else 'protobuf'}: {body[:2000]!r}", file=sys.stderr)
    target = Target(source)
    try:
        target.take(signal, body, is_json=is_json)
    except UndecodableRequestError as error:
        print(f"refused, as it should be: {error}")
        return 0
    target.close()
    print("taken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
