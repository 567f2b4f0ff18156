"""The resource detector, as OpenTelemetry loads it."""

from opentelemetry.sdk.resources import Resource

from otel_ml.recording.packages import packages_digest


def test_the_resource_says_which_model_and_which_packages(monkeypatch):
    """Where it is asked for by name, as any detector."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel_ml")
    monkeypatch.setenv("OTEL_PYTHON_ML_MODEL_NAME", "fraud")
    monkeypatch.setenv("OTEL_PYTHON_ML_MODEL_VERSION", "3")

    attributes = Resource.create().attributes

    assert attributes["ml.model.name"] == "fraud"
    assert attributes["ml.model.version"] == "3"
    assert attributes["ml.runtime.packages.digest"] == packages_digest()


def test_what_is_not_known_is_not_said(monkeypatch):
    """An empty name would look like one."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel_ml")
    monkeypatch.delenv("OTEL_PYTHON_ML_MODEL_NAME", raising=False)

    assert "ml.model.name" not in Resource.create().attributes
