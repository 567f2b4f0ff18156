"""The rows of a model's board that are about its columns: quality, drift, predictions, and one feature at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.grafana import links
from otel_ml.backends.grafana.panels import GREEN, RED, YELLOW, Panel, Query
from otel_ml.backends.promql import (
    ALERT,
    EACH_FEATURE,
    EACH_MODEL,
    EACH_PREDICTION,
    FEATURE,
    PREDICTION,
    REFERENCE,
    VERSION,
    WHOLE,
)
from otel_ml.semconv import Metric

BASELINE: Final = f'{REFERENCE}="baseline"'
CHOSEN: Final = f'{REFERENCE}="$reference"'

_NAME: Final = f"{{{{{FEATURE}}}}} {{{{{VERSION}}}}}"
_PREDICTION_NAME: Final = f"{{{{{PREDICTION}}}}} {{{{{VERSION}}}}}"
_QUALITY: Final[Sequence[tuple[int, Metric, str, str]]] = (
    (301, semconv.FEATURE_MISSING_RATIO, "Missing", "Share of rows without the feature: null, NaN, or absent."),
    (302, semconv.FEATURE_OUT_OF_RANGE_RATIO, "Out of range", "Share of values outside the training data's range."),
    (
        303,
        semconv.FEATURE_UNSEEN_CATEGORY_RATIO,
        "Unseen categories",
        "Share of values whose category the training data does not have.",
    ),
    (304, semconv.FEATURE_TYPE_MISMATCH_RATIO, "Of another kind", "Share of rows in which a number was text, say."),
    (305, semconv.FEATURE_INFINITE_RATIO, "Infinite", "Share of rows in which a number was infinite."),
)
_STATISTICS: Final = ("psi", "jensen_shannon", "hellinger", "chi_squared", "ks", "wasserstein")
_JOINT: Final = ("correlation", "covariance", "mahalanobis", "pca_reconstruction")
_DRIFT_STEPS: Final = ((GREEN, None), (YELLOW, 0.1), (RED, 0.2))


def _each_feature(metric: Metric, *matchers: str) -> str:
    return f"max by ({EACH_FEATURE}) ({promql.series(metric, *matchers, WHOLE)})"


def _each_prediction(metric: Metric, *matchers: str) -> str:
    return f"max by ({EACH_PREDICTION}) ({promql.series(metric, *matchers, WHOLE)})"


def quality(it: Sequence[str]) -> tuple[Panel, ...]:
    """Shares of bad values, of all features."""
    of_features = tuple(
        Panel(
            id_,
            title,
            f"{description} Only features in which there are some are drawn. An alert compares it with the baseline's"
            " own.",
            # A hundred lines at zero hide the one that is not.
            (Query(f"{_each_feature(metric, *it)} > 0", _NAME),),
            unit="percentunit",
            minimum=0,
            data_links=links.SERIES_OF_FEATURE,
        )
        for id_, metric, title, description in _QUALITY
    )
    of_predictions = Panel(
        306,
        "Predictions",
        "The same of what the model answers: missing, and out of the range it had in training.",
        (
            Query(
                _each_prediction(semconv.of_prediction(semconv.FEATURE_MISSING_RATIO), *it),
                f"{_PREDICTION_NAME} missing",
            ),
            Query(
                _each_prediction(semconv.of_prediction(semconv.FEATURE_OUT_OF_RANGE_RATIO), *it),
                f"{_PREDICTION_NAME} out of range",
            ),
        ),
        unit="percentunit",
        minimum=0,
    )
    return (*of_features, of_predictions)


def drift(it: Sequence[str]) -> tuple[Panel, ...]:
    """How far columns moved: all features, predictions, and features together."""
    of_features = promql.feature_drift("${statistic}", *it, CHOSEN, WHOLE)
    share = promql.series(semconv.MODEL_DRIFT_SHARE, *it, WHOLE)
    classifier = promql.series(semconv.MODEL_DRIFT_CLASSIFIER, *it)
    importance = promql.series(semconv.FEATURE_DRIFT_IMPORTANCE, *it)
    return (
        Panel(
            401,
            "Features over time",
            "A line for each feature, a colour for how far it moved by the chosen statistic: red from 0.2 on, where"
            " PSI calls it drift. The processor also asks for significance and for what is usual at the time, so red"
            " alone is no alert.",
            (Query(f"max by ({EACH_FEATURE}) ({of_features})", _NAME),),
            "status-history",
            "none",
            width=24,
            height=12,
            decimals=2,
            thresholds=_DRIFT_STEPS,
            data_links=links.SERIES_OF_FEATURE,
        ),
        Panel(
            402,
            "Share of drifting features",
            "Features that moved significantly in the window. Many at once usually are one change upstream.",
            (Query(f"max by ({EACH_MODEL}) ({share})", f"{{{{{VERSION}}}}}"),),
            unit="percentunit",
            minimum=0,
        ),
        Panel(
            403,
            "Predictions",
            "How far the model's answers moved from those it gave on the training data.",
            tuple(
                Query(_each_prediction(semconv.prediction_drift(name), *it, BASELINE), f"{_PREDICTION_NAME} {name}")
                for name in _STATISTICS[:3]
            ),
            minimum=0,
            thresholds=_DRIFT_STEPS,
        ),
        Panel(
            404,
            "Features together",
            "How far numeric features stopped going together as they did, which no feature shows alone.",
            tuple(
                Query(
                    f"max by ({EACH_MODEL}) ({promql.series(semconv.model_drift(name), *it, BASELINE, WHOLE)})",
                    f"{name} {{{{{VERSION}}}}}",
                )
                for name in _JOINT
            ),
            minimum=0,
        ),
        Panel(
            405,
            "Classifier",
            "How well a classifier tells the window's rows from the training data's: 0.5 is chance. Only where servers"
            " and baseline hold rows.",
            (Query(f"max by ({EACH_MODEL}) ({classifier})", f"{{{{{VERSION}}}}}"),),
            minimum=0.5,
            maximum=1,
        ),
        Panel(
            406,
            "What the classifier goes by",
            "Share of each feature in what it tells the rows apart by; nothing where chance explains its score.",
            (Query(f"max by ({EACH_FEATURE}) ({importance})", _NAME),),
            unit="percentunit",
            minimum=0,
            data_links=links.SERIES_OF_FEATURE,
        ),
    )


def predictions(it: Sequence[str]) -> tuple[Panel, ...]:
    """What the model answers."""
    label, of_class = promql.TRUE_LABEL, promql.PREDICTED_LABEL
    by = f"{VERSION}, {PREDICTION}"
    return (
        Panel(
            501,
            "Predictions",
            "Predictions made, by label where they are classes; the rarest share `_OTHER`.",
            (
                Query(
                    promql.rate(semconv.PREDICTIONS, *it, by=f"{by}, {of_class}"),
                    f"{_PREDICTION_NAME} {{{{{of_class}}}}}",
                ),
            ),
            unit="cps",
            minimum=0,
        ),
        Panel(
            502,
            "Values",
            "Median and tails of numeric predictions. Diamonds are requests that stand out; they lead to their trace.",
            _quantiles(semconv.PREDICTION_VALUE, *it, by=by, name=_PREDICTION_NAME),
        ),
        Panel(
            503,
            "Scores",
            "Median and tails of probabilities and decision values.",
            _quantiles(semconv.PREDICTION_SCORE, *it, by=by, name=_PREDICTION_NAME),
        ),
        Panel(
            504,
            "Labels, as the predictions tell",
            "Share of the rows that are likely to have each label, with its 95 % bounds. Needs a baseline that was"
            " built with --labels.",
            tuple(
                Query(
                    f"max by ({by}, {label}) ({promql.series(metric, *it, WHOLE)})",
                    f"{{{{{label}}}}}{bound}",
                )
                for metric, bound in (
                    (semconv.LABEL_SHARE, ""),
                    (semconv.LABEL_SHARE_LOWER, " (at least)"),
                    (semconv.LABEL_SHARE_UPPER, " (at most)"),
                )
            ),
            unit="percentunit",
            minimum=0,
            maximum=1,
        ),
    )


def one_feature(it: Sequence[str]) -> tuple[Panel, ...]:
    """All there is to say of one feature; the row is repeated for each that is chosen."""
    of_it = (*it, f'{FEATURE}=~"$feature"')
    scores = promql.feature_drift("${statistic}", *of_it, WHOLE)
    states = promql.series(semconv.ALERT_STATE_METRIC, *of_it)
    by = f"{VERSION}, {FEATURE}"
    return (
        Panel(
            601,
            "Drift from the training data",
            "By every statistic. They do not share a scale: look at which of them move, and when.",
            tuple(
                Query(_each_feature(semconv.feature_drift(name), *of_it, BASELINE), f"{name} {{{{{VERSION}}}}}")
                for name in _STATISTICS
            ),
            width=6,
            minimum=0,
            data_links=links.SERIES_OF_FEATURE,
        ),
        Panel(
            602,
            "Drift by reference",
            "By the chosen statistic, beside each thing it was compared with. Unlike the training data and like"
            " yesterday means that it changed some time ago, or that it is the hour.",
            (
                Query(
                    f"max by ({EACH_FEATURE}, {REFERENCE}) ({scores})",
                    f"{{{{{REFERENCE}}}}} {{{{{VERSION}}}}}",
                ),
            ),
            width=6,
            minimum=0,
            thresholds=_DRIFT_STEPS,
            is_limit_drawn=True,
            data_links=links.SERIES_OF_FEATURE,
        ),
        Panel(
            603,
            "Bad values",
            "Shares of rows in which this feature was missing, out of range, unseen, of another kind or infinite.",
            tuple(
                Query(_each_feature(metric, *of_it), f"{title.lower()} {{{{{VERSION}}}}}")
                for _, metric, title, _ in _QUALITY
            ),
            width=6,
            unit="percentunit",
            minimum=0,
        ),
        Panel(
            604,
            "Values",
            "Median and tails of a numeric feature; nothing for others. Diamonds are requests that stand out; they"
            " lead to their trace.",
            _quantiles(semconv.FEATURE_VALUE, *of_it, by=by, name=f"{{{{{VERSION}}}}}"),
            width=6,
        ),
        Panel(
            605,
            "Alerts",
            "Where each alert of this feature stood.",
            (Query(f"max by ({EACH_FEATURE}, {ALERT}) ({states})", f"{{{{{ALERT}}}}} {{{{{VERSION}}}}}"),),
            "state-timeline",
            "none",
            width=24,
            height=5,
            thresholds=((GREEN, None), (YELLOW, 1.0), (RED, 2.0)),
            mappings={"0": ("quiet", GREEN), "1": ("pending", YELLOW), "2": ("firing", RED)},
            data_links=links.SERIES_OF_FEATURE,
        ),
    )


def _quantiles(metric: Metric, *matchers: str, by: str, name: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            promql.value_quantile(quantile, metric, *matchers, by=by),
            f"{name} p{quantile * 100:g}",
            exemplars=True,
        )
        for quantile in (0.05, 0.5, 0.95)
    )
