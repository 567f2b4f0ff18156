"""What is wrong with the environment of a model server."""

import numpy as np
import pytest

from otel_ml.baseline.build import build_baseline
from otel_ml.cli.doctor.checks import (
    baseline,
    cardinality,
    exporters,
    instrumentors,
    libraries,
    message_size,
    misspelt,
    temporality,
    variables,
)
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Verdict
from otel_ml.sketch.feature import ModelKey


def examine(check, environment):
    """What one check finds in an environment."""
    return list(check.CHECK.examine(Examined(environment, timeout_s=0.1)))


def verdicts(check, environment):
    return [finding.verdict for finding in examine(check, environment)]


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """A baseline of model wine, version 1, with 60 features."""
    path = tmp_path_factory.mktemp("baselines") / "wine.baseline"
    columns = {f"column-{place}": np.arange(200.0) for place in range(60)}
    build_baseline(columns, model=ModelKey("wine", "1")).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("environment", "fix"),
    [
        ({"OTEL_SDK_DISABLED": "True"}, "unset OTEL_SDK_DISABLED"),
        ({"OTEL_PYTHON_ML_ENABLED": "off"}, "unset OTEL_PYTHON_ML_ENABLED"),
        ({"OTEL_LOGS_EXPORTER": "none"}, "export OTEL_LOGS_EXPORTER=otlp"),
        ({"OTEL_METRICS_EXPORTER": " none "}, "export OTEL_METRICS_EXPORTER=otlp"),
    ],
)
def test_what_is_switched_off_is_told(environment, fix):
    """Each switch, with what turns it back on."""
    (found,) = examine(exporters, environment)

    assert (found.verdict, found.fix) == (Verdict.PROBLEM, fix)


def test_another_exporter_may_be_right():
    """What the console prints, nobody here can follow."""
    assert verdicts(exporters, {"OTEL_TRACES_EXPORTER": "console"}) == [Verdict.UNKNOWN]
    assert verdicts(exporters, {"OTEL_TRACES_EXPORTER": "console,otlp"}) == [Verdict.OK]
    assert verdicts(exporters, {}) == [Verdict.OK]


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("otel_ml_sklearn", "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        ("flask, otel_ml_sklearn", "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=flask"),
        ("*", "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
    ],
)
def test_an_instrumentor_of_ours_that_is_off_is_told(written, fix):
    """And those of others stay off."""
    (found,) = examine(instrumentors, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": written})

    assert (found.verdict, found.fix) == (Verdict.PROBLEM, fix)


def test_instrumentors_of_others_may_be_off():
    """That is somebody's choice."""
    assert verdicts(instrumentors, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask,sklearn"}) == [Verdict.OK]


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("OTEL_PYTHON_ML_BASELNE", "rename it to OTEL_PYTHON_ML_BASELINE"),
        ("otel_python_ml_baseline", "rename it to OTEL_PYTHON_ML_BASELINE"),
        ("OTEL_PYTHON_ML_COLOUR_OF_THE_BIKE_SHED", "unset OTEL_PYTHON_ML_COLOUR_OF_THE_BIKE_SHED (there are "),
    ],
)
def test_a_variable_of_ours_that_does_not_exist_is_told_the_nearest(name, fix):
    """Where one is near."""
    (found,) = examine(variables, {name: "x"})

    assert found.verdict is Verdict.PROBLEM
    assert found.fix.startswith(fix)


def test_a_value_that_makes_no_sense_is_told_what_would():
    """In the words of the library itself."""
    (found,) = examine(variables, {"OTEL_PYTHON_ML_EXPORT_INTERVAL": "1m\x1b[31m"})

    assert found.verdict is Verdict.PROBLEM
    assert "'1m\\x1b[31m'" in found.what
    assert "a whole number from 10 on" in found.fix


def test_values_that_make_sense_are_fine():
    """An empty one counts as none."""
    assert verdicts(variables, {"OTEL_PYTHON_ML_EXPORT_INTERVAL": "500", "OTEL_PYTHON_ML_SPANS": ""}) == [Verdict.OK]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_ENDPONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
    ],
)
def test_a_misspelt_variable_of_opentelemetry_is_told_the_right_one(name, meant):
    """Nobody else would ever say so."""
    (found,) = examine(misspelt, {name: "x"})

    assert (found.verdict, found.fix) == (Verdict.PROBLEM, f"rename it to {meant}")


def test_variables_of_vendors_are_nobodys_mistake():
    """Nor are those that exist."""
    names = ("OTEL_SERVICE_NAME", "OTEL_VENDOR_SPECIFIC_SWITCH", "OTEL_EXPORTER_OTLP_ENDPOINT", "PATH")

    assert verdicts(misspelt, dict.fromkeys(names, "x")) == [Verdict.OK]


def test_a_baseline_that_cannot_be_read_is_told(tmp_path, wine):
    """Missing or broken; the others are looked at all the same."""
    broken = tmp_path / "<script>'\u00e9.baseline"
    broken.write_bytes(b"\x00" * 100)
    paths = f"{tmp_path / 'missing'}:{broken}:{wine}"
    found = examine(
        baseline,
        {
            "OTEL_PYTHON_ML_BASELINE": paths,
            "OTEL_PYTHON_ML_MODEL_NAME": "wine",
            "OTEL_PYTHON_ML_MODEL_VERSION": "1",
        },
    )

    assert [one.verdict for one in found] == [Verdict.PROBLEM, Verdict.PROBLEM, Verdict.OK]
    assert "No such file" in found[0].what
    assert str(broken) in found[1].what


@pytest.mark.parametrize(
    ("name", "version", "what", "fix"),
    [
        ("whine", "1", "model 'whine' has no baseline", "export OTEL_PYTHON_ML_MODEL_NAME=wine"),
        ("wine", "2", "model 'wine' is version '2', and its baseline is of version '1'", "export OTEL_PYTHON_ML_MODEL"),
        ("wine", "", "model 'wine' is version ''", "export OTEL_PYTHON_ML_MODEL_VERSION=1"),
    ],
)
def test_a_baseline_of_another_model_or_version_is_told(wine, name, version, what, fix):
    """With what would make the two agree."""
    environment = {"OTEL_PYTHON_ML_BASELINE": wine, "OTEL_PYTHON_ML_MODEL_NAME": name}
    (found,) = examine(baseline, {**environment, "OTEL_PYTHON_ML_MODEL_VERSION": version})

    assert found.verdict is Verdict.PROBLEM
    assert what in found.what
    assert found.fix.startswith(fix)


def test_whether_a_baseline_is_of_a_model_without_a_name_cannot_be_told(wine):
    """The code may name it; and without a baseline there is nothing to compare."""
    assert verdicts(baseline, {"OTEL_PYTHON_ML_BASELINE": wine}) == [Verdict.UNKNOWN]
    assert verdicts(baseline, {}) == [Verdict.UNKNOWN]


def test_installed_libraries_are_named():
    """What the tests are run with is supported."""
    (found,) = examine(libraries, {})

    assert found.verdict is Verdict.OK
    assert "sklearn" in found.what


def test_a_library_that_is_too_old_is_told(tmp_path, monkeypatch):
    """Found by its metadata, as installers find it."""
    metadata = tmp_path / "xgboost-0.90.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: xgboost\nVersion: 0.90\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [one for one in examine(libraries, {}) if one.verdict is Verdict.PROBLEM]

    assert [one.what.partition(":")[0] for one in found] == ["xgboost"]
    assert "0.90" in found[0].what
    assert found[0].fix.startswith("pip install --upgrade 'xgboost")


@pytest.mark.parametrize(
    ("written", "endpoint", "verdict"),
    [
        ("", "", Verdict.OK),
        ("Cumulative", "", Verdict.OK),
        ("delta", "", Verdict.PROBLEM),
        ("lowmemory", "", Verdict.PROBLEM),
        ("detla", "", Verdict.PROBLEM),
        ("delta", "https://otlp.datadoghq.com", Verdict.OK),
    ],
)
def test_delta_is_told_unless_the_backend_asks_for_it(written, endpoint, verdict):
    """Prometheus drops it."""
    environment = {
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": written,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }

    assert verdicts(temporality, environment) == [verdict]


def test_columns_beyond_what_is_recorded_are_told(wine):
    """The baseline knows how many there are."""
    environment = {"OTEL_PYTHON_ML_BASELINE": wine}
    (found,) = examine(cardinality, {**environment, "OTEL_PYTHON_ML_MAX_FEATURES": "50"})

    assert (found.verdict, found.fix) == (Verdict.PROBLEM, "export OTEL_PYTHON_ML_MAX_FEATURES=60")
    assert verdicts(cardinality, environment) == [Verdict.OK]


def test_more_series_than_are_kept_are_told():
    """Without a baseline, by what is allowed."""
    assert verdicts(cardinality, {"OTEL_PYTHON_ML_MAX_FEATURES": "50000"}) == [Verdict.PROBLEM]
    assert verdicts(cardinality, {}) == [Verdict.OK]


def test_snapshots_too_large_for_one_request_are_told():
    """Until fewer records go in one."""
    large = {"OTEL_PYTHON_ML_MAX_FEATURES": "5000"}
    (found,) = examine(message_size, large)

    assert found.verdict is Verdict.PROBLEM
    assert found.fix.startswith("export OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=7")
    assert verdicts(message_size, {**large, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "7"}) == [Verdict.OK]


def test_rows_that_are_sent_as_they_are_may_be_too_large(wine):
    """By the columns of the baseline, if there is one."""
    captured = {"OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}
    wide = {**captured, "OTEL_PYTHON_ML_BASELINE": wine, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "5000"}

    assert verdicts(message_size, captured) == [Verdict.UNKNOWN]
    assert verdicts(message_size, {**captured, "OTEL_PYTHON_ML_BASELINE": wine}) == [Verdict.OK]
    assert verdicts(message_size, wide) == [Verdict.PROBLEM]
