"""`otel-ml baseline promote`."""

import json

import pytest
from click.testing import CliRunner

from otel_ml.baseline import Baseline
from otel_ml.cli.baseline import baseline as command
from otel_ml.cli.commands import otel_ml


def saved(path, columns, *, version="3"):
    built = Baseline.build(columns, model="fraud", version=version)
    built.save(path)
    return built


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "baselines"
    found.mkdir()
    return found


def promote(*arguments):
    return CliRunner().invoke(command, ["promote", *map(str, arguments)])


def test_a_baseline_takes_the_place_of_the_one_before_which_stays_beside_it(tmp_path, folder):
    """Promoting that one again takes the change back."""
    first = saved(tmp_path / "first", {"amount": [1.0, 2.0, 3.0]})
    second = saved(tmp_path / "second", {"amount": [4.0, 5.0, 6.0]})
    target = folder / "fraud@3.baseline"

    assert promote(tmp_path / "first", folder).exit_code == 0
    done = promote(tmp_path / "second", folder)

    assert (done.exit_code, Baseline.load(target)) == (0, second)
    assert f"instead of {first.id[:8]}" in done.stdout
    assert promote(f"{target}.previous", folder).exit_code == 0
    assert Baseline.load(target) == first


def test_versions_live_side_by_side(tmp_path, folder):
    """Each has a file of its own."""
    saved(tmp_path / "3", {"amount": [1.0, 2.0]})
    saved(tmp_path / "4", {"amount": [1.0, 2.0]}, version="4")

    promote(tmp_path / "3", folder)
    promote(tmp_path / "4", folder)

    assert sorted(path.name for path in folder.iterdir()) == ["fraud@3.baseline", "fraud@4.baseline"]


def test_columns_that_would_be_watched_no_more_have_to_be_said_yes_to(tmp_path, folder):
    """Gone, or of another kind; nothing is changed until then."""
    first = saved(tmp_path / "first", {"amount": [1.0, 2.0], "age": [3.0, 4.0], "land": ["a", "b"]})
    second = saved(tmp_path / "second", {"amount": [1.0, 2.0], "land": [1.5, 2.5]})
    promote(tmp_path / "first", folder)

    refused = promote(tmp_path / "second", folder, "--json")

    told = json.loads(refused.stdout)
    assert (refused.exit_code, told["written"]) == (1, False)
    assert told["lost"] == ["age", "land (categorical → numeric)"]
    assert Baseline.load(folder / "fraud@3.baseline") == first
    assert promote(tmp_path / "second", folder, "--force").exit_code == 0
    assert Baseline.load(folder / "fraud@3.baseline") == second


def test_a_dry_run_changes_nothing(tmp_path, folder):
    """And says what would have been."""
    saved(tmp_path / "first", {"amount": [1.0, 2.0]})

    done = promote(tmp_path / "first", folder, "--dry-run")

    assert "would have baseline" in done.stdout
    assert [*folder.iterdir()] == []


def test_what_is_broken_is_mended(tmp_path, folder):
    """It is no reason to refuse what is whole."""
    whole = saved(tmp_path / "first", {"amount": [1.0, 2.0]})
    (folder / "fraud@3.baseline").write_bytes(b"half")

    done = promote(tmp_path / "first", folder)

    assert "what is there is no baseline" in done.stdout
    assert Baseline.load(folder / "fraud@3.baseline") == whole


def test_mistakes_are_named(tmp_path, folder):
    """A file that is none, a folder that is not there."""
    (tmp_path / "text").write_text("hello")
    saved(tmp_path / "first", {"amount": [1.0, 2.0]})

    nowhere = promote(tmp_path / "first", tmp_path / "nowhere")

    assert nowhere.exit_code == 2
    assert "is no folder" in nowhere.stderr
    assert "is no baseline file" in str(promote(tmp_path / "text", folder).exception)


def test_a_place_that_is_taken_by_a_folder_is_told(tmp_path, folder):
    """It cannot be kept, so it is not replaced."""
    saved(tmp_path / "first", {"amount": [1.0, 2.0]})
    (folder / "fraud@3.baseline").mkdir()

    done = CliRunner().invoke(otel_ml, ["baseline", "promote", str(tmp_path / "first"), str(folder)])

    assert done.exit_code == 1
    assert "fraud@3.baseline: cannot be kept as it was: Is a directory" in done.stderr


def test_what_is_there_already_is_not_written_again(tmp_path, folder):
    """And machines are told so."""
    saved(tmp_path / "first", {"amount": [1.0, 2.0]})

    first, again = (json.loads(promote(tmp_path / "first", folder, "--json").stdout) for _ in range(2))

    assert (first["written"], again["written"]) == (True, False)
    assert [path.name for path in folder.iterdir()] == ["fraud@3.baseline"]
