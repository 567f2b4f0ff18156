"""Data points in the text format that Prometheus scrapes (version 0.0.4), named as OpenTelemetry names them there.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from collector_processor.component import AttributeValue, Point
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.semconv import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def exposition(points: Iterable[Point]) -> bytes:
    """Everything there is to scrape; of points with the same name and attributes, the last."""
    metrics: dict[str, Metric] = {}
    samples: dict[str, dict[str, str]] = {}
    for point in points:
        is_sum = point.start_time_unix_nano is not None
        name = metric_name(point.metric, is_sum=is_sum)
        metrics.setdefault(name, point.metric)
        labels = ",".join(
            f'{label_name(key)}="{_text(value).translate(_ESCAPES)}"' for key, value in sorted(point.attributes.items())
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
