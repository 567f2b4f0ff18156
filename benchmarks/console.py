"""How long the console's pages take with 200 models, 200 features and a month of history, and what that is on disk.

One model more has 200 segments of 50 features.

The history is written as the processor writes it, through its store, and the pages are asked for over HTTP, one after
the other; the time of a page is the client's, on the loopback interface. The limit is the smallest page: a file.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlencode

import httpx
import numpy as np

from benchmarks.figure import Figure, Figures
from collector_processor.console.server import Console
from collector_processor.console.settings import ConsoleSettings
from collector_processor.history import (
    FIGURES,
    AlertRecord,
    CallFigures,
    Column,
    Flag,
    Subject,
    WindowLine,
    WindowRecord,
)
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address
from collector_processor.store.sqlite import SqliteStore
from otel_ml.drawing.frame import Frame, frame_of
from otel_ml.sketch.distribution import CategoricalDistribution

MODELS: Final = int(os.environ.get("OTEL_ML_BENCHMARK_MODELS", "200"))
FEATURES: Final = 200
HOURS: Final = 30 * 24
SEGMENTS: Final = 200
ROUNDS: Final = 7

_HOUR: Final = 3600 * 1_000_000_000
_GOAL_S: Final = 0.2
_SEGMENT_FEATURES: Final = 50
_SEGMENT_HOURS: Final = 72


def measure() -> Figures:
    """Median and worst time of each page."""
    with tempfile.TemporaryDirectory(prefix="otel-ml-console-") as directory:
        return asyncio.run(_measure(Path(directory) / "state.db"))


async def _measure(path: Path) -> Figures:
    store = SqliteStore(path, 40 * 86_400.0, 2 * 86_400.0)
    await store.start()
    now = time.time_ns() // _HOUR * _HOUR
    begun = time.perf_counter()
    for number in range(MODELS):
        records = [*_month(number, now)]
        await store.write({}, records)
    written_s = (time.perf_counter() - begun) / (MODELS * HOURS)
    print(f"console: wrote {MODELS} models in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    await store.shutdown(1.0)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    store = SqliteStore(path, 40 * 86_400.0, 2 * 86_400.0)
    await store.start()
    for segment in ("", *(f"customer={place:03}" for place in range(SEGMENTS))):
        await store.write({}, [*_slice(segment, now)])
    console = Console(ConsoleSettings(endpoint=Address("127.0.0.1", 0)), store, SelfTelemetry())
    await console.start()
    try:
        figures = await _pages(console.url or "")
    finally:
        await console.shutdown(1.0)
        await store.shutdown(1.0)
    figures |= {
        "console.history.write": Figure(written_s * 1e3, "ms/window", None, None),
        "console.history.size": Figure(
            size / (MODELS * HOURS * FEATURES), "B/column and window", None, FIGURES.itemsize
        ),
    }
    return figures


async def _pages(url: str) -> dict[str, Figure]:
    model = {"name": "model-000", "version": "1", "range": "30d"}
    addresses = {
        "fleet": "/",
        "model": f"/model?{urlencode(model)}",
        "model.all_columns": f"/model?{urlencode({**model, 'rows': 'all'})}",
        "feature": f"/feature?{urlencode({**model, 'feature': 'f007'})}",
        "segments": "/segments?name=sliced",
        "segments.all": "/segments?name=sliced&rows=all",
        "alerts": "/alerts?range=30d",
        "pipeline": "/pipeline",
        "model.json": f"/model.json?{urlencode(model)}",
    }
    figures: dict[str, Figure] = {}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60.0) as client:
        least_s = median([await _seconds(client, "/static/icon.svg") for _ in range(ROUNDS)])
        for name, address in addresses.items():
            await _seconds(client, address)
            took = [await _seconds(client, address) for _ in range(ROUNDS)]
            figures[f"console.{name}"] = Figure(median(took) * 1e3, "ms", _GOAL_S * 1e3, least_s * 1e3)
            figures[f"console.{name}.worst"] = Figure(max(took) * 1e3, "ms", _GOAL_S * 1e3, None)
    return figures


async def _seconds(client: httpx.AsyncClient, address: str) -> float:
    begun = time.perf_counter()
    answer = await client.get(address)
    took = time.perf_counter() - begun
    answer.raise_for_status()
    return took


def _month(number: int, now: int) -> Iterator[WindowRecord]:
    """Thirty days of one model, of which every seventh is unwell in the last ones."""
    random = np.random.default_rng(number)
    subject = Subject(f"model-{number:03}", "1")
    columns = [Column("feature", f"f{place:03}", "numeric", 1.0 + place) for place in range(FEATURES)]
    frame = frame_of(CategoricalDistribution({f"c{place}": 10 + place for place in range(12)}))
    assert frame is not None, "it has values"
    frames: list[Frame | None] = [frame] * FEATURES
    scores = np.abs(random.normal(0, 0.04, (HOURS, FEATURES))).astype(np.float32)
    is_unwell = number % 7 == 0
    if is_unwell:
        scores[-72:, :5] += 0.3
    for hour in range(HOURS):
        figures = np.zeros(FEATURES, FIGURES)
        figures["score"], figures["threshold"], figures["rows"] = scores[hour], 0.2, 5000
        figures["log_q"] = random.normal(-2, 1, FEATURES)
        figures["missing"] = random.random(FEATURES) * 0.1
        breaches = scores[hour] > 0.2
        figures["flags"] = np.where(breaches, Flag.BREACH | Flag.FIRING, 0)
        start = now - (HOURS - hour) * _HOUR
        line = WindowLine(
            start, start + _HOUR, 5000, "evaluated", "ab12cd34", int(breaches.sum()), FEATURES, {"d1": 4},
            CallFigures(5000, {"ValueError": 3}, 0.004, 0.02, 0.05),
        )  # fmt: skip
        alerts = []
        if is_unwell and hour == HOURS - 70:
            alerts = [AlertRecord(start + _HOUR, subject, "drift", "feature", "f000", "firing", "PSI 0.34 > 0.20")]
        shapes = [random.dirichlet(np.ones(len(frame.shares)))] * FEATURES
        yield WindowRecord(subject, line, columns, figures, frames, shapes, '{"features": []}', alerts)


def _slice(segment: str, now: int) -> Iterator[WindowRecord]:
    """Three days of a slice of a model's rows; slices have no pictures."""
    random = np.random.default_rng(sum(segment.encode()))
    columns = [Column("feature", f"f{place:03}", "numeric") for place in range(_SEGMENT_FEATURES)]
    nothing = [None] * _SEGMENT_FEATURES
    for hour in range(_SEGMENT_HOURS):
        figures = np.zeros(_SEGMENT_FEATURES, FIGURES)
        figures["score"], figures["threshold"] = np.abs(random.normal(0.1, 0.05, _SEGMENT_FEATURES)), 0.2
        start = now - (_SEGMENT_HOURS - hour) * _HOUR
        line = WindowLine(start, start + _HOUR, 500, "evaluated", "ab12cd34", 0, 0, {"d1": 4})
        yield WindowRecord(Subject("sliced", "1", segment), line, columns, figures, nothing, nothing)


if __name__ == "__main__":
    print(measure())
