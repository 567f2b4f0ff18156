"""`otel-ml baseline push`, to a real processor."""

import asyncio
import json
import subprocess
import sys

import pytest
from full_disk import fill, small_disk
from otlp_sink import OtlpSink
from receiving import receiving
from running_service import running

from collector_processor.component import Signal
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.files import BaselineFiles
from collector_processor.processors.references.watching import BaselineWatch
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
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
    assert (done.returncode, told["taken"], told["rejected"], told["retryable"]) == (1, False, 1, False)
    assert "processors::drift::accept_baselines" in told["detail"]


async def test_nobody_there_and_nothing_to_send_are_said(tmp_path, file):
    """With the fix, or the file."""
    (tmp_path / "text").write_text("hello")

    alone = await push(file, "--endpoint", "http://127.0.0.1:1")
    wrong = await push(tmp_path / "text")

    assert (alone.returncode, "fix:" in alone.stdout) == (1, True)
    assert (wrong.returncode, "is no baseline file" in wrong.stderr) == (1, True)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_where_the_disk_is_full_it_says_that_it_may_be_run_again(tmp_path, protocol):
    """Exit 1 after one try, with what the processor said and the fix; the same command succeeds once there is room."""
    file = tmp_path / "fraud.baseline"
    Baseline.build({"amount": [1.0, 2.0, 3.0]}, model="fraud", version="3").save(file)
    with small_disk(tmp_path / "disk") as disk:
        files = BaselineFiles([], str(disk))
        baselines = BaselineWatch(files, References([]), SelfTelemetry(), forget_others=lambda _: None)
        async with receiving(protocol.partition("/")[0], (Signal.LOGS,), keep_baselines=baselines.keep) as receiver:
            to = ("--protocol", protocol, "--endpoint", f"http://{receiver.address}")
            others = fill(disk)
            for_people, for_machines = await push(file, *to), await push(file, *to, "--json")
            left = [path.name for path in disk.iterdir()]
            others.unlink()
            again = await push(file, *to)

            told = json.loads(for_machines.stdout)
            assert (for_people.returncode, for_people.stderr) == (1, "")
            assert f"{file}: not taken for now by " in for_people.stdout
            assert "No space left on device (processors::drift::accept_baselines)" in for_people.stdout
            assert "fix:  try again" in for_people.stdout
            assert (for_machines.returncode, told["taken"], told["retryable"]) == (1, False, True)
            assert receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason="baseline_unwritten") == 2
            assert left == [others.name]
            assert (again.returncode, "is at" in again.stdout) == (0, True)
            assert Baseline.load(disk / "fraud@3.baseline") == Baseline.load(file)
