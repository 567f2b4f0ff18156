"""The board of one model: its calls, its alerts, its data, its drift, and its features one by one."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.grafana import links, model_features, variables
from otel_ml.backends.grafana.board import Board, Row
from otel_ml.backends.grafana.panels import GREEN, GREY, ORANGE, RED, YELLOW, Column, Link, Panel, Query
from otel_ml.backends.promql import (
    ALERT,
    DIGEST,
    EACH_ALERT,
    EACH_MODEL,
    ERROR,
    FEATURE,
    MODEL,
    OPERATION,
    PREDICTION,
    REASON,
    VERSION,
    WHOLE,
    Histograms,
)

IT: Final = (f'{MODEL}="$model"', f'{VERSION}=~"$version"')
_ALL_OF_IT: Final = (*IT, WHOLE)
_STATES: Final = {"0": ("quiet", GREEN), "1": ("pending", YELLOW), "2": ("firing", RED)}
_COLUMN_OF_ALERT: Final = f"{{{{{FEATURE}}}}}{{{{{PREDICTION}}}}}"


def model(histograms: Histograms) -> Board:
    """One model, with a choice of versions and features."""
    states = promql.series(semconv.ALERT_STATE_METRIC, *IT)
    return Board(
        links.MODEL_UID,
        "ML models: one model",
        "Calls, alerts, data quality and drift of one model that otel-ml watches.",
        ("otel-ml", "machine-learning", "drift"),
        (
            variables.DATASOURCE,
            variables.TRACES,
            variables.MODEL_CHOICE,
            variables.VERSION_CHOICE,
            variables.FEATURE_CHOICE,
            variables.STATISTIC_CHOICE,
            variables.REFERENCE_CHOICE,
            variables.CONSOLE,
        ),
        (
            Row(1, "$model", _summary()),
            Row(100, "Calls", _calls(histograms)),
            Row(200, "Alerts", _alerts()),
            Row(300, "Data quality", model_features.quality(IT)),
            Row(400, "Drift", model_features.drift(IT)),
            Row(500, "Predictions", model_features.predictions(IT)),
            Row(600, "Feature $feature", model_features.one_feature(IT), repeat="feature"),
        ),
        (Link("All models", f"/d/{links.FLEET_UID}"),),
        f"max by ({EACH_ALERT}) ({states}) == {promql.FIRING}",
        f"{{{{{ALERT}}}}} {_COLUMN_OF_ALERT}",
    )


def _summary() -> tuple[Panel, ...]:
    share = promql.series(semconv.MODEL_DRIFT_SHARE, *_ALL_OF_IT)
    rows = promql.series(semconv.MODEL_ROWS, *_ALL_OF_IT)
    producers = promql.series(semconv.MODEL_PRODUCERS, *_ALL_OF_IT)
    version = f"{{{{{VERSION}}}}}"
    return (
        Panel(
            2,
            "Firing alerts",
            "Alerts of the processor that fire now. The row of alerts says which.",
            (Query(f"{promql.firing(*IT, by='')} or vector(0)"),),
            "stat",
            width=5,
            height=4,
            thresholds=((GREEN, None), (RED, 1.0)),
        ),
        Panel(
            3,
            "Drifting features",
            "Share of the model's features that drifted in the last window, by version.",
            (Query(f"max by ({EACH_MODEL}) ({share})", version),),
            "stat",
            "percentunit",
            width=5,
            height=4,
            thresholds=((GREEN, None), (YELLOW, 0.1), (RED, 0.3)),
        ),
        Panel(
            4,
            "Rows in the last window",
            "Of each version, from all replicas. Nothing is concluded from fewer than `min_rows` (200).",
            (Query(f"max by ({EACH_MODEL}) ({rows})", version),),
            "stat",
            width=5,
            height=4,
        ),
        Panel(
            5,
            "Last rows",
            "How long ago any rows of a version were merged, to the minute.",
            (Query(promql.silent_for_s(*IT), version),),
            "stat",
            "s",
            width=5,
            height=4,
            thresholds=((GREY, None), (ORANGE, 900.0), (RED, 3600.0)),
        ),
        Panel(
            6,
            "Processes",
            "That served the model in the last window. Several numbers of one version mean that replicas run different"
            " packages.",
            (
                Query(
                    f"sum by ({EACH_MODEL}, {DIGEST}) ({producers})",
                    f"{version} {{{{{DIGEST}}}}}",
                ),
            ),
            "stat",
            width=4,
            height=4,
        ),
    )


def _calls(histograms: Histograms) -> tuple[Panel, ...]:
    to_traces = (links.traces(),)
    name = f"{{{{{VERSION}}}}}"
    size = promql.series(semconv.INFERENCE_BATCH_SIZE, *IT, suffix="_sum")
    count = promql.series(semconv.INFERENCE_BATCH_SIZE, *IT, suffix="_count")
    window = promql.RATE_INTERVAL
    rows_a_call = f"sum by ({VERSION}) (rate({size}[{window}])) / sum by ({VERSION}) (rate({count}[{window}]))"
    if histograms == "native":
        sizes = promql.series(semconv.INFERENCE_BATCH_SIZE, *IT)
        rows_a_call = f"histogram_avg(sum by ({VERSION}) (rate({sizes}[{window}])))"
    return (
        Panel(
            101,
            "Calls",
            "Calls of the model by what was called, failed ones included.",
            (Query(promql.calls(histograms, *IT, by=f"{VERSION}, {OPERATION}"), f"{name} {{{{{OPERATION}}}}}"),),
            unit="reqps",
            minimum=0,
            links=to_traces,
        ),
        Panel(
            102,
            "Errors",
            "Share of the calls that raised, and of which kind.",
            (
                Query(promql.error_share(histograms, *IT, by=VERSION), name),
                Query(promql.calls(histograms, *IT, f'{ERROR}!=""', by=ERROR), f"{{{{{ERROR}}}}} (calls/s)"),
            ),
            unit="percentunit",
            minimum=0,
            links=to_traces,
        ),
        Panel(
            103,
            "Duration",
            "Of the calls of the model, without the web server around it. Read from a histogram, so as exact as its"
            " buckets. The link in the corner leads to single calls.",
            tuple(
                Query(
                    promql.latency(quantile, histograms, *IT, by=VERSION),
                    f"{name} p{quantile * 100:g}",
                    exemplars=True,
                )
                for quantile in (0.5, 0.95, 0.99)
            ),
            unit="s",
            minimum=0,
            links=to_traces,
        ),
        Panel(
            104,
            "Rows in a call",
            "Mean number of rows in a call: batching, seen from the model.",
            (Query(rows_a_call, name),),
            minimum=0,
        ),
        Panel(
            105,
            "Running calls",
            "Calls that have begun and not ended.",
            (Query(f"sum by ({VERSION}) ({promql.series(semconv.INFERENCE_ACTIVE, *IT)})", name),),
            minimum=0,
        ),
        Panel(
            106,
            "Rows merged, and let go",
            "Rows whose summaries reached the processor, and rows that servers let go unseen so that serving does not"
            " wait, by reason.",
            (
                Query(promql.rate(semconv.PROCESSOR_ROWS, *IT, by=VERSION), f"{name} merged"),
                Query(
                    promql.rate(semconv.INFERENCE_DROPPED, *IT, by=f"{VERSION}, {REASON}"),
                    f"{name} let go: {{{{{REASON}}}}}",
                ),
            ),
            unit="rows/s",
            minimum=0,
        ),
    )


def _alerts() -> tuple[Panel, ...]:
    states = f"max by ({EACH_ALERT}) ({promql.series(semconv.ALERT_STATE_METRIC, *IT)})"
    model_cell, version, feature = links.cell("Model"), links.cell("Version"), links.cell("Feature")
    return (
        Panel(
            201,
            "Alerts over time",
            "Every alert of the processor that ever left quiet. It fires when the effect is big, significant and"
            " unusual for the time in 2 of 3 windows, and resolves lower than it fired. Only alerts of the whole carry"
            " no segment.",
            (Query(states, f"{{{{{ALERT}}}}} {_COLUMN_OF_ALERT} {{{{{promql.SEGMENT}}}}}"),),
            "state-timeline",
            "none",
            width=14,
            height=10,
            thresholds=((GREEN, None), (YELLOW, 1.0), (RED, 2.0)),
            mappings=_STATES,
            # Of predictions and of the whole, too, which have no page of a feature.
            data_links=links.CONSOLE_OF_SERIES,
        ),
        Panel(
            202,
            "Firing now",
            "What fires, and on which column. Click a feature to compare its distributions; the event `ml.alert` in"
            " your logs says in one sentence why.",
            (Query(f"{states} == {promql.FIRING}", is_instant=True),),
            "table",
            "none",
            width=10,
            height=10,
            columns=(
                Column(ALERT, "Alert"),
                Column(
                    FEATURE,
                    "Feature",
                    links=(
                        links.console_feature(model_cell, version, feature),
                        links.board_of_model(model_cell, version, feature),
                    ),
                ),
                Column(PREDICTION, "Prediction"),
                Column(promql.SEGMENT, "Segment"),
                Column(MODEL, "Model"),
                Column(VERSION, "Version"),
            ),
        ),
    )
