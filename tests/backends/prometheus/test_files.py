"""Rules and routes: what is committed is what the code says, and Prometheus's and Alertmanager's own tools agree."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from peers.running import Peers, ask, free_ports, tool, until

from otel_ml.backends.prometheus.files import ALERTMANAGER, RULES, THRESHOLDS, files
from otel_ml.backends.prometheus.rule import RuleOptions
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.registry import ATTRIBUTES, METRICS

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = ["What it means", "Look first", "Do", "Silence"]


def rules(options=None):
    texts = files(options or RuleOptions())
    groups = [group for name in (RULES, THRESHOLDS) for group in yaml.safe_load(texts[name])["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts(options=None):
    return [rule for rule in rules(options) if "alert" in rule]


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)


def test_the_committed_files_are_what_the_code_says():
    """`otel-ml rules export --force -o deploy/prometheus` after any change."""
    for name, text in files(RuleOptions()).items():
        assert (COMMITTED / name).read_text() == text, name


@pytest.mark.parametrize("histograms", ["classic", "native"])
def test_every_name_in_an_expression_exists(histograms):
    """Metrics and labels are those of the registry, as Prometheus spells them, or recorded by a rule before."""
    found = rules(RuleOptions(histograms=histograms))
    known = {label_name(attribute.name) for attribute in ATTRIBUTES}
    known |= {metric_name(signal.metric) + suffix for signal in METRICS for suffix in ("", "_bucket", "_count")}
    recorded = {rule["record"] for rule in found if "record" in rule}

    for rule in found:
        expr = rule["expr"]
        for name in recorded:
            expr = expr.replace(name, "")
        assert set(re.findall(r"\bml_\w+|\berror_type\b", expr)) <= known, rule


def test_every_alert_tells_what_to_do():
    """A severity that has a route, a summary that names its subject, and a runbook."""
    found = alerts(RuleOptions(grafana="http://grafana:3000", console="http://console:13180"))

    assert len({alert["alert"] for alert in found}) == len(found) > 25
    for alert in found:
        assert alert["labels"]["severity"] in {"page", "ticket", "info"}
        told = alert["annotations"]
        assert set(told) == {"summary", "description", "runbook_url", "dashboard_url", "console_url"}
        assert told["description"].endswith(".")
        assert told["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
        assert told["dashboard_url"].startswith("http://grafana:3000/d/otel-ml-")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    """What it means, what to look at first, what to do, how to be quiet; and its links lead somewhere."""
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in alerts()}
    assert {path.stem for path in RUNBOOKS.glob("ML*.md")} == set(severities)
    for name, severity in severities.items():
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n\nSeverity {severity}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
        assert f"amtool silence add alertname={name}" in text
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert (RUNBOOKS / target).exists(), (name, target)


def test_runbooks_and_boards_are_wherever_they_were_said_to_be():
    """A base for all of them; links to boards only where there is a Grafana."""
    (one, *_) = alerts(RuleOptions(runbooks="https://runbooks.example/ml/"))

    assert one["annotations"]["runbook_url"] == f"https://runbooks.example/ml/{one['alert']}.md"
    assert "dashboard_url" not in one["annotations"]


@pytest.mark.parametrize("histograms", ["classic", "native"])
def test_prometheus_takes_the_rules(histograms, tmp_path):
    """As they are, and with everything an option can change."""
    options = RuleOptions(
        histograms,
        "https://r.example/x",
        "http://g:3000",
        "http://c:1",
        "2h",
        0.01,
        0.9,
        "ks",
        0.1,
        0.05,
        9,
        0.3,
    )
    for name, text in {**files(options), **{f"given-{k}": v for k, v in files(RuleOptions()).items()}}.items():
        (tmp_path / name).write_text(text)

    done = run(tool("promtool"), "check", "rules", *tmp_path.glob("*.rules.yml"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 4


@pytest.mark.parametrize("test", sorted(COMMITTED.glob("*.test.yml")), ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(test):
    """deploy/prometheus/*.test.yml, by Prometheus itself."""
    done = run(tool("promtool"), "test", "rules", test)

    assert done.returncode == 0, done.stdout + done.stderr


def test_links_hold_whatever_a_model_is_called(tmp_path):
    """Names come from whoever serves a model; in an address they are encoded."""
    name = "a b/<é>&?#%{{ 1 }}"
    options = RuleOptions(grafana="http://g:3000/", console="http://c:1")
    (tmp_path / "rules.yml").write_text(files(options)[RULES])
    labels = f"ml_alert_name='drift', ml_feature_name='{name}', ml_model_name='{name}', ml_model_version='3'"
    encoded = "a+b%2F%3C%C3%A9%3E%26%3F%23%25%7B%7B+1+%7D%7D"
    (alert,) = [alert for alert in alerts(options) if alert["alert"] == "MLFeatureDrift"]
    told = {
        **alert["annotations"],
        "summary": f"{name} 3: drift of feature {name}",
        "dashboard_url": f"http://g:3000/d/otel-ml-model?var-model={encoded}&var-version=3&var-feature={encoded}",
        "console_url": f"http://c:1/feature?name={encoded}&version=3&feature={encoded}",
    }
    told_of = {"ml_alert_name": "drift", "ml_feature_name": name, "ml_model_name": name, "ml_model_version": "3"}
    expected = {"exp_labels": {"severity": "info", **told_of}, "exp_annotations": told}
    test = {
        "interval": "1m",
        "input_series": [{"series": f"ml_alert_state_ratio{{{labels}}}", "values": "2x9"}],
        "alert_rule_test": [{"eval_time": "5m", "alertname": "MLFeatureDrift", "exp_alerts": [expected]}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))

    done = run(tool("promtool"), "test", "rules", tmp_path / "test.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_takes_the_routes():
    """And sends each severity where it belongs."""
    amtool = tool("amtool")
    config = COMMITTED / ALERTMANAGER
    checked = run(amtool, "check-config", config)
    routed = {
        severity: run(amtool, "config", "routes", "test", f"--config.file={config}", f"severity={severity}").stdout
        for severity in ("page", "ticket", "info", "unheard-of")
    }

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert routed == {"page": "page\n", "ticket": "ticket\n", "info": "info\n", "unheard-of": "info\n"}


def alertmanager(peers, folder):
    address, cluster = (f"127.0.0.1:{port}" for port in free_ports(2))
    command = [
        tool("prometheus-alertmanager"),
        f"--config.file={COMMITTED / ALERTMANAGER}",
        f"--storage.path={folder}",
        f"--web.listen-address={address}",
        f"--cluster.listen-address={cluster}",
    ]
    return peers._start("alertmanager", command, address, f"address={address}")


@pytest.mark.slow
def test_what_another_alert_says_already_is_held_back(tmp_path):
    """In a real Alertmanager: a common change speaks for its features, of its model only; groups are models."""
    peers = Peers(tmp_path)
    try:
        server = alertmanager(peers, tmp_path / "data")
        fraud = {"ml_model_name": "fraud", "ml_model_version": "3"}
        other = {"ml_model_name": "other", "ml_model_version": "1"}
        for labels in (
            {"alertname": "MLCommonChange", "severity": "ticket", **fraud},
            {"alertname": "MLFeatureDrift", "severity": "info", "ml_feature_name": "a", **fraud},
            {"alertname": "MLFeatureDrift", "severity": "info", "ml_feature_name": "b", **fraud},
            {"alertname": "MLFeatureDrift", "severity": "info", "ml_feature_name": "a", **other},
            {"alertname": "MLFeatureLost", "severity": "page", "ml_feature_name": "c", **other},
            {"alertname": "MLMissingValues", "severity": "ticket", "ml_feature_name": "c", **other},
            {"alertname": "MLMissingValues", "severity": "ticket", "ml_feature_name": "d", **other},
        ):
            pairs = [f"{name}={value}" for name, value in labels.items()]
            run(tool("amtool"), f"--alertmanager.url={server.url}", "alert", "add", *pairs).check_returncode()

        def seen():
            # Grouped first, inhibited then.
            given = ask(f"{server.url}/api/v2/alerts")
            return len(given) == 7 and all(alert["status"]["state"] != "unprocessed" for alert in given) and given

        given = until(seen)
        held_back = {
            (alert["labels"]["alertname"], alert["labels"]["ml_model_name"], alert["labels"]["ml_feature_name"])
            for alert in given
            if alert["status"]["inhibitedBy"]
        }
        groups = ask(f"{server.url}/api/v2/alerts/groups")
    finally:
        peers.close()

    assert held_back == {
        ("MLFeatureDrift", "fraud", "a"),
        ("MLFeatureDrift", "fraud", "b"),
        ("MLMissingValues", "other", "c"),
    }
    of_models = {json.dumps(group["labels"]) + group["receiver"]["name"] for group in groups}
    assert len(of_models) == len(groups) == 5
