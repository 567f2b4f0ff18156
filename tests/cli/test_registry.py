"""The registry of names: complete, in step with what is committed, and true."""

from pathlib import Path

import yaml

from otel_ml import record, registry, semconv
from otel_ml.cli.registry import render
from otel_ml.testing import captured_telemetry

COMMITTED = Path(__file__).parents[2] / "docs" / "registry" / "ml.yaml"
NAMES = {
    name: value
    for name, value in vars(semconv).items()
    if name.isupper() and isinstance(value, str) and value.startswith(("ml.", "error.", "http.", "otel."))
}


def uses_of(signals, id_):
    """Names of the attributes that a signal may carry."""
    (signal,) = [signal for signal in signals if signal.id == id_]
    return {use.attribute for use in signal.uses}


def test_the_committed_registry_is_what_the_code_says():
    """`otel-ml registry > docs/registry/ml.yaml` after any change of a name."""
    assert COMMITTED.read_text() == render()


def test_every_attribute_and_event_is_in_it():
    """And nothing that semconv.py does not have."""
    events = {value for name, value in NAMES.items() if name.startswith("EVENT_")}

    assert {attribute.name for attribute in registry.ATTRIBUTES} == set(NAMES.values()) - events
    assert {signal.id for signal in registry.EVENTS} == events


def test_every_metric_is_in_it():
    """With the unit and description it has there."""
    metrics = {value for value in vars(semconv).values() if isinstance(value, semconv.Metric)}

    found = {signal.metric for signal in registry.METRICS}
    assert metrics <= found
    assert {metric.name.rpartition(".")[0] for metric in found - metrics} <= {
        "ml.feature.drift",
        "ml.prediction.drift",
        *(metric.name.rpartition(".")[0].replace("feature", "prediction") for metric in metrics),
    }


def test_it_is_yaml_whose_references_lead_somewhere():
    """Ids are unique, and every `ref` is an attribute of the registry."""
    groups = yaml.safe_load(render())["groups"]
    defined = {attribute["id"] for attribute in groups[0]["attributes"]}
    referred = {attribute["ref"] for group in groups[1:] for attribute in group.get("attributes", ())}

    assert len({group["id"] for group in groups}) == len(groups)
    assert referred <= defined


def test_what_is_sent_carries_only_what_the_registry_allows():
    """A span, a snapshot, a row's event and every metric."""
    with captured_telemetry(capture_events=True) as telemetry:
        record({"amount": 1.0, "country": "NO"}, "fraud", 0.9, model="m", version="1", prediction_id="p", entity_id="e")

        (snapshot,) = telemetry.events(semconv.EVENT_SKETCH_SNAPSHOT)
        (result,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)
        metrics = telemetry.metrics()

    assert set(snapshot.attributes) <= uses_of(registry.EVENTS, semconv.EVENT_SKETCH_SNAPSHOT)
    assert set(result.attributes) <= uses_of(registry.EVENTS, semconv.EVENT_INFERENCE_RESULT)
    assert metrics
    for name, metric in metrics.items():
        for point in metric.data.data_points:
            assert set(point.attributes) <= uses_of(registry.METRICS, name)
