"""The files of boards and of their provisioning, by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_ml.backends.grafana.board import Board, TextBox
from otel_ml.backends.grafana.fleet import fleet
from otel_ml.backends.grafana.model import model
from otel_ml.backends.grafana.variables import CONSOLE_URL
from otel_ml.backends.promql import Histograms
from otel_ml.backends.yaml_text import yaml_text

BOARDS: Final = ("fleet", "model")

_WRITTEN: Final = "Written by `otel-ml dashboards export`; change it there, or in a copy of your own."
_METRICS: Final = "otel-ml-metrics"
_TRACES: Final = "otel-ml-traces"


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """What users decide about the boards.

    Attributes:
        histograms: How the backend stores durations.
        console: Address of the processor's console, where links to distributions lead.
        metrics: Address of Prometheus, as Grafana reaches it; for provisioning.
        traces: Address of Tempo, likewise.
        folder: Where Grafana finds the boards' files; for provisioning.
    """

    histograms: Histograms = "classic"
    console: str = CONSOLE_URL
    metrics: str = "http://prometheus:9090"
    traces: str = "http://tempo:3200"
    folder: str = "/var/lib/grafana/dashboards"


def board(name: str, options: BoardOptions) -> Board:
    """One of the boards, as the options want it."""
    made = {"fleet": fleet, "model": model}[name](options.histograms)
    variables = tuple(
        replace(variable, value=options.console.rstrip("/")) if isinstance(variable, TextBox) else variable
        for variable in made.variables
    )
    return replace(made, variables=variables)


def boards(options: BoardOptions) -> Mapping[str, str]:
    """The boards alone."""
    return {f"dashboards/{name}.json": board(name, options).text() for name in BOARDS}


def provisioning(options: BoardOptions) -> Mapping[str, str]:
    """What makes Grafana load the boards when it starts, and know the two data sources."""
    provider: dict[str, Any] = {
        "apiVersion": 1,
        "providers": [
            {
                "name": "otel-ml",
                "folder": "otel-ml",
                "type": "file",
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": options.folder},
            }
        ],
    }
    sources: dict[str, Any] = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Metrics (otel-ml)",
                "uid": _METRICS,
                "type": "prometheus",
                "access": "proxy",
                "url": options.metrics,
                "jsonData": {
                    "httpMethod": "POST",
                    # By default everything is sent once a minute: a rate over less would be empty.
                    "timeInterval": "60s",
                    # The name under which OTLP's exemplars hold their trace.
                    "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": _TRACES}],
                },
            },
            {"name": "Traces (otel-ml)", "uid": _TRACES, "type": "tempo", "access": "proxy", "url": options.traces},
        ],
    }
    return {
        "provisioning/dashboards/otel-ml.yaml": yaml_text(provider, _WRITTEN),
        "provisioning/datasources/otel-ml.yaml": yaml_text(sources, _WRITTEN),
    }
