"""`otel-ml demo` as it is typed; the story itself with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from otlp_sink import OtlpSink

from otel_ml.demo import command
from otel_ml.demo.command import demo
from otel_ml.demo.past import BROKEN_FEATURE, WINDOWS

DEMO = [sys.executable, "-c", "from otel_ml.demo.command import demo; demo()"]


def children_of(pid):
    """Ids and command lines of a process's children."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def wait_for(condition, timeout_s=120.0):
    """What `condition()` gives once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_missing_packages_are_named_in_one_line(monkeypatch):
    """With what brings them."""
    monkeypatch.setitem(command._NEEDED, "no_such_module", "no-such-package")

    result = CliRunner().invoke(demo, [])

    assert result.exit_code == 1
    assert result.stderr == "Error: pip install 'otel-ml[demo]' brings what is missing: no-such-package\n"


def test_a_directory_with_something_in_it_is_not_touched(tmp_path):
    """`--keep` writes into an empty directory, or makes one."""
    (tmp_path / "mine").touch()

    result = CliRunner().invoke(demo, ["--keep", str(tmp_path)])

    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_a_wrong_backend_is_refused_before_anything_starts():
    """In JSON, too, with the reason."""
    result = CliRunner().invoke(demo, ["--json", "--forward", "localhost:4317"])

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["ok"] is False
    assert "--forward: 'localhost:4317' is not a backend" in told["problems"][0]


def told_at(speed, folder):
    """The whole story at a pace, which it leaves in a folder: the process and its JSON."""
    options = ["--headless", "--json", "--speed", speed, "--port", "0", "--console-port", "0", "--keep", str(folder)]
    done = subprocess.run([*DEMO, *options], capture_output=True, text=True, timeout=300, check=False)
    return done, json.loads(done.stdout)


@pytest.mark.slow
def test_the_story_is_told(tmp_path):
    """The incident fires on the right features, resolves, every row is counted, and stdout is one JSON object."""
    done, told = told_at("1.25", tmp_path / "quick")
    if any("behind the replay" in problem for problem in told["problems"]):
        # Whoever shares this machine took its time; the demo says so, and what to do.
        done, told = told_at("0.5", tmp_path / "slow")

    assert told["problems"] == []
    assert done.returncode == 0
    assert {"distance: drift", "seats: missing", "carrier: unseen_category"} <= set(told["fired"])
    assert sorted(told["fired"]) == sorted(told["resolved"])
    assert told["rows_sent"] == told["rows_counted"] > 60_000
    assert 0 < told["bytes_per_feature"] < 1024
    assert told["received"]["spans"] > 0
    assert told["received"]["data_points"] > 0
    assert "Next:" in done.stderr
    assert f"Console: {told['console']}" in done.stderr
    kept = {path.name for folder in tmp_path.iterdir() for path in folder.iterdir()}
    assert {"model.joblib", "server.py", "processor.yaml"} <= kept


def start_replay(*arguments):
    """A demo in mid-replay, and its children."""
    running = subprocess.Popen(
        [*DEMO, "--headless", "--json", "--port", "0", "--console-port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in running.stderr:
        if "normal" in line:
            break
    return running, wait_for(lambda: len(found := children_of(running.pid)) == 2 and found)


def outcome(running):
    """The JSON object of a demo that is about to end, and its exit code."""
    with running:
        output, _ = running.communicate(timeout=60)
    return json.loads(output), running.returncode


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(("victim", "name"), [("collector_processor", "processor"), ("uvicorn", "model server")])
def test_a_killed_part_ends_the_demo_and_is_named(victim, name):
    """The reason says which part died, how, and what it said last; the other is not left behind."""
    running, children = start_replay()

    os.kill(next(pid for pid, command_line in children.items() if victim in command_line), signal.SIGKILL)

    told, code = outcome(running)
    assert (told["ok"], code) == (False, 1)
    assert told["problems"][0].startswith(f"the {name} was killed by SIGKILL; its log ends with")
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@needs_proc
def test_an_interrupted_demo_leaves_nothing_behind():
    """Until then the user's own backend gets everything but snapshots; after Ctrl-C nothing runs any more."""
    with OtlpSink() as sink:
        running, children = start_replay("--forward", sink.endpoint.replace("http://", "grpc://"))
        sink.wait_for(lambda: sink.spans() and sink.metrics_named("ml.processor.rows"))
        snapshots = sink.log_records("ml.sketch.snapshot")

        running.send_signal(signal.SIGINT)

        told, code = outcome(running)
    assert (told["ok"], code) == (False, 130)
    assert "interrupted" in told["problems"][0]
    assert snapshots == []
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@needs_proc
def test_the_console_has_a_story_from_the_start_and_stays_open_for_who_wants_it(tmp_path):
    """Weeks before the first request are there, an incident among them; at the end everything is, until Ctrl-C."""
    command = [*DEMO, "--headless", "--stay", "--speed", "2", "--port", "0", "--console-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        url = next(line for line in running.stdout if line.startswith("Console: ")).split()[1]
        with httpx.Client(base_url=url, trust_env=False) as client:
            past = client.get("/model.json", params={"name": "arrival-delay"}).json()
            assert any("stays open" in line for line in running.stdout)
            story = client.get("/model.json", params={"name": "arrival-delay"}).json()
        children = children_of(running.pid)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)

    assert len(past["charts"]["times"]) >= WINDOWS
    assert {(told["column"], told["state"]) for told in past["told"]} >= {
        (BROKEN_FEATURE, "firing"),
        (BROKEN_FEATURE, "resolved"),
    }
    assert len(story["charts"]["times"]) >= WINDOWS + 10
    assert {told["column"] for told in story["told"]} >= {"distance", "seats", "carrier"}
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
