"""The board of all models: which one to look at first, and whether what watches them works."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.grafana import links
from otel_ml.backends.grafana.board import Board, Row
from otel_ml.backends.grafana.panels import GREEN, GREY, ORANGE, RED, YELLOW, Column, Panel, Query
from otel_ml.backends.grafana.variables import CONSOLE, DATASOURCE, TRACES
from otel_ml.backends.promql import EACH_MODEL, MODEL, VERSION, WHOLE, Histograms

_NAME: Final = f"{{{{{MODEL}}}}} {{{{{VERSION}}}}}"
_IS_BAD: Final = ((GREEN, None), (RED, 1.0))
_SHARE: Final = ((GREEN, None), (YELLOW, 0.1), (RED, 0.3))
_OUT_OF_ORDER: Final = f'{promql.OUTCOME}!~"merged|amended|duplicate"'


def fleet(histograms: Histograms) -> Board:
    """All models, worst first, and the processors behind them."""
    return Board(
        links.FLEET_UID,
        "ML models: fleet",
        "All models that otel-ml watches, worst first, and the processors that watch them.",
        ("otel-ml", "machine-learning", "drift"),
        (DATASOURCE, TRACES, CONSOLE),
        (
            Row(1, "Models, worst first", (*_summary(), _models(histograms))),
            Row(100, "Over time", _over_time(histograms)),
            Row(200, "Processors", _processors()),
        ),
    )


def _summary() -> tuple[Panel, ...]:
    rows = promql.series(semconv.MODEL_ROWS, WHOLE)
    known = f"max by ({MODEL}) (last_over_time({rows}[6h]))"
    with_rows = f"sum by ({MODEL}) (increase({promql.series(semconv.PROCESSOR_ROWS)}[15m])) > 0"
    share = promql.series(semconv.MODEL_DRIFT_SHARE, WHOLE)
    return (
        Panel(
            2,
            "Models",
            "Versions of models that sent rows within the last few windows.",
            (Query(f"count(count by ({EACH_MODEL}) ({rows}))"),),
            "stat",
            width=6,
            height=4,
        ),
        Panel(
            3,
            "Firing alerts",
            "Alerts of the processor that fire now, of all models and columns. The table below says whose they are.",
            (Query(f"{promql.firing(by='')} or vector(0)"),),
            "stat",
            width=6,
            height=4,
            thresholds=_IS_BAD,
        ),
        Panel(
            4,
            "Models gone silent",
            "Models that had rows within six hours, and none in the last 15 minutes: nobody asks them, or their"
            " telemetry is lost on the way.",
            (Query(f"count({known} unless {with_rows}) or vector(0)"),),
            "stat",
            width=6,
            height=4,
            thresholds=((GREEN, None), (ORANGE, 1.0)),
        ),
        Panel(
            5,
            "Highest share of drifting features",
            "Of the worst model in its last window. One feature that drifts is a finding about it; many at once usually"
            " are one change upstream.",
            (Query(f"max({share})"),),
            "stat",
            unit="percentunit",
            width=6,
            height=4,
            thresholds=_SHARE,
        ),
    )


def _models(histograms: Histograms) -> Panel:
    model, version = links.cell("Model"), links.cell("Version")
    return Panel(
        10,
        "Models",
        "A line for each version of a model. Firing: alerts of the processor. Drifting: share of its features in the"
        " last window. Rows: merged into that window. p95 and errors: of the calls themselves. Last rows: how long ago"
        " any were merged. Click a name to see why.",
        (
            Query(promql.firing(by=EACH_MODEL), is_instant=True),
            Query(f"max by ({EACH_MODEL}) ({promql.series(semconv.MODEL_DRIFT_SHARE, WHOLE)})", is_instant=True),
            Query(f"max by ({EACH_MODEL}) ({promql.series(semconv.MODEL_ROWS, WHOLE)})", is_instant=True),
            Query(promql.latency(0.95, histograms, by=EACH_MODEL), is_instant=True),
            Query(promql.error_share(histograms, by=EACH_MODEL), is_instant=True),
            Query(promql.silent_for_s(), is_instant=True),
        ),
        "table",
        width=24,
        height=10,
        columns=(
            Column(
                MODEL,
                "Model",
                links=(links.board_of_model(model, version), links.console_model(model, version)),
                width=280,
            ),
            Column(VERSION, "Version"),
            Column("Value #A", "Firing", "none", _IS_BAD),
            Column("Value #B", "Drifting", "percentunit", _SHARE),
            Column("Value #C", "Rows", "short"),
            Column("Value #D", "p95", "s"),
            Column("Value #E", "Errors", "percentunit", ((GREEN, None), (YELLOW, 0.01), (RED, 0.05))),
            Column("Value #F", "Last rows", "s", ((GREY, None), (ORANGE, 900.0), (RED, 3600.0))),
        ),
        worst_first=("Firing", "Drifting"),
    )


def _over_time(histograms: Histograms) -> tuple[Panel, ...]:
    share = promql.series(semconv.MODEL_DRIFT_SHARE, WHOLE)
    to_model = links.SERIES_OF_MODEL
    return (
        Panel(
            101,
            "Share of drifting features",
            "Of each model's last window. A step in several models at the same time points to what they have in"
            " common.",
            (Query(f"max by ({EACH_MODEL}) ({share})", _NAME),),
            unit="percentunit",
            minimum=0,
            data_links=to_model,
        ),
        Panel(
            102,
            "Firing alerts",
            "Alerts of the processor that fire, by model.",
            (Query(promql.firing(by=EACH_MODEL), _NAME),),
            minimum=0,
            decimals=0,
            data_links=to_model,
        ),
        Panel(
            103,
            "Rows merged",
            "Rows whose summaries reached a processor. Steps follow the interval at which servers send.",
            (Query(promql.rate(semconv.PROCESSOR_ROWS, by=EACH_MODEL), _NAME),),
            unit="rows/s",
            minimum=0,
            data_links=to_model,
        ),
        Panel(
            104,
            "Calls",
            "Calls of each model, failed ones included.",
            (Query(promql.calls(histograms, by=EACH_MODEL), _NAME),),
            unit="reqps",
            minimum=0,
            data_links=to_model,
        ),
        Panel(
            105,
            "Duration, p95",
            "95 of 100 calls took no longer than this. It is read from a histogram, so it is as exact as its buckets.",
            (Query(promql.latency(0.95, histograms, by=EACH_MODEL), _NAME, exemplars=True),),
            unit="s",
            minimum=0,
            data_links=to_model,
        ),
        Panel(
            106,
            "Errors",
            "Share of the calls that raised.",
            (Query(promql.error_share(histograms, by=EACH_MODEL), _NAME),),
            unit="percentunit",
            minimum=0,
            data_links=to_model,
        ),
    )


def _processors() -> tuple[Panel, ...]:
    exporter, signal = promql.EXPORTER, promql.SIGNAL
    log_size = promql.series(semconv.PROCESSOR_LOG_SIZE)
    log_limit = promql.series(semconv.PROCESSOR_LOG_LIMIT)
    outcome = f"{{{{{promql.OUTCOME}}}}}"
    by_reason = f"{{{{{signal}}}}} {{{{{promql.REASON}}}}}"
    return (
        Panel(
            201,
            "Received",
            "Spans, data points and log records that processors took over.",
            (Query(promql.rate(semconv.PROCESSOR_RECEIVED, by=signal), f"{{{{{signal}}}}}"),),
            unit="cps",
            minimum=0,
        ),
        Panel(
            202,
            "Waiting for a backend",
            "Items in the log that an exporter has not delivered yet. Growth over minutes means that its backend does"
            " not keep up, or is away; nothing is lost before the log is full.",
            (
                Query(
                    f"sum by ({exporter}, {signal}) ({promql.series(semconv.PROCESSOR_PENDING)})",
                    f"{{{{{exporter}}}}} {{{{{signal}}}}}",
                ),
            ),
            minimum=0,
        ),
        Panel(
            203,
            "Log used",
            "Bytes that wait on disk, of those the log may have. From 95 % on clients are asked to come back.",
            (Query(f"max by (job, instance) ({log_size} / {log_limit})", "{{instance}}"),),
            unit="percentunit",
            minimum=0,
            maximum=1,
            thresholds=((GREEN, None), (ORANGE, 0.5), (RED, 0.8)),
            is_limit_drawn=True,
        ),
        Panel(
            204,
            "Lost or put aside",
            "Items dropped and requests refused, by reason, and requests that became dead letters. All of it should"
            " stay at zero; `otel-ml dead-letters` shows what was put aside.",
            (
                Query(promql.rate(semconv.PROCESSOR_DROPPED, by=f"{signal}, {promql.REASON}"), f"dropped {by_reason}"),
                Query(promql.rate(semconv.PROCESSOR_REFUSED, by=f"{signal}, {promql.REASON}"), f"refused {by_reason}"),
                Query(promql.rate(semconv.PROCESSOR_DEAD_LETTERS, by=promql.OUTCOME), f"dead letters {outcome}"),
            ),
            unit="cps",
            minimum=0,
        ),
        Panel(
            205,
            "Snapshots",
            "By what became of them. Merged, amended and duplicate are in order; the others were late, or could not be"
            " read. Missing: gaps in the numbering of a producer, lost on the way here.",
            (
                Query(promql.rate(semconv.PROCESSOR_SNAPSHOTS, by=promql.OUTCOME), outcome),
                Query(promql.rate(semconv.PROCESSOR_SNAPSHOTS_MISSING), "missing"),
            ),
            unit="cps",
            minimum=0,
        ),
        Panel(
            206,
            "Windows",
            "Windows that closed, by outcome: evaluated and revised gave results; the others had too few rows or no"
            " baseline.",
            (Query(promql.rate(semconv.PROCESSOR_WINDOWS, by=promql.OUTCOME), outcome),),
            unit="cps",
            minimum=0,
        ),
        Panel(
            207,
            "Blocked exporters",
            "1 while a backend does not accept our credentials. Nothing is lost meanwhile, and nothing arrives.",
            (
                Query(
                    f"max by ({exporter}) ({promql.series(semconv.PROCESSOR_BLOCKED)})",
                    f"{{{{{exporter}}}}}",
                ),
            ),
            "stat",
            thresholds=_IS_BAD,
        ),
        Panel(
            208,
            "Errors",
            "Failures within the processors that were caught, by task; the first of each kind is in their log. Beside"
            " them results that could not be sent, and columns and snapshots beyond a limit.",
            (
                Query(promql.rate(semconv.PROCESSOR_ERRORS, by=promql.TASK), f"{{{{{promql.TASK}}}}}"),
                Query(
                    promql.rate(semconv.PROCESSOR_RESULTS, f'{promql.OUTCOME}!="sent"', by=promql.OUTCOME),
                    f"results {outcome}",
                ),
                Query(promql.rate(semconv.PROCESSOR_OVERFLOW, by=promql.REASON), f"overflow {{{{{promql.REASON}}}}}"),
                Query(
                    promql.rate(semconv.PROCESSOR_FEATURES_DROPPED, by=promql.REASON),
                    f"columns dropped {{{{{promql.REASON}}}}}",
                ),
            ),
            unit="cps",
            minimum=0,
        ),
        Panel(
            209,
            "Snapshots out of order",
            "Share of the snapshots that were neither merged nor known already.",
            (
                Query(
                    f"({promql.rate(semconv.PROCESSOR_SNAPSHOTS, _OUT_OF_ORDER)} or vector(0))"
                    f" / {promql.rate(semconv.PROCESSOR_SNAPSHOTS)}",
                    "out of order",
                ),
            ),
            unit="percentunit",
            minimum=0,
        ),
    )
