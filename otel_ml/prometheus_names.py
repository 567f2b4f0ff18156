"""What our names become in Prometheus, as OpenTelemetry translates them.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
Prometheus 3 names what it receives by OTLP so by default, VictoriaMetrics with `-opentelemetry.usePrometheusNaming`,
and our own `/metrics` always.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_ml.semconv import Metric

_UNITS: Final = {"By": "bytes", "s": "seconds", "ms": "milliseconds", "d": "days", "h": "hours", "min": "minutes"}
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_IN_A_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(metric: Metric, *, is_sum: bool | None = None) -> str:
    """The metric's name in Prometheus; of a histogram that of the family, without `_bucket`, `_count` or `_sum`.

    Args:
        metric: As it stands in `semconv`.
        is_sum: Whether what is named is a monotonic sum; by default, whether the metric is a counter.
    """
    is_total = metric.instrument == "counter" if is_sum is None else is_sum
    name = _NOT_IN_A_NAME.sub("_", metric.name)
    # What stands in braces is a note, not a unit.
    unit = "" if metric.unit.startswith("{") else _UNITS.get(metric.unit, "")
    if metric.unit == "1" and metric.instrument == "gauge" and not is_total:
        unit = "ratio"
    if unit and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    return f"{name}_total" if is_total and not name.endswith("_total") else name


def label_name(attribute: str) -> str:
    """The label that an attribute of a data point becomes."""
    return _NOT_IN_A_LABEL.sub("_", attribute)
