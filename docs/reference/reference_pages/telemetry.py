"""The page of all names on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from otel_ml import semconv
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.drift.text import Characters, Content, Vocabulary, WordsPerText
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.registry import ATTRIBUTES, EVENTS, METRICS, SPANS, Attribute, Signal, Use
from reference_pages.docstrings import summary
from reference_pages.markdown import anchor, anchored, code, prose, sentence, table, written_from

_OF_DRIFT: Final = (
    "How far a window is from what [`ml.drift.reference`](#attribute-ml-drift-reference) names. One metric a statistic,"
    " for they do not share a scale. Which of them are there depends on"
    " [`detectors`](configuration.md#processors-drift-detectors) and on the kind of the column."
)
# Title, what it is about, and how the names of its metrics begin or end. The first that fits has a metric.
_SECTIONS: Final = (
    ("The processor itself", "What the service counts of its own work.", ("ml.processor.",), ()),
    (
        "Data quality",
        "One point a window: how much of a column is not as it should be.",
        ("ml.feature.", "ml.prediction."),
        (".ratio",),
    ),
    (
        "Drift of features",
        _OF_DRIFT,
        ("ml.feature.drift.",),
        (),
    ),
    ("Drift of predictions and scores", "The same statistics of what the model gave.", ("ml.prediction.drift.",), ()),
    ("Drift of the model as a whole", "What no single column shows.", ("ml.model.drift.",), ()),
    (
        "Labels, as far as predictions tell",
        "Estimated where the baseline knows how predictions and labels go together.",
        ("ml.label.",),
        (),
    ),
    ("Windows", "What a window was made of.", ("ml.model.window.",), ()),
    ("Alerts", "The same as the events say, for dashboards and rules.", ("ml.alert.", "ml.concept."), ()),
    (
        "Model servers",
        "What the library measures where the model runs. Of values it keeps base-2 exponential buckets.",
        ("ml.inference.", "ml.prediction", "ml.feature.value", "ml.labels."),
        (),
    ),
)
_DETECTORS: Final[Mapping[str, type]] = {
    **{detector.name: detector for detector in (Characters, Content, Vocabulary, WordsPerText)},
    **BUILTIN_MULTIVARIATE,
    **BUILTIN_DETECTORS,
}
_ORDER: Final = ("Model servers", *(title for title, *_ in _SECTIONS[1:-1]), "The processor itself")
_LEVELS: Final = {"required": "always", "recommended": "usually", "opt_in": "where asked for"}
_INSTRUMENTS: Final = {
    "counter": "counter",
    "updowncounter": "up-down counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "exponential histogram",
}
_SENT_BY: Final = {
    "ml.sketch.snapshot": "model servers, to the processor; it goes no further unless"
    " [`forward_snapshots`](configuration.md#processors-drift-forward_snapshots) is set",
    "ml.inference.result": "model servers, with"
    " [`OTEL_PYTHON_ML_CAPTURE_EVENTS=events`](environment.md#otel_python_ml_capture_events)",
    "ml.label": "whoever calls `otel_ml.record_label`",
}


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from written_from("otel_ml/semconv.py and otel_ml/registry.py")
    yield "# Telemetry: every name on the wire"
    yield ""
    yield (
        "Spans, events and metrics of the library and of the processor, with what they carry. The names are ours, under"
        " `ml.*`: OpenTelemetry has no convention for models other than generative ones yet, so all of them have the"
        f" stability *development*. The schema is {code(semconv.SCHEMA_URL)}. For OpenTelemetry's weaver the same is in"
        " [registry/](../registry/ml.yaml)."
    )
    yield ""
    yield (
        "*In Prometheus* is what Prometheus 3 makes of a name by default, and what the processor's own `/metrics` calls"
        " it; VictoriaMetrics does with `-opentelemetry.usePrometheusNaming`. A histogram has that name with `_bucket`,"
        " `_count` and `_sum`, or without, where it is stored as a native one. No metric carries ids or raw values."
    )
    yield ""
    yield "- [Spans](#spans)"
    yield "- [Events](#events)"
    for title in _ORDER:
        yield f"- [Metrics: {title}](#metrics-{anchor(title)})"
    yield "- [Attributes](#attributes)"
    yield ""
    yield "## Spans"
    yield ""
    for span in SPANS:
        yield from _signal(span)
    yield "## Events"
    yield ""
    yield "Log records with an event name."
    yield ""
    for event in EVENTS:
        yield from _signal(event)
    found = _by_section()
    for title in _ORDER:
        about = next(text for name, text, *_ in _SECTIONS if name == title)
        yield f'## <a id="metrics-{anchor(title)}"></a>Metrics: {title}'
        yield ""
        yield about
        yield ""
        yield from _metrics(found[title])
    yield "## Attributes"
    yield ""
    yield "What each attribute means, whatever carries it. As a label in Prometheus it has underscores for dots."
    yield ""
    yield from table(
        ("attribute", "type", "meaning", "for example", "label in Prometheus"), map(_attribute, ATTRIBUTES)
    )


def _by_section() -> dict[str, list[Signal]]:
    found: dict[str, list[Signal]] = {title: [] for title in _ORDER}
    for signal in METRICS:
        title = next((title for title, _, starts, ends in _SECTIONS if _belongs(signal.id, starts, ends)), None)
        if title is None:
            raise LookupError(f"{signal.id!r} has no place on the page (a line of _SECTIONS in telemetry.py)")
        found[title].append(signal)
    return found


def _belongs(name: str, starts: tuple[str, ...], ends: tuple[str, ...]) -> bool:
    return name.startswith(starts) and (not ends or name.endswith(ends))


def _signal(signal: Signal) -> Iterator[str]:
    yield f'### <a id="{anchor(signal.id)}"></a>{code(signal.id)}'
    yield ""
    yield sentence(signal.brief)
    if signal.id in _SENT_BY:
        yield f"Sent by {_SENT_BY[signal.id]}."
    yield ""
    same = next((event for event in EVENTS if event.uses == signal.uses), signal)
    if same is signal:
        yield from _uses(signal.uses)
    else:
        yield f"It carries the same as [{code(same.id)}](#{anchor(same.id)})."
        yield ""


def _metrics(signals: Iterable[Signal]) -> Iterator[str]:
    """Tables of metrics, each with the attributes that all metrics in it carry."""
    ordered = sorted(signals, key=lambda signal: (str(signal.uses), signal.id))
    for uses, group in groupby(ordered, key=lambda signal: signal.uses):
        yield from table(("metric", "in Prometheus", "instrument", "unit", "meaning"), map(_metric, group))
        if not uses:
            yield "No attributes."
            yield ""
            continue
        yield "Attributes: " + "; ".join(f"{_linked(use.attribute)} {_level(use)}" for use in uses) + "."
        yield ""


def _metric(signal: Signal) -> Iterator[str]:
    metric = signal.metric
    if metric is None:
        raise LookupError(f"{signal.id!r} has no metric (one of semconv.py)")
    yield anchored(metric.name)
    yield code(metric_name(metric))
    yield _INSTRUMENTS[metric.instrument]
    yield code(metric.unit)
    statistic = metric.name.rpartition(".")[2]
    detector = _DETECTORS.get(statistic)
    is_named_alone = metric.description.endswith(f": {statistic}.")
    yield sentence(summary(detector) if is_named_alone and detector else metric.description)


def _uses(uses: tuple[Use, ...]) -> Iterator[str]:
    rows = ((_linked(use.attribute), _level(use), _brief(use.attribute)) for use in uses)
    yield from table(("attribute", "there", "meaning"), rows)


def _brief(name: str) -> str:
    return next(sentence(attribute.brief) for attribute in ATTRIBUTES if attribute.name == name)


def _level(use: Use) -> str:
    return f"if {prose(use.when)}" if use.when else _LEVELS[use.level]


def _linked(name: str) -> str:
    return f"[{code(name)}](#attribute-{anchor(name)})"


def _attribute(attribute: Attribute) -> Iterator[str]:
    yield anchored(attribute.name, prefix="attribute-")
    yield code(attribute.type)
    yield sentence(attribute.brief)
    yield ", ".join(code(_example(example)) for example in attribute.examples)
    yield code(label_name(attribute.name))


def _example(example: object) -> str:
    if isinstance(example, bool):
        return str(example).lower()
    return ", ".join(map(str, example)) if isinstance(example, list | tuple) else str(example)
