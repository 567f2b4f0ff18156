"""Settings."""

import os
from pathlib import Path

import pytest

from otel_ml import environment_variables
from otel_ml.config import Settings
from otel_ml.errors import ConfigurationError


def test_without_variables_everything_is_recorded_once_a_minute():
    """And no raw value is sent."""
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert settings.enabled
    assert settings.export_interval_ms == 60_000
    assert not settings.capture_events


def test_every_variable_reaches_its_setting():
    """One each, and each documented in environment_variables.py."""
    environment = {
        "OTEL_PYTHON_ML_ENABLED": "true",
        "OTEL_PYTHON_ML_MODEL_NAME": "fraud",
        "OTEL_PYTHON_ML_MODEL_VERSION": "3",
        "OTEL_PYTHON_ML_BASELINE": f"a.baseline{os.pathsep}b.baseline",
        "OTEL_PYTHON_ML_EXPORT_INTERVAL": "5000",
        "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events",
        "OTEL_PYTHON_ML_SPANS": "false",
        "OTEL_PYTHON_ML_QUEUE_SIZE": "7",
        "OTEL_PYTHON_ML_MAX_FEATURES": "8",
        "OTEL_PYTHON_ML_EXCLUDED_URLS": "health",
        "OTEL_PYTHON_ML_FEATURES": "amount, device_*",
        "OTEL_PYTHON_ML_EXCLUDE_FEATURES": "email",
        "OTEL_PYTHON_ML_HASH_FEATURES": "country",
        "OTEL_PYTHON_ML_HASH_KEY": "secret",
        "OTEL_PYTHON_ML_MIN_CATEGORY_COUNT": "3",
        "OTEL_PYTHON_ML_SAMPLE_VALUES": "false",
        "OTEL_PYTHON_ML_SAMPLE_ROWS": "200",
        "OTEL_PYTHON_ML_TEXT_VOCABULARY": "false",
        "OTEL_PYTHON_ML_CORRELATIONS": "false",
        "OTEL_PYTHON_ML_PREDICTION_ID_HEADER": "X-Id",
    }

    assert set(environment) == {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    assert Settings.from_environment(environment) == Settings(
        enabled=True,
        model_name="fraud",
        model_version="3",
        baselines=(Path("a.baseline"), Path("b.baseline")),
        export_interval_ms=5_000,
        capture_events=True,
        spans=False,
        queue_size=7,
        max_features=8,
        excluded_urls="health",
        features=("amount", "device_*"),
        exclude_features=("email",),
        hash_features=("country",),
        hash_key="secret",
        min_category_count=3,
        sample_values=False,
        sample_rows=200,
        text_vocabulary=False,
        correlations=False,
        prediction_id_header="x-id",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_PYTHON_ML_ENABLED", "perhaps"),
        ("OTEL_PYTHON_ML_EXPORT_INTERVAL", "soon"),
        ("OTEL_PYTHON_ML_EXPORT_INTERVAL", "0"),
        ("OTEL_PYTHON_ML_CAPTURE_EVENTS", "all"),
        ("OTEL_PYTHON_ML_MIN_CATEGORY_COUNT", "0"),
        ("OTEL_PYTHON_ML_PREDICTION_ID_HEADER", "two words"),
        ("OTEL_PYTHON_ML_QUEUE_SIZE", "-1"),
        ("OTEL_PYTHON_ML_MAX_FEATURES", "1.5"),
    ],
)
def test_a_wrong_variable_warns_and_keeps_its_default(variable, value, caplog):
    """A typo in a deployment must not stop a server."""
    settings = Settings.from_environment({variable: value})

    assert settings == Settings()
    assert variable in caplog.text
    assert repr(value) in caplog.text


def test_keyword_arguments_win_over_variables():
    """What the program says is closer than what its environment says; None says nothing."""
    environment = {"OTEL_PYTHON_ML_MODEL_NAME": "environment", "OTEL_PYTHON_ML_QUEUE_SIZE": "7"}

    settings = Settings.from_environment(environment, model_name="program", queue_size=None, baselines="one.baseline")

    assert (settings.model_name, settings.queue_size) == ("program", 7)
    assert settings.baselines == (Path("one.baseline"),)


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant():
    """The programmer is there to read it."""
    with pytest.raises(ConfigurationError, match=r"'model_nam' is not a setting.*did you mean 'model_name'"):
        Settings.from_environment({}, model_nam="fraud")


@pytest.mark.parametrize(
    ("name", "value"),
    [("enabled", "yes"), ("queue_size", 0), ("queue_size", 2.5), ("baselines", 7), ("model_name", 3), ("spans", 1)],
)
def test_a_wrong_setting_is_refused_by_name(name, value):
    """With what it was."""
    with pytest.raises(ConfigurationError, match=f"{name}: {value!r} is not valid"):
        Settings.from_environment({}, **{name: value})


@pytest.mark.parametrize("value", ["true", "TRUE", " True "])
def test_a_disabled_sdk_switches_everything_off(value):
    """Whatever else is set."""
    environment = {"OTEL_SDK_DISABLED": value, "OTEL_PYTHON_ML_ENABLED": "true"}

    assert not Settings.from_environment(environment, enabled=True).enabled
