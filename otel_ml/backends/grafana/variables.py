"""Variables that boards share: a name means the same on both, so that links may carry its value."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.grafana.board import Choice, DataSource, LabelValues, TextBox
from otel_ml.backends.promql import FEATURE, MODEL, REFERENCE, VERSION

CONSOLE_URL: Final = "http://127.0.0.1:13180"

DATASOURCE: Final = DataSource("datasource", "Metrics", "prometheus", "Prometheus, or what speaks its language.")
TRACES: Final = DataSource("traces", "Traces", "tempo", "Where spans go; links to calls of a model lead there.")
CONSOLE: Final = TextBox(
    "console", "Console", "Address of the processor's own console, where links to distributions lead.", CONSOLE_URL
)
MODEL_CHOICE: Final = LabelValues("model", "Model", "The model to look at.", promql.series(semconv.MODEL_ROWS), MODEL)
VERSION_CHOICE: Final = LabelValues(
    "version",
    "Version",
    "Versions of the model.",
    promql.series(semconv.MODEL_ROWS, f'{MODEL}="$model"'),
    VERSION,
    is_multi=True,
    is_all_offered=True,
)
# Without "All": a row is repeated for each, and a model may have a thousand.
FEATURE_CHOICE: Final = LabelValues(
    "feature",
    "Features",
    "Features to look at one by one, at the end of the board.",
    promql.series(semconv.FEATURE_MISSING_RATIO, f'{MODEL}="$model"', f'{VERSION}=~"$version"'),
    FEATURE,
    is_multi=True,
)
STATISTIC_CHOICE: Final = Choice(
    "statistic",
    "Statistic",
    "How drift is measured. ks and wasserstein are for numbers only.",
    ("psi", "jensen_shannon", "hellinger", "chi_squared", "ks", "wasserstein"),
)
REFERENCE_CHOICE: Final = LabelValues(
    "reference",
    "Compared with",
    "What a window was compared with: the training data, the same time of another day, or the stable version.",
    promql.drift_by_any_statistic(f'{MODEL}="$model"'),
    REFERENCE,
)
