import json

import pytest
from click.testing import CliRunner
from comparison_samples import baseline, rows

from otel_ml.baseline import Baseline
from otel_ml.cli.commands import otel_ml


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A baseline, a later one, and one of another model."""
    folder = tmp_path_factory.mktemp("diff")
    baseline().save(folder / "3.baseline")
    later = rows(3000, seed=1, drifted=True)
    del later["age"]
    later |= {"extra": later["amount"], "member": [17.5] * 3000}
    Baseline.build(later, model="fraud", version="4", predictions="prediction", scores="score", text="note").save(
        folder / "4.baseline"
    )
    Baseline.build({"\x1b[31mx": [1.0, 2.0]}, model="other").save(folder / "other.baseline")
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(otel_ml, ["baseline", "diff", *arguments], prog_name="otel-ml")


def test_differences_are_told(run):
    """Columns, kinds, and what is in them."""
    done = run("3.baseline", "4.baseline")

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].startswith("3.baseline: baseline ")
    assert lines[0].endswith(" of fraud 3, 8,000 rows")
    assert lines[2:5] == ["removed: age", "added: extra", "member: boolean → numeric"]
    assert "4 of 11 columns drifted" in lines[5]


def test_json_is_for_machines(run):
    """With the whole report."""
    found = json.loads(run("3.baseline", "4.baseline", "--json").stdout)

    assert (found["removed"], found["added"]) == (["age"], ["extra"])
    assert found["kinds"] == {"member": ["boolean", "numeric"]}
    assert set(found["drifted"]) == {"amount", "country", "note", "vector"}
    assert found["report"]["compared"] == 11


def test_the_same_contents_do_not_differ(run):
    """That is all there is to say."""
    done = run("3.baseline", "3.baseline", "--fail-on-difference")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "the same contents"


def test_a_script_can_stop_at_a_difference(run):
    """By the exit code."""
    assert run("3.baseline", "4.baseline", "--fail-on-difference").exit_code == 1


def test_baselines_without_a_column_in_common_are_told_apart(run):
    """Names command no terminal."""
    done = run("3.baseline", "other.baseline", "--fail-on-difference")

    assert done.exit_code == 1
    assert "no column in common" in done.stdout
    assert "\x1b" not in done.stdout
    assert json.loads(run("3.baseline", "other.baseline", "--json").stdout)["report"] is None


@pytest.mark.parametrize("arguments", [("3.baseline", "nothing"), ("nothing", "3.baseline")])
def test_what_is_no_baseline_is_told(run, arguments):
    """In a sentence."""
    done = run(*arguments)

    assert done.exit_code == 1
    assert done.stderr == "Error: nothing: No such file or directory (expected a baseline file)\n"
