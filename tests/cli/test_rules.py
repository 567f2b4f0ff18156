"""`otel-ml rules export`, as it is typed."""

import pytest
import yaml
from click.testing import CliRunner

from otel_ml.cli.rules import rules


def run(*arguments):
    return CliRunner().invoke(rules, ["export", *map(str, arguments)], prog_name="otel-ml rules")


def test_rules_and_routes_are_written(tmp_path):
    """Three files, each of which can be read."""
    done = run("-o", tmp_path)

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        str(tmp_path / name) for name in ("otel-ml.rules.yml", "otel-ml-thresholds.rules.yml", "alertmanager.yml")
    ]
    assert all(yaml.safe_load(path.read_text()) for path in tmp_path.iterdir())


def test_thresholds_end_up_in_the_rules(tmp_path):
    """Every one of them, in the expression that it is for."""
    arguments = [
        "--statistic",
        "ks",
        "--fires-above",
        "0.3",
        "--clears-below",
        "0.25",
        "--min-rows",
        "77",
        "--hold",
        "2h",
    ]
    arguments += ["--silent-after", "45m", "--errors", "0.2", "--lost", "0.8", "--missing-above", "0.4"]
    arguments += ["--histograms", "native"]

    done = run("-o", tmp_path, *arguments)

    files = [tmp_path / name for name in ("otel-ml.rules.yml", "otel-ml-thresholds.rules.yml")]
    found = {
        rule.get("alert") or rule["record"]: rule
        for path in files
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    assert done.exit_code == 0
    drift = found["MLFeatureDriftThreshold"]
    assert all(text in drift["expr"] for text in ("ml_feature_drift_ks{", "> 0.3 ", "> 0.25 ", ">= 77"))
    assert drift["for"] == "2h"
    assert "> 0.4 " in found["MLMissingThreshold"]["expr"]
    assert "> 0.2 " in found["MLMissingThreshold"]["expr"]
    assert "[45m]" in found["MLModelSilent"]["expr"]
    assert found["MLInferenceErrors"]["expr"].endswith("> 0.2")
    assert ">= 0.8" in found["MLFeatureLost"]["expr"]
    assert "histogram_count" in found["model:ml_inference_calls:rate5m"]["expr"]


def test_one_file_can_be_printed():
    """To be piped into promtool."""
    done = run("--stdout", "--file", "alertmanager.yml")

    assert done.exit_code == 0
    assert {receiver["name"] for receiver in yaml.safe_load(done.stdout)["receivers"]} == {"page", "ticket", "info"}


def test_what_somebody_changed_is_not_replaced_without_a_word(tmp_path):
    """A file with somebody's receivers in it, say."""
    mine = tmp_path / "alertmanager.yml"
    mine.write_text("mine")

    done = run("-o", tmp_path)

    assert done.exit_code == 1
    assert str(mine) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["alertmanager.yml"]
    assert run("-o", tmp_path, "--file", "otel-ml.rules.yml").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stdout"], "--stdout: prints one file"),
        (["--statistic", "ps"], "did you mean 'psi'?"),
        (["--statistic", ""], "statistic '' does not exist"),
        (["--hold", "soon"], "'soon' is no duration (30m, 2h)"),
        (["--silent-after", "0m"], "is no duration"),
        (["--errors", "5"], "5"),
        (["--clears-below", "0.5"], "--clears-below: 0.5 is above --fires-above, 0.2"),
        (["--min-rows", "0"], "0"),
        (["--grafana", "grafana"], "is no web address"),
        (["--runbooks", "{{ 1 }}"], "is no address or path"),
        (["--runbooks", 'a"b'], "is no address or path"),
        (["--fires-above", "nan"], "nan"),
        (["--errors", "nan"], "nan"),
        (["--fires-above", "inf"], "inf"),
    ],
)
def test_wrong_usage_is_told(arguments, said, tmp_path):
    """With 2, what is wrong, and nothing written."""
    done = run("-o", tmp_path, *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
