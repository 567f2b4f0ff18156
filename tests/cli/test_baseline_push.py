"""`otel-ml baseline push`, to a real processor."""

import asyncio
import json
import subprocess
import sys

import pytest
from otlp_sink import OtlpSink
from running_service import running

from otel_ml.baseline import Baseline

OTEL_ML = [sys.executable, "-c", "from otel_ml.cli import main; main()"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "fraud.baseline"
    Baseline.build({"amount": [1.0, 2.0, 3.0]}, model="fraud", version="3").save(path)
    return path


async def push(*arguments):
    def run():
        command = [*OTEL_ML, "baseline", "push", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return await asyncio.to_thread(run)


async def test_a_processor_has_it_once_it_says_so(tmp_path, file):
    """Exit 0, and the file is in its folder."""
    inbox = tmp_path / "inbox"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"accept_baselines": str(inbox)}) as service:
            done = await push(file, "--endpoint", f"http://{service.service.addresses[0]}")

    assert (done.returncode, done.stderr) == (0, "")
    assert "baseline" in done.stdout
    assert Baseline.load(inbox / "fraud@3.baseline") == Baseline.load(file)


async def test_a_processor_that_takes_none_says_which_setting_would(tmp_path, file):
    """Exit 1, with its words."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            done = await push(file, "--endpoint", f"http://{service.service.addresses[0]}", "--json")

    told = json.loads(done.stdout)
    assert (done.returncode, told["taken"], told["rejected"]) == (1, False, 1)
    assert "processors::drift::accept_baselines" in told["detail"]


async def test_nobody_there_and_nothing_to_send_are_said(tmp_path, file):
    """With the fix, or the file."""
    (tmp_path / "text").write_text("hello")

    alone = await push(file, "--endpoint", "http://127.0.0.1:1")
    wrong = await push(tmp_path / "text")

    assert (alone.returncode, "fix:" in alone.stdout) == (1, True)
    assert (wrong.returncode, "is no baseline file" in wrong.stderr) == (1, True)
