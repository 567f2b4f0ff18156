"""Data points in the text format that Prometheus scrapes (version 0.0.4), named as OpenTelemetry names them there.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

from collector_processor.component import AttributeValue, Point
from otel_ml.semconv import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_UNITS: Final = {"By": "bytes", "s": "seconds", "ms": "milliseconds", "d": "days", "h": "hours", "min": "minutes"}
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_IN_A_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def exposition(points: Iterable[Point]) -> bytes:
    """Everything there is to scrape; of points with the same name and attributes, the last."""
    metrics: dict[str, Metric] = {}
    samples: dict[str, dict[str, str]] = {}
    for point in points:
        is_sum = point.start_time_unix_nano is not None
        name = _name(point.metric, is_sum=is_sum)
        metrics.setdefault(name, point.metric)
        labels = ",".join(
            f'{_NOT_IN_A_LABEL.sub("_", key)}="{_text(value).translate(_ESCAPES)}"'
            for key, value in sorted(point.attributes.items())
        )
        samples.setdefault(name, {})[labels] = _number(point.value)
    lines: list[str] = []
    for name in sorted(samples):
        # A quotation mark is escaped in a label only.
        lines.append(f"# HELP {name} " + metrics[name].description.replace("\\", "\\\\").replace("\n", "\\n"))
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        lines += (
            f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in samples[name].items()
        )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _name(metric: Metric, *, is_sum: bool) -> str:
    name = _NOT_IN_A_NAME.sub("_", metric.name)
    # What stands in braces is a note, not a unit.
    unit = "" if metric.unit.startswith("{") else _UNITS.get(metric.unit, "")
    if metric.unit == "1" and not is_sum:
        unit = "ratio"
    if unit and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    return f"{name}_total" if is_sum and not name.endswith("_total") else name


def _text(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if math.isfinite(value) else ("+Inf" if value > 0 else "-Inf")
