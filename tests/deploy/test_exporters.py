"""The presets for backends that one pays for: valid, without secrets in them, and with delta where it is needed.

Nothing of them was ever sent to such a backend; what can be known here is that processor and Collector accept them.
"""

import os
import re
import subprocess

import pytest
import yaml
from peers.running import program
from shipped_files import DEPLOY, validated

FOLDER = DEPLOY / "exporters"
PRESETS = sorted(FOLDER.glob("*.yaml"))
COLLECTORS = sorted((FOLDER / "collector").glob("*.yaml"))
VENDORS = {"datadog", "dynatrace", "grafana-cloud", "honeycomb", "newrelic", "splunk"}
DELTA_ONLY = {"datadog", "dynatrace"}

every_preset = pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)


def wanted(path):
    """The variables without a default."""
    return set(re.findall(r"\$\{env:(\w+)\}", path.read_text()))


def with_dummies(path):
    """A value for each of them."""
    return {name: "https://backend.example/otlp" if "ENDPOINT" in name else "dummy" for name in wanted(path)}


def test_each_vendor_has_its_preset():
    assert {path.stem for path in PRESETS} == VENDORS


@every_preset
def test_the_processor_accepts_it(path):
    """As soon as its variables are set, and not before."""
    assert validated(path, **with_dummies(path)) == (0, "")
    for name in wanted(path):
        others = {other: value for other, value in with_dummies(path).items() if other != name}

        code, problems = validated(path, **others)

        assert code == 2
        assert name in problems


@every_preset
def test_it_says_what_servers_set_and_where_that_is_from(path):
    """The two variables of the SDK, the date of the look, and that it was never tried."""
    text = path.read_text().replace("\n# ", " ")

    assert "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" in text
    assert "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION" in text
    assert re.search(r"Looked up on 20\d\d-\d\d-\d\d", text)
    assert re.search(r"Never sent to [\w ]+ from here: no account\.", text)


@every_preset
def test_a_backend_of_deltas_gets_no_counters_of_ours(path):
    """They are cumulative; /metrics has them, or collector/delta.yaml makes deltas of them."""
    telemetry = yaml.safe_load(path.read_text())["service"].get("telemetry")

    assert telemetry == ({"interval": "0s"} if path.stem in DELTA_ONLY else None)


@pytest.mark.parametrize("path", COLLECTORS, ids=lambda path: path.stem)
def test_the_collector_accepts_it(path, tmp_path):
    """Every key exists in the pinned release, and every component is in the manifest."""
    done = subprocess.run(
        [program("collector"), "validate", "--config", path],
        env={**os.environ, **with_dummies(path), "COLLECTOR_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
