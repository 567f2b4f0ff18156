"""The how-to pages: what they tell people to type is typed, what they show is valid, and what they name exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docs.documents import blocks, shown_files
from docs.reader import Reader
from receiving import Authority

from collector_processor.config import load

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "how-to").glob("*.md")}
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "otel-ml.rules.yml").read_text(encoding="utf-8"))

# Windows of 4 s, and as many of them as the page has.
FASTER = {r"window: 10s": "window: 4s", r"lateness: 3s": "lateness: 1s", r"seq 15": "seq 11", r"seq 30": "seq 16"}

COMPLETE = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:4317"}}}}
processors: {drift: {}}
exporters: {otlp_grpc: {endpoint: "http://backend.example:4317"}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_grpc]}
    metrics: {receivers: [otlp], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}
"""


@pytest.mark.slow
def test_a_shell_script_is_watched_as_any_service_is(tmp_path):
    """The whole page: healthy at first, and firing with the reason once the amounts are others."""
    reader = Reader(tmp_path, FASTER)
    try:
        printed = [reader.type(block) for block in blocks("bash", PAGES["any-language"])]
    finally:
        reader.leave()

    healthy, firing = (json.loads(text[text.index('{"models"') :])["models"] for text in printed[-2:])
    assert [(model["model"], model["version"], model["state"]) for model in healthy] == [("checkout", "1", "healthy")]
    assert [model["state"] for model in firing] == ["firing"]
    assert firing[0]["why"].startswith("amount: drift: ")


@pytest.mark.slow
def test_baselines_are_built_inspected_and_compared(tmp_path):
    """Every command of the page, in order, in one folder."""
    reader = Reader(tmp_path, {})
    for name, text in shown_files(PAGES["baselines"]).items():
        reader.save(name, text)

    printed = [reader.type(block) for block in blocks("bash", PAGES["baselines"])]

    assert {path.name for path in tmp_path.glob("*.baseline")} == {f"wine-{n}.baseline" for n in (1, 2, 3)}
    assert "0 of" in printed[-1]


@pytest.mark.slow
@pytest.mark.parametrize("snippet", blocks("python", PAGES["fastapi"]))
def test_a_snippet_can_be_pasted(snippet, tmp_path):
    """It stands for itself, and warns of nothing."""
    subprocess.run([sys.executable, "-W", "error", "-c", snippet], cwd=tmp_path, check=True, timeout=60)


def test_configurations_are_valid(tmp_path, monkeypatch):
    """Those of the processor, completed with what the page does not speak of."""
    authority = Authority(tmp_path, "clients")
    (tmp_path / "clients.crt").write_bytes(authority.file.read_bytes())
    authority.issue()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "configuration.yaml"
    shown = [
        yaml.safe_load(text)
        for name in ("any-language", "secure-the-processor")
        for text in blocks("yaml", PAGES[name])
    ]
    secrets = dict.fromkeys(("OTEL_ML_TOKEN", "CONSOLE_TOKEN", "BACKEND_KEY"), "a-secret")

    for part in shown:
        complete = yaml.safe_load(COMPLETE)
        for section, content in part.items():
            complete[section] = {**complete.get(section, {}), **content}
        path.write_text(yaml.safe_dump(complete), encoding="utf-8")
        load(path, secrets)
    assert len(shown) == 4


def test_what_a_rule_is_for_is_said_as_it_is_exported():
    """The severities that the page explains are all that the rules have; the rules it names exist."""
    page = PAGES["alerting"]
    rules = {
        rule["alert"]: rule["labels"]["severity"]
        for group in RULES["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    assert {name for name in rules.values() if f"| `{name}` |" in page} == set(rules.values())
    assert set(re.findall(r"`(ML[A-Z]\w+)`", page)) <= set(rules)


def test_every_alert_it_explains_is_one_that_the_rules_know():
    """By the value of `ml.alert.name`; and there is none of the rules' that the page does not explain."""
    table = PAGES["alerting"].split("## What fires when")[1].split("\n## ")[0]
    explained = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1] if "|" in line else "")
    }
    matched = " ".join(rule["expr"] for group in RULES["groups"] for rule in group["rules"])
    known = {name for names in re.findall(r'ml_alert_name=~?"([a-z_|]+)"', matched) for name in names.split("|")}

    assert explained <= known
    # The page sums variants up.
    assert known - explained <= {"canary_correlation_drift", "gradual_correlation_drift"}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_what_it_names_exists(page):
    """Attributes, events, variables, and files that it links to."""
    text = PAGES[page]
    code = (ROOT / "otel_ml" / "semconv.py").read_text(encoding="utf-8")
    variables = (ROOT / "otel_ml" / "environment_variables.py").read_text(encoding="utf-8")
    names = set(re.findall(r"`(ml\.[a-z_.]+[a-z])`", text))
    links = set(re.findall(r"\]\(([^)#]+)", text))

    assert {name for name in names if f'"{name}"' not in code} == set()
    assert {name for name in re.findall(r"OTEL_PYTHON_ML_\w+", text) if f"{name} =" not in variables} == set()
    assert {link for link in links if not (ROOT / "docs" / "how-to" / link).exists()} == set()


@pytest.mark.slow
def test_rules_are_exported_as_it_says(tmp_path):
    """Three files, by the one command of the page."""
    reader = Reader(tmp_path, {})
    (command,) = blocks("bash", PAGES["alerting"])

    reader.type(command)

    assert {path.name for path in (tmp_path / "rules").iterdir()} == {
        "otel-ml.rules.yml",
        "otel-ml-thresholds.rules.yml",
        "alertmanager.yml",
    }
