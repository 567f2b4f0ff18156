import json
import os
import pty
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from otel_ml.baseline import Baseline
from otel_ml.cli.commands import otel_ml
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

HEAD = ["baseline", "build", "train.parquet", "--model", "fraud"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command in a folder with a training set."""
    monkeypatch.chdir(tmp_path)
    table = pa.table(
        {
            "amount": [1.5, 2.5, None, 4.0],
            "country": ["NZ", "DE", "NZ", None],
            "member": [True, False, True, True],
            "store": [1, 2, 2, 3],
            "[bold]": [0.0, -1.0, 1.0, float("inf")],
            "label": [0, 1, 0, 1],
            "predicted": [0, 1, 1, 1],
            "p": [0.1, 0.9, 0.6, 0.7],
        }
    )
    pa.parquet.write_table(table, "train.parquet")

    return lambda *arguments: CliRunner().invoke(otel_ml, arguments, prog_name="otel-ml")


def test_a_baseline_is_built_from_a_file(run):
    """Columns take their roles, the label stays out, codes become categories."""
    done = run(
        *HEAD, "--version", "3", "--prediction", "predicted", "--score", "p", "--exclude", "label",
        "--categorical", "store", "--categorical", "predicted", "-o", "out.baseline",
    )  # fmt: skip

    built = Baseline.load("out.baseline")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"out.baseline: {built!r}\n"
    assert built.model == ModelKey("fraud", "3")
    assert [key.name for key in built.features if key.role is FeatureRole.FEATURE] == [
        "amount", "country", "member", "store", "[bold]",
    ]  # fmt: skip
    assert built.feature("store").content.categories.counts == {"2": 2, "1": 1, "3": 1}
    assert built.feature("prediction", FeatureRole.PREDICTION).content.categories.counts == {"1": 3, "0": 1}
    assert FeatureKey(FeatureRole.SCORE, "score") in built.features


def test_the_file_is_named_after_the_model(run, tmp_path):
    """Without -o the file says whose baseline it is."""
    assert run(*HEAD, "--version", "3").exit_code == 0
    assert run(*HEAD[:-1], "team/fraud").exit_code == 0

    assert sorted(path.name for path in tmp_path.glob("*.baseline")) == ["fraud-3.baseline", "team_fraud.baseline"]


def test_machines_are_told_what_was_built(run, tmp_path):
    """With --json there is one object on standard output."""
    told = json.loads(run(*HEAD, "--json", "-o", "out.baseline").stdout)

    assert told["file"] == "out.baseline"
    assert told["bytes"] == (tmp_path / "out.baseline").stat().st_size
    assert (told["model"], told["rows"], told["columns"]) == ({"name": "fraud", "version": ""}, 4, 8)
    assert told["id"] == Baseline.load("out.baseline").id


def test_outputs_can_be_named(run):
    """Several scores go by the names of their classes."""
    done = run(*HEAD, "--score", "cat=p", "--score", "dog=amount", "-o", "out.baseline")

    assert done.exit_code == 0
    names = [key.name for key in Baseline.load("out.baseline").features if key.role is FeatureRole.SCORE]
    assert names == ["cat", "dog"]


def test_labels_are_counted_by_prediction(run):
    """With --labels the baseline knows how the model errs, machines are shown it, and the label is no feature."""
    done = run(*HEAD, "--prediction", "predicted", "--labels", "label", "-o", "out.baseline")

    told = json.loads(run("baseline", "inspect", "out.baseline", "--json").stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "label" not in [column["name"] for column in told["columns"]]
    assert told["confusion"] == {"predictions": ["0", "1"], "labels": ["0", "1"], "counts": [[1, 0], [1, 2]]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["baseline", "build", "train.parquet"], 2, "Missing option '--model'"),
        ([*HEAD, "--score", "=p"], 2, "--score: '=p' (expected NAME=COLUMN)"),
        ([*HEAD, "--score", "a=p", "--score", "a=amount"], 2, "two outputs are called 'a'"),
        ([*HEAD, "--exclude", "lable"], 1, "Error: train.parquet: column 'lable' does not exist (columns: amount, "),
        ([*HEAD, "--exclude", "lable"], 1, "; did you mean 'label'?"),
        ([*HEAD, "--labels", "label"], 1, "train.parquet: labels go with one column of predictions, not 0"),
        ([*HEAD, "-o", "none/x.baseline"], 1, "none/x.baseline: cannot be written: No such file or directory"),
        (["baseline", "build", "none.csv", "--model", "m"], 1, "none.csv: No such file or directory"),
        (["baseline", "inspect", "train.parquet"], 1, "train.parquet: is no baseline file (it looks like Parquet"),
        (["baseline", "inspect"], 2, "Missing argument 'FILE'"),
    ],
)
def test_mistakes_end_without_a_traceback(run, arguments, code, message):
    """A problem with data ends with 1, one with the command line with 2; both say what is wrong on standard error."""
    done = run(*arguments)

    assert done.exit_code == code
    assert message in done.stderr
    assert done.stdout == ""
    assert isinstance(done.exception, SystemExit)


@pytest.fixture
def inspected(run):
    assert run(*HEAD, "--version", "3", "--score", "p", "-o", "out.baseline").exit_code == 0
    return run


def test_people_see_a_table(inspected):
    """Every column has a line: kind, gaps, range, bins, categories."""
    lines = inspected("baseline", "inspect", "out.baseline").stdout.splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines[2:]}

    assert lines[0] == f"out.baseline: baseline {Baseline.load('out.baseline').id} of fraud version 3"
    assert lines[1].startswith("4 rows, built 20")
    assert cells["amount"] == ["feature", "numeric", "25.00%", "1.5", "2.66667", "4", "7", "3", "distinct"]
    assert cells["country"] == ["feature", "categorical", "25.00%", "NZ,", "DE"]
    assert cells["member"] == ["feature", "boolean", "0.00%", "true", "75.0%"]
    assert cells["score"][0] == "score"
    assert "[bold]" in cells


def test_machines_see_everything(inspected):
    """With --json each column brings its counters and its summary."""
    told = json.loads(inspected("baseline", "inspect", "out.baseline", "--json").stdout)
    columns = {column["name"]: column for column in told["columns"]}

    assert (told["file"], told["rows"], told["model"]) == ("out.baseline", 4, {"name": "fraud", "version": "3"})
    assert columns["amount"]["missing_ratio"] == 0.25
    assert (columns["amount"]["min"], columns["amount"]["max"], columns["amount"]["bins"]) == (1.5, 4.0, 7)
    assert columns["country"]["categories"] == {"NZ": 2, "DE": 1}
    assert (columns["member"]["true"], columns["member"]["false"]) == (3, 1)
    assert columns["[bold]"]["infinite"] == 1


def test_a_file_with_rows_says_so(run):
    """Whoever reads the file reads them, so that nobody should have to guess."""
    run(*HEAD, "--sample-rows", "3", "-o", "rows.baseline")

    assert "3 rows of the training data as they are" in run("baseline", "inspect", "rows.baseline").stdout
    assert json.loads(run("baseline", "inspect", "rows.baseline", "--json").stdout)["sampled_rows"] == 3


@pytest.fixture
def described(run):
    """A baseline of texts, points in time and vectors."""
    table = pa.table(
        {
            "question": ["why is that so", "", "who are you now"],
            "code": ["a", "b", "c"],
            "asked": pa.array([0, None, 86_400], pa.timestamp("s")),
            "meaning": [[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]],
        }
    )
    pa.parquet.write_table(table, "described.parquet")
    done = run("baseline", "build", "described.parquet", "--model", "m", "--text", "code", "-o", "described.baseline")
    assert (done.exit_code, done.stderr) == (0, "")
    return run


def test_people_see_what_describes_texts_moments_and_vectors(described):
    """Numbers of characters, the range of time, norms."""
    lines = described("baseline", "inspect", "described.baseline").stdout.splitlines()

    cells = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}
    assert cells["question"] == "feature text 0.00% 0 9.66667 15 7 characters, 2.7 words, 3 distinct"
    assert cells["code"].startswith("feature text 0.00% 1 1 1 ")
    assert cells["asked"] == "feature datetime 33.33% 1970-01-01T00:00:00+00:00 to 1970-01-02T00:00:00+00:00"
    assert cells["meaning"] == "feature embedding 0.00% 0 5 10 7 norms, 2 dimensions"


def test_machines_see_what_describes_texts_moments_and_vectors(described):
    """All of it, but for the moments of vectors, which say nothing by themselves."""
    told = json.loads(described("baseline", "inspect", "described.baseline", "--json").stdout)

    question, _, asked, meaning = told["columns"]
    assert (question["characters"]["max"], question["words"]["max"], question["empty"]) == (15.0, 4.0, 1)
    assert (asked["hours"][0], asked["weekdays"]) == (2, [0, 0, 0, 1, 1, 0, 0])
    assert (meaning["dimensions"], meaning["norm"]["mean"]) == (2, 5.0)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_gets_a_drawn_table(inspected):
    """On a terminal rich draws the table, and names are no markup."""
    assert inspected is not None
    ours, theirs = pty.openpty()
    arguments = ["otel-ml", "baseline", "inspect", "out.baseline"]
    script = f"import sys; sys.argv = {arguments}; from otel_ml.cli import main; main()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # the other end was closed
        pass
    os.close(ours)

    assert process.wait() == 0
    assert "───" in shown.decode()
    assert "[bold]" in shown.decode()


def test_training_data_are_not_written_over(run, tmp_path):
    """A slip of -o must not cost the data."""
    before = (tmp_path / "train.parquet").read_bytes()

    done = run(*HEAD, "-o", "train.parquet")

    assert (done.exit_code, "is what is read" in done.stderr) == (2, True)
    assert (tmp_path / "train.parquet").read_bytes() == before


def test_a_name_that_is_no_text_is_refused(run):
    """A shell hands over any bytes."""
    done = run("baseline", "build", "train.parquet", "--model", "\udcff")

    assert (done.exit_code, "is not UTF-8 text" in done.stderr) == (2, True)
