import json
import os
import pty
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from comparison_samples import HOSTILE, baseline, rows

from otel_ml.cli.commands import otel_ml

COLUMNS = ("amount", "age", "country", HOSTILE, "gaps", "prediction")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A baseline, data like it, and data that drifted."""
    folder = tmp_path_factory.mktemp("report")
    baseline().save(folder / "fraud.baseline")
    for name, data in (("clean", rows(2000, seed=2)), ("drifted", rows(2000, seed=1, drifted=True))):
        pa.parquet.write_table(pa.table({column: data[column] for column in COLUMNS}), folder / f"{name}.parquet")
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(otel_ml, ["report", *arguments], prog_name="otel-ml")


def test_a_report_is_printed(run):
    """What drifted first."""
    done = run("fraud.baseline", "drifted.parquet")

    assert (done.exit_code, done.stderr) == (0, "")
    first, _, second, *_ = done.stdout.splitlines()
    assert first.startswith("fraud 3: 2 of 6 columns drifted, 1 with more bad values, 7 absent (2,000 rows")
    assert second.split()[0] in ("amount", "country")


@pytest.mark.parametrize(
    ("data", "failures", "exit_code"),
    [
        ("drifted.parquet", ["drift"], 1),
        ("drifted.parquet", ["quality"], 1),
        ("drifted.parquet", [], 0),
        ("clean.parquet", ["drift", "quality"], 0),
        ("clean.parquet", ["drift", "schema"], 1),
    ],
)
def test_a_script_can_stop_where_something_is_wrong(run, data, failures, exit_code):
    """By the exit code, as it asked."""
    done = run("fraud.baseline", data, *(part for failure in failures for part in ("--fail-on", failure)))

    assert done.exit_code == exit_code


def test_json_is_for_machines(run):
    """Alone on stdout."""
    done = run("fraud.baseline", "drifted.parquet", "--json")

    found = json.loads(done.stdout)
    assert found["current"] == {"source": "drifted.parquet", "rows": 2000}
    assert set(found["drifted_columns"]) == {"amount", "country"}


def test_a_page_is_written(run, folder):
    """Beside the table."""
    done = run("fraud.baseline", "drifted.parquet", "--html", "out.html", "--title", "Week 47")

    page = (folder / "out.html").read_text(encoding="utf-8")
    assert done.exit_code == 0
    assert done.stdout.endswith("out.html: written\n")
    assert "<h1>Week 47</h1>" in page
    assert "<script" not in page


def test_another_baseline_may_be_compared(run):
    """The file tells what it is, not its name."""
    done = run("fraud.baseline", "fraud.baseline", "--fail-on", "drift")

    assert done.exit_code == 0
    assert ": 0 of 14 columns drifted" in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        (["nothing.baseline", "clean.parquet"], 1, "nothing.baseline: No such file or directory"),
        (["fraud.baseline", "nothing.parquet"], 1, "nothing.parquet: No such file or directory"),
        (["clean.parquet", "fraud.baseline"], 1, "clean.parquet: is no baseline file (it looks like Parquet"),
        (["fraud.baseline", "clean.parquet", "--detector", "pis"], 2, "did you mean 'psi'"),
        (["fraud.baseline", "clean.parquet", "--decide-by", "pis"], 2, "did you mean 'psi'"),
        (["fraud.baseline", "clean.parquet", "--alpha", "7"], 2, "alpha: 7.0 is not valid"),
        (["fraud.baseline", "clean.parquet", "--fail-on", "dirft"], 2, "'dirft' is not one of"),
        (["fraud.baseline", "clean.parquet", "--html", "no/such/x.html"], 1, "no/such/x.html: cannot be written"),
        (["fraud.baseline", "clean.parquet", "--prediction", "x"], 1, "column 'x' does not exist"),
        (["fraud.baseline"], 2, "Missing argument"),
    ],
)
def test_mistakes_are_told(run, arguments, exit_code, error):
    """In a sentence, without a traceback."""
    done = run(*arguments)

    assert done.exit_code == exit_code
    assert error in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_on_a_terminal_there_is_a_table_and_progress(folder):
    """Rich draws the table, and a line tells which column is being read."""
    ours, theirs = pty.openpty()
    arguments = ["otel-ml", "report", "fraud.baseline", "drifted.parquet"]
    script = f"import sys; sys.argv = {arguments}; from otel_ml.cli import main; main()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=environment, cwd=folder
    )
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
    assert "6/6" in shown.decode()
    assert HOSTILE in shown.decode()


def test_help_imports_nothing_heavy():
    """It is there at once."""
    script = (
        "import sys; from click.testing import CliRunner; from otel_ml.cli.report import report;"
        "from otel_ml.cli.baseline import baseline;"
        "assert CliRunner().invoke(report, ['--help']).exit_code == 0;"
        "assert CliRunner().invoke(baseline, ['diff', '--help']).exit_code == 0;"
        "print([name for name in ('numpy', 'scipy', 'rich', 'pandas', 'altair') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("page", ["fraud.baseline", "clean.parquet"])
def test_what_is_compared_is_not_written_over(run, folder, page):
    """A slip of --html must not cost the baseline, nor the data."""
    before = (folder / page).read_bytes()

    done = run("fraud.baseline", "clean.parquet", "--html", page)

    assert (done.exit_code, "is what is read" in done.stderr) == (2, True)
    assert (folder / page).read_bytes() == before
