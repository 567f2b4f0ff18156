"""The schema, as an editor would use it."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from collector_processor.config import EXPORTERS, PROCESSORS, RECEIVERS
from collector_processor.configuring.schema import json_schema

EXAMPLES = Path(__file__).parents[3] / "deploy"


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def example():
    return yaml.safe_load((EXAMPLES / "processor.yaml").read_text())


def put(mapping, path, value):
    for name in path[:-1]:
        mapping = mapping.setdefault(name, {}) if isinstance(mapping.get(name, {}), dict) else mapping[name]
    mapping[path[-1]] = value


def test_the_example_is_accepted(validator, example):
    """With its variables as they stand there."""
    assert list(validator.iter_errors(example)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("store", "directory"), "/somewhere"),
        (("store", "log", "max_size_mib"), "${env:SIZE:-64}"),
        (("processors", "drift", "window"), "1h30m"),
        (("processors", "drift", "lateness"), 0),
        (("processors", "drift", "references", "trailing"), 24),
        (("processors", "drift", "detectors"), {"psi": None, "ks": {"threshold": 0.2}}),
        (("processors", "drift", "histograms"), {"ml.prediction.score": None}),
        (("receivers", "otlp", "protocols"), {"grpc": None}),
        (("exporters", "otlp_http/second"), {"endpoint": "http://x:4318", "headers": {"a": "${env:KEY}"}}),
        (("exporters", "otlp_grpc", "compression"), "${env:COMPRESSION:-gzip}"),
        (("service", "status", "enabled"), "${env:STATUS:-true}"),
    ],
)
def test_what_the_processor_accepts_is_accepted(validator, example, path, value):
    """A variable may stand for any value."""
    put(example, path, value)

    assert list(validator.iter_errors(example)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("procesors",), {}),
        (("store", "directry"), "/somewhere"),
        (("store", "log", "max_size_mib"), "many"),
        (("store", "log", "max_size_mib"), 0),
        (("processors", "drift", "window"), "5 minutes"),
        (("processors", "drft"), {}),
        (("exporters", "otlp_grpc", "compression"), "zip"),
        (("exporters", "otlp_grpc", "tls", "insecur"), True),
        (("service", "pipelines", "logs", "recievers"), []),
        (("service",), None),
    ],
)
def test_what_it_refuses_is_refused(validator, example, path, value):
    """Unknown keys at every depth, and values of another kind."""
    put(example, path, value)

    assert list(validator.iter_errors(example)) != []


def test_settings_are_described():
    """By what their docstrings say."""
    definitions = json_schema()["$defs"]

    assert definitions["StoreSettings"]["properties"]["directory"]["description"].startswith("In memory when absent")
    assert definitions["StoreSettings"]["description"] == "Where state is kept."


def test_every_type_of_component_is_in_it():
    """A new one needs no change here."""
    properties = json_schema()["properties"]

    for kind, types in (("receivers", RECEIVERS), ("processors", PROCESSORS), ("exporters", EXPORTERS)):
        assert set(properties[kind]["patternProperties"]) == {f"^{name}(/.*)?$" for name in types}
