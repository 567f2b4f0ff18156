"""`otel-ml dashboards export`, as it is typed."""

import json
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from otel_ml.cli.dashboards import dashboards


def run(*arguments):
    return CliRunner().invoke(dashboards, ["export", *map(str, arguments)], prog_name="otel-ml dashboards")


def test_boards_and_provisioning_are_written(tmp_path):
    """Whoever copies the folder to Grafana is done; stdout says what there is."""
    done = run("-o", tmp_path / "new" / "folder")

    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert done.exit_code == 0
    assert sorted(done.stdout.splitlines()) == [str(path) for path in written]
    assert {json.loads(path.read_text())["uid"] for path in written if path.suffix == ".json"} == {
        "otel-ml-fleet",
        "otel-ml-model",
    }


def test_one_board_can_be_printed():
    """To be piped into Grafana's API."""
    done = run("--stdout", "--board", "fleet", "--histograms", "native")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["uid"] == "otel-ml-fleet"
    assert "_bucket" not in done.stdout


def test_addresses_end_up_where_they_are_needed(tmp_path):
    """The console in the boards, data sources in the provisioning."""
    done = run(
        "-o", tmp_path, "--console", "https://c.example/", "--metrics", "http://p:9090", "--traces", "http://t:3200"
    )

    assert done.exit_code == 0
    assert '"query": "https://c.example"' in (tmp_path / "dashboards" / "model.json").read_text()
    sources = yaml.safe_load((tmp_path / "provisioning" / "datasources" / "otel-ml.yaml").read_text())["datasources"]
    assert [source["url"] for source in sources] == ["http://p:9090", "http://t:3200"]


def test_what_somebody_changed_is_not_replaced_without_a_word(tmp_path):
    """And nothing else is written either; the same again is no change."""
    run("-o", tmp_path)
    board = tmp_path / "dashboards" / "fleet.json"
    (tmp_path / "dashboards" / "model.json").unlink()
    board.write_text("mine")

    refused, forced = run("-o", tmp_path), None
    kept = board.read_text()
    assert not (tmp_path / "dashboards" / "model.json").exists()
    forced = run("-o", tmp_path, "--force")

    assert (refused.exit_code, forced.exit_code) == (1, 0)
    assert str(board) in refused.stderr
    assert "--force" in refused.stderr
    assert kept == "mine"
    assert board.read_text() != "mine"
    assert run("-o", tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stdout"], "--stdout: prints one board"),
        (["--stdout", "--board", "fleet", "--board", "model"], "--stdout: prints one board"),
        (["--board", "flet"], "'flet'"),
        (["--histograms", "both"], "'both'"),
        (["--console", "console:80"], "'console:80' is no web address"),
        (["--console", "javascript:alert(1)"], "is no web address"),
        (["--console", 'http://a/"><script>'], "is no web address"),
        (["--console", "http://[::1"], "is no web address"),
        (["--metrics", "http://a:99999"], "is no web address"),
    ],
)
def test_wrong_usage_is_told(arguments, said, tmp_path):
    """With 2, what is wrong, and nothing written."""
    done = run("-o", tmp_path, *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    """A file stands where a folder should be."""
    (tmp_path / "dashboards").write_text("")

    done = run("-o", tmp_path)

    assert done.exit_code == 1
    assert str(tmp_path / "dashboards") in done.stderr
    assert "Traceback" not in done.output


def test_boards_cost_no_numbers():
    """Names are all that is needed: no arrays, no telemetry, no YAML library."""
    script = (
        "import sys\n"
        "from otel_ml.cli.commands import otel_ml\n"
        "try: otel_ml(['dashboards', 'export', '--stdout', '--board', 'model'])\n"
        "except SystemExit as exit: print(exit.code)\n"
        "print([name for name in ('numpy', 'yaml', 'opentelemetry', 'collector_processor') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.stdout.splitlines()[-2:] == ["0", "[]"], done.stderr
