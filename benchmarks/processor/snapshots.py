"""Durable snapshots: what one costs, how soon it is acknowledged, and what models, features and replicas add."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.figure import Figure, Figures
from benchmarks.processor import bodies
from benchmarks.processor.programs import Load, generate, running_sink
from benchmarks.processor.scale import scaled
from benchmarks.processor.servers import Processor, Server, running_echo, running_processor
from otel_ml.sketch.feature import ModelKey

GOAL_PER_S: Final = 7000
GOAL_P99_MS: Final = 10
_WINDOW_NS: Final = 300 * bodies.SECOND


class Shape(NamedTuple):
    """Of a load: so many models with so many features, each served by so many replicas."""

    models: int = 1
    features: int = 50
    replicas: int = 32
    with_baseline: bool = True
    has_correlations: bool = False
    in_request: int = 1


class Cost(NamedTuple):
    """Of one request, or of one snapshot where more than one is in each."""

    cpu_s: float
    load: Load


# By what is varied; 50 features of one model, with a baseline, on 32 replicas is what the others are compared with.
SHAPES: Final[Mapping[str, Shape]] = {
    "10_models": Shape(models=10),
    "100_models": Shape(models=100),
    "10_features": Shape(features=10),
    "200_features": Shape(features=200),
    "1_replica": Shape(replicas=1),
    "100_replicas": Shape(replicas=100),
    "1000_replicas": Shape(replicas=1000),
}
# As they come through a Collector, whose queue joins them to 1 MB and more.
JOINED: Final[Mapping[str, Shape]] = {
    "joined": Shape(in_request=100),
    "joined_with_correlations": Shape(in_request=100, has_correlations=True),
    "joined_without_baseline": Shape(in_request=10, with_baseline=False),
}
# As often as not one falls into what is measured, and what it costs is a part of the cost.
_STORE: Final = {"checkpoint_interval": "5s"}


def measure() -> Figures:
    """CPU of each, latency at half of what is possible, and what the mere answering of requests would cost."""
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name, running_sink() as sink:
        folder = Path(name)
        limit, at_half = _echo(folder, Shape())
        packed, latency = _packed(folder, sink.otlp)
        figures |= _cost_figures("snapshots", packed, limit, 1e6 / GOAL_PER_S)
        figures["processor.snapshots.requests_per_s"] = Figure(
            packed.load.acked / packed.load.seconds, "/s", None, None, "higher"
        )
        for percentile in ("p50", "p99", "p999"):
            goal = GOAL_P99_MS if percentile == "p99" else None
            figures[f"processor.snapshots.half_load.{percentile}"] = Figure(
                latency.latency_ms.get(percentile, float("inf")), "ms", goal, at_half.latency_ms.get(percentile)
            )
        over_http = _cost(folder, Shape(), sink.otlp, protocol="http")
        figures |= _cost_figures("snapshots.over_http", over_http, None, 1e6 / GOAL_PER_S)
        for which, joined in JOINED.items():
            cost = _cost(folder, joined, sink.otlp)
            figures |= _cost_figures(f"snapshots.{which}", cost, None, 1e6 / GOAL_PER_S, joined)
        sketched = Shape(with_baseline=False)
        figures |= _cost_figures("snapshots_without_baseline", _cost(folder, sketched, sink.otlp), limit, None)
        for varied, shape in SHAPES.items():
            figures |= _cost_figures(f"snapshots.{varied}", _cost(folder, shape, sink.otlp), None, None)
    return figures


def _cost_figures(
    name: str, cost: Cost, limit_s: float | None, goal_us: float | None, shape: Shape | None = None
) -> Figures:
    """The figure that counts is processor time; requests a second of a core are the same, said otherwise."""
    counted, one = ("requests", 1) if shape is None else ("snapshots", shape.in_request)
    limit_us = None if limit_s is None else limit_s * 1e6
    per_s = None if limit_s is None else 1 / limit_s
    goal_per_s = None if goal_us is None else 1e6 / goal_us
    return {
        f"processor.{name}.cpu": Figure(cost.cpu_s * 1e6, f"µs/{counted[:-1]}", goal_us, limit_us),
        f"processor.{name}.per_core": Figure(1 / cost.cpu_s, f"{counted}/s", goal_per_s, per_s, "higher"),
        f"processor.{name}.size": Figure(cost.load.bytes / cost.load.acked / one, f"B/{counted[:-1]}", None, None),
    }


def _packed(folder: Path, backend: str) -> tuple[Cost, Load]:
    shape = Shape()
    prepared = prepare(folder, shape)
    with running_processor(_setup(folder, backend)) as server:
        warm_up(server, prepared, shape)
        cost = cost_of(server, prepared, shape, scaled(8, 1))
        return cost, _at_half_load(server, prepared, shape, cost)


def _cost(folder: Path, shape: Shape, backend: str, protocol: str = "grpc") -> Cost:
    prepared = prepare(folder, shape)
    with running_processor(_setup(folder, backend, protocol)) as server:
        warm_up(server, prepared, shape)
        return cost_of(server, prepared, shape, scaled(5, 0.5))


def _echo(folder: Path, shape: Shape) -> tuple[float, Load]:
    """What a request costs a server that only answers, and how soon it does at half of what is possible."""
    prepared = prepare(folder, shape)
    with running_echo() as server:
        warm_up(server, prepared, shape)
        cost = cost_of(server, prepared, shape, scaled(6, 0.5))
        return cost.cpu_s, _at_half_load(server, prepared, shape, cost)


def _at_half_load(server: Server, prepared: Path, shape: Shape, cost: Cost) -> Load:
    rate = cost.load.acked / cost.load.seconds / 2
    return generate(server.target, prepared, seconds=scaled(8, 1), rate=rate, connections=16, producers=shape.replicas)


def _setup(folder: Path, backend: str, protocol: str = "grpc") -> Processor:
    of_its_own = Path(tempfile.mkdtemp(dir=folder))
    return Processor(of_its_own, backend, store=_STORE, protocol=protocol)


def prepare(folder: Path, shape: Shape) -> Path:
    """A file with a snapshot of each model."""
    layout = bodies.layout() if shape.with_baseline else None
    start = time.time_ns() // _WINDOW_NS * _WINDOW_NS
    prepared = [
        bodies.snapshot(
            ModelKey(f"model-{number}", "1"),
            shape.features,
            layout,
            start,
            seed=number,
            has_correlations=shape.has_correlations,
        )
        for number in range(shape.models)
    ]
    return bodies.write(folder / "bodies", [bodies.snapshot_body(snapshot) for snapshot in prepared])


def warm_up(server: Server, prepared: Path, shape: Shape) -> None:
    """What a server pays once is none of what a request costs."""
    generate(
        server.target,
        prepared,
        protocol=server.protocol,
        seconds=scaled(1, 0.3),
        producers=shape.replicas,
        join=shape.in_request,
    )


def cost_of(server: Server, prepared: Path, shape: Shape, seconds: float) -> Cost:
    """Processor time of the server for each snapshot that it acknowledged."""
    before = server.cpu_s
    load = generate(
        server.target,
        prepared,
        protocol=server.protocol,
        seconds=seconds,
        producers=shape.replicas,
        join=shape.in_request,
    )
    used = server.cpu_s - before
    if load.refused or not load.acked:
        raise RuntimeError(f"the server refused requests: {load}")
    return Cost(used / load.acked / shape.in_request, load)
