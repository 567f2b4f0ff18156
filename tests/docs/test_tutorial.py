"""The tutorial is followed to the letter: its files saved, its commands typed, and what it promises looked for."""

import json
import re
from pathlib import Path

import pytest
from docs.documents import blocks, shown_files
from docs.reader import Reader

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")

# Four tenths of what a reader waits: windows of 4 s, and traffic that lasts as many of them as the page's. It comes
# faster, so that a busy machine has the 200 rows in each that it takes to conclude anything.
FASTER = {
    r"window: 10s": "window: 4s",
    r"lateness: 3s": "lateness: 2s",
    r"--interval 2\b": "--interval 1",
    r"time\.sleep\(0\.005\)": "time.sleep(0.0005)",
    r"traffic\.py 40": "traffic.py 16",
    r"traffic\.py 50": "traffic.py 20",
}
INSTALLS = ("python3 -m venv", ". .venv", "pip install")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """The whole page followed once: each command with what it printed, in order."""
    reader = Reader(tmp_path_factory.mktemp("tutorial"), FASTER)
    for name, text in shown_files(PAGE).items():
        reader.save(name, text)
    answers = []
    try:
        for block in blocks("bash", PAGE):
            for command in block.splitlines():
                if command.startswith(INSTALLS):
                    continue
                answers.append((command, reader.type(command)))
    finally:
        reader.leave()
    answers.append(("terminals", reader.terminals()))
    return answers


def printed(said, command):
    """What each time was printed by the commands that begin so."""
    found = [text for typed, text in said if typed.startswith(command)]
    assert found, command
    return found


def test_clean_traffic_is_healthy(said):
    """The console's twin in JSON says of the model what the page says of the console."""
    (answer,) = printed(said, "curl -s http://127.0.0.1:13180/models.json")

    (model,) = json.loads(answer)["models"]
    assert (model["model"], model["version"]) == ("wine", "1")
    assert model["state"] == "healthy"


def test_another_unit_is_an_alert_that_says_why(said):
    """Of the column that changed, of the range it left, and of the predictions that it moved."""
    broken, _ = printed(said, "curl -s http://127.0.0.1:13180/alerts.json")

    alerts = [alert for group in json.loads(broken)["firing"] for alert in group["alerts"]]
    alerts += [part for alert in alerts for part in alert["parts"]]
    assert {("drift", "alcohol"), ("out_of_range", "alcohol"), ("drift", "prediction")} <= {
        (alert["check"], alert["column"]) for alert in alerts
    }
    (drift,) = [alert for alert in alerts if (alert["check"], alert["column"]) == ("drift", "alcohol")]
    assert drift["sentence"]


def test_once_it_is_mended_everything_resolves(said):
    """Nothing fires any more, and the end was told."""
    _, mended = printed(said, "curl -s http://127.0.0.1:13180/alerts.json")

    content = json.loads(mended)
    assert content["firing"] == []
    assert {alert["state"] for alert in content["told"]} == {"firing", "resolved"}


def test_the_processor_says_what_the_page_says_it_does(said):
    """Where the console is, and that there is no backend."""
    (terminals,) = printed(said, "terminals")

    assert "console at http://127.0.0.1:" in terminals
    assert "14317" in terminals


def test_the_test_signals_are_counted(said):
    """`send-test` ends well, or typing it would have failed; and it says so."""
    (answer,) = printed(said, "otel-ml send-test")

    assert "counted" in answer


def test_the_first_commands_install_what_the_rest_needs():
    """They are not typed here, for this environment has it all; the extras exist."""
    first = blocks("bash", PAGE)[0]
    pyproject = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")

    extras = re.search(r"otel-ml\[([\w,]+)\]", first)[1].split(",")
    assert all(re.search(rf"^{extra} = \[", pyproject, flags=re.MULTILINE) for extra in extras)
    assert all(line.startswith(INSTALLS) for line in first.splitlines())
