"""Alerts that Prometheus decides by itself, from scores and ratios: for those who keep their thresholds there.

The processor's own alerts know more: significance over all columns, and what is usual at the time. These know a score,
the number of rows, and whether they fired a minute ago. They fire above one threshold and resolve below another one, so
that a score around either does not make them flap.
"""

from __future__ import annotations

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.prometheus.rule import PERCENT, SUBJECT, Alert, Group, RuleOptions, label
from otel_ml.backends.promql import EACH_FEATURE, EACH_MODEL, EACH_PREDICTION, FEATURE, PREDICTION, REFERENCE, WHOLE

_SCORE = '{{ $value | printf "%.2f" }}'
_BASELINE = f'{REFERENCE}="baseline"'


def thresholds(options: RuleOptions) -> Group:
    """Drift and missing values by thresholds with hysteresis."""
    of_feature = promql.feature_drift(options.statistic, _BASELINE, WHOLE)
    of_prediction = promql.series(semconv.prediction_drift(options.statistic), _BASELINE, WHOLE)
    missing = promql.series(semconv.FEATURE_MISSING_RATIO, WHOLE)
    on, off = options.fires_above, options.clears_below
    return Group(
        "otel-ml-thresholds",
        (
            Alert(
                "MLFeatureDriftThreshold",
                _between("MLFeatureDriftThreshold", of_feature, EACH_FEATURE, on, off, options.min_rows),
                "info",
                f"{SUBJECT}: {options.statistic} of {label(FEATURE)} is {_SCORE}",
                f"It rose above {on:g}, and resolves below {off:g}, over windows of {options.min_rows} rows and more.",
                options.hold,
                is_of_feature=True,
            ),
            Alert(
                "MLPredictionDriftThreshold",
                _between("MLPredictionDriftThreshold", of_prediction, EACH_PREDICTION, on, off, options.min_rows),
                "ticket",
                f"{SUBJECT}: {options.statistic} of {label(PREDICTION)} is {_SCORE}",
                f"It rose above {on:g}, and resolves below {off:g}, over windows of {options.min_rows} rows and more.",
                options.hold,
            ),
            Alert(
                "MLMissingThreshold",
                _between(
                    "MLMissingThreshold",
                    missing,
                    EACH_FEATURE,
                    options.missing_above,
                    options.missing_above / 2,
                    options.min_rows,
                ),
                "ticket",
                f"{SUBJECT}: {label(FEATURE)} is missing in {PERCENT} of rows",
                f"It rose above {options.missing_above:g}, and resolves below {options.missing_above / 2:g}.",
                options.hold,
                is_of_feature=True,
            ),
        ),
    )


def _between(alert: str, selector: str, by: str, on: float, off: float, min_rows: int) -> str:
    score = f"max by ({by}) ({selector})"
    rows = f"max by ({EACH_MODEL}) ({promql.series(semconv.MODEL_ROWS, WHOLE)}) >= {min_rows}"
    fired = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    return f"({score} > {on:g} and on ({EACH_MODEL}) {rows})\nor\n({score} > {off:g} and on ({by}) {fired})"
