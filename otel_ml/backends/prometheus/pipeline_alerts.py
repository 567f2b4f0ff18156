"""Alerts about what watches the models: whether anything is lost between servers, processors and backends."""

from __future__ import annotations

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.prometheus.rule import PERCENT, Alert, Group, label
from otel_ml.backends.promql import EXPORTER, MODEL, OUTCOME, REASON, SIGNAL, TASK, VERSION

_WINDOW = "15m"
_NUMBER = "{{ $value | humanize }}"
_IN_ORDER = "merged|amended|duplicate"


def pipeline() -> Group:
    """What every processor counts of itself."""
    log = f"{promql.series(semconv.PROCESSOR_LOG_SIZE)} / {promql.series(semconv.PROCESSOR_LOG_LIMIT)}"
    used = f"max by (job, instance) ({log})"
    missing = f"sum (increase({promql.series(semconv.PROCESSOR_SNAPSHOTS_MISSING)}[1h]))"
    snapshots = f"sum (increase({promql.series(semconv.PROCESSOR_SNAPSHOTS)}[1h]))"
    pending = f"sum by ({EXPORTER}, {SIGNAL}) ({promql.series(semconv.PROCESSOR_PENDING)})"
    return Group(
        "otel-ml-pipeline",
        (
            Alert(
                "MLProcessorDropped",
                promql.rises(semconv.PROCESSOR_DROPPED, by=f"{SIGNAL}, {EXPORTER}, {REASON}", window=_WINDOW),
                "page",
                f"{_NUMBER} {label(SIGNAL)} dropped: {label(REASON)}",
                f"A processor has lost items for good on the way to {label(EXPORTER)}.",
                is_of_model=False,
            ),
            Alert(
                "MLExporterBlocked",
                f"max by ({EXPORTER}) ({promql.series(semconv.PROCESSOR_BLOCKED)}) == 1",
                "page",
                f"{label(EXPORTER)} does not accept our credentials",
                "Nothing reaches this backend. The log keeps everything until it is full; then clients are sent away.",
                "5m",
                is_of_model=False,
            ),
            Alert(
                "MLProcessorLogNearlyFull",
                f"{used} > 0.8",
                "page",
                f"The log of {label('instance')} is {PERCENT} full",
                "From 95 % on a processor asks its clients to come back later; what they cannot keep is lost.",
                "5m",
                is_of_model=False,
            ),
            Alert(
                "MLProcessorLogFilling",
                f"{used} > 0.5",
                "ticket",
                f"The log of {label('instance')} is {PERCENT} full",
                "A backend takes less than arrives, or is away.",
                _WINDOW,
                is_of_model=False,
            ),
            Alert(
                "MLProcessorBehind",
                f"min_over_time(({pending})[30m:1m]) > 0\nand\nderiv(({pending})[30m:1m]) > 0",
                "ticket",
                f"{_NUMBER} {label(SIGNAL)} and more have waited for {label(EXPORTER)} for half an hour",
                "The backlog of this exporter has not been empty for half an hour and grows.",
                "5m",
                is_of_model=False,
            ),
            Alert(
                "MLProcessorRefusing",
                promql.rises(semconv.PROCESSOR_REFUSED, by=f"{SIGNAL}, {REASON}", window=_WINDOW),
                "ticket",
                f"{_NUMBER} requests refused: {label(REASON)}",
                "A processor did not take requests over. Clients that can will send them again; the reason says which.",
                is_of_model=False,
            ),
            Alert(
                "MLDeadLetters",
                promql.rises(semconv.PROCESSOR_DEAD_LETTERS, by=OUTCOME, window=_WINDOW),
                "ticket",
                f"{_NUMBER} dead letters {label(OUTCOME)}",
                "Requests that no backend takes were put aside: kept waits for you, evicted and failed are lost.",
                is_of_model=False,
            ),
            Alert(
                "MLSnapshotsMissing",
                f"{missing} / {snapshots} > 0.01",
                "ticket",
                f"{PERCENT} of snapshots never arrived",
                "Producers number their snapshots, and there are gaps: rows are lost between servers and processor.",
                _WINDOW,
                is_of_model=False,
            ),
            Alert(
                "MLSnapshotsRejected",
                promql.rises(semconv.PROCESSOR_SNAPSHOTS, f'{OUTCOME}!~"{_IN_ORDER}"', by=OUTCOME, window=_WINDOW),
                "ticket",
                f"{_NUMBER} snapshots not merged: {label(OUTCOME)}",
                "They were late, from the future, or could not be read; their rows are in no window.",
                is_of_model=False,
            ),
            Alert(
                "MLRowsLate",
                promql.rises(semconv.PROCESSOR_ROWS_LATE, by=f"{MODEL}, {VERSION}", window=_WINDOW),
                "info",
                f"{label(MODEL)} {label(VERSION)}: {_NUMBER} rows came too late",
                "Their window was closed for good. They were put aside as dead letters.",
            ),
            Alert(
                "MLResultsNotSent",
                promql.rises(
                    semconv.PROCESSOR_RESULTS,
                    f'{OUTCOME}!="sent"',
                    by=f"{SIGNAL}, {EXPORTER}, {OUTCOME}",
                    window=_WINDOW,
                ),
                "ticket",
                f"{_NUMBER} results for {label(EXPORTER)}: {label(OUTCOME)}",
                "Scores, alerts or metrics that a processor made did not reach this backend.",
                is_of_model=False,
            ),
            Alert(
                "MLProcessorErrors",
                promql.rises(semconv.PROCESSOR_ERRORS, by=TASK, window=_WINDOW),
                "ticket",
                f"{_NUMBER} failures of the processor's task {label(TASK)}",
                "Failures of our own that were caught. The first of each kind is in the processor's log.",
                is_of_model=False,
            ),
            Alert(
                "MLNoBaseline",
                promql.rises(semconv.PROCESSOR_WINDOWS, f'{OUTCOME}="no_baseline"', by=OUTCOME, window="1h"),
                "info",
                f"{_NUMBER} windows of models without a baseline",
                "Rows arrive that nothing is compared with.",
                is_of_model=False,
            ),
            Alert(
                "MLOverLimits",
                f"{promql.rises(semconv.PROCESSOR_OVERFLOW, by=REASON, window=_WINDOW)}\nor\n"
                f"{promql.rises(semconv.PROCESSOR_FEATURES_DROPPED, by=REASON, window=_WINDOW)}",
                "info",
                f"{_NUMBER} beyond a limit: {label(REASON)}",
                "More models, columns or segments than the processor's limits allow: they are counted together, as"
                " _OTHER.",
                is_of_model=False,
            ),
        ),
    )
