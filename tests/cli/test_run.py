"""The command that starts a server, with real servers' stand-ins: shells and Python."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from otlp_sink import OtlpSink

from otel_ml.baseline.build import build_baseline
from otel_ml.cli.commands import otel_ml
from otel_ml.sketch.feature import ModelKey

SCRIPT = "from otel_ml.cli import main; main()"
QUIET = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


def here(*arguments, **environment):
    """In this process: nothing is executed where it refuses, or prints."""
    done = CliRunner().invoke(otel_ml, ["run", *map(str, arguments)], env=environment)
    assert isinstance(done.exception, SystemExit) or done.exception is None, done.exception
    return done


def command(*arguments):
    return [sys.executable, "-c", SCRIPT, "run", *map(str, arguments)]


def apart(*arguments, environment=None):
    """In a process of its own."""
    given = {**os.environ, **QUIET, **(environment or {})}
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, env=given)


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    path = tmp_path_factory.mktemp("baselines") / "it's wine.baseline"
    build_baseline({"alcohol": np.arange(100.0)}, model=ModelKey("wine", "1")).save(path)
    return path


@pytest.mark.slow
def test_options_win_over_the_environment_and_the_rest_stays(wine):
    """As the command itself sees it."""
    code = "import os; print([os.environ.get(name) for name in {!r}])".format(
        [
            "OTEL_SERVICE_NAME",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "OTEL_PYTHON_ML_MODEL_NAME",
            "OTEL_PYTHON_ML_MODEL_VERSION",
            "OTEL_PYTHON_ML_BASELINE",
            "OTEL_PYTHON_ML_EXPORT_INTERVAL",
            "OTEL_PYTHON_ML_SPANS",
        ]
    )
    options = [
        "--name",
        "new",
        "--endpoint",
        "http://new:4317",
        "--model",
        "wine",
        "--baseline",
        wine,
        "--interval",
        "1.5",
    ]
    environment = {
        "OTEL_SERVICE_NAME": "old",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://old:4317",
        "OTEL_PYTHON_ML_MODEL_VERSION": "1",
        "OTEL_PYTHON_ML_SPANS": "false",
    }
    done = apart(*options, "--interval", "1.5", "--", "python", "-c", code, environment=environment)

    assert done.returncode == 0, done.stderr
    seen = ["new", "http://new:4317", None, "wine", "1", str(wine), "1500", "false"]
    assert done.stdout.strip() == str(seen)


@pytest.mark.slow
def test_the_exit_code_and_the_signals_are_the_commands_own(tmp_path):
    """There is no process in between."""
    ready = tmp_path / "ready"
    script = f"import os, signal, pathlib; pathlib.Path({str(ready)!r}).write_text(str(os.getpid())); signal.pause()"
    process = subprocess.Popen(command("python", "-c", script), env={**os.environ, **QUIET})
    try:
        deadline = time.monotonic() + 60
        while not (ready.exists() and ready.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == -signal.SIGTERM
        assert int(ready.read_text()) == process.pid
    finally:
        process.kill()
        process.wait()
    assert apart("--", "sh", "-c", "exit 7").returncode == 7


@pytest.mark.slow
def test_a_program_without_a_line_of_ours_is_watched():
    """A span, a metric and a sketch arrive."""
    code = (
        "from sklearn.linear_model import LinearRegression; import numpy as np\n"
        "LinearRegression().fit(np.arange(20.0).reshape(-1, 1), np.arange(20.0)).predict([[1.0], [2.0]])"
    )
    with OtlpSink() as sink:
        environment = dict.fromkeys(QUIET, "otlp")
        done = apart("--endpoint", sink.endpoint, "--model", "line", "python", "-c", code, environment=environment)

        assert done.returncode == 0, done.stderr
        assert sink.spans("predict line")
        assert sink.metrics_named("ml.feature.value")
        assert sink.log_records("ml.sketch.snapshot")


def test_what_would_be_set_is_printed_for_a_shell(wine):
    """Quoted, and without a command."""
    done = here("--print", "--name", "it's", "--baseline", wine, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://old:1")
    also = here("--print", "--endpoint", "http://new:1", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://old:1")

    assert done.stdout.splitlines() == [
        f"export OTEL_SERVICE_NAME={shlex.quote(chr(39).join(('it', 's')))}",
        f"export OTEL_PYTHON_ML_BASELINE={shlex.quote(str(wine))}",
    ]
    assert also.stdout.splitlines() == [
        "export OTEL_EXPORTER_OTLP_ENDPOINT=http://new:1",
        "unset OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    assert here("--print").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command (otel-ml run -- uvicorn app:app)"),
        (["--"], "no command"),
        (["uvicor", "app:app"], "command 'uvicor' is not found (a program on PATH); did you mean 'uvicorn'?"),
        (["--", "app:app", "--port", "1"], "did you mean `uvicorn app:app --port 1`?"),
        (["no-such.py"], "there is no such file"),
        (["/"], "it is a directory"),
        (["<script>\u2603"], "'<script>\u2603' is not found"),
        (["opentelemetry-instrument", "uvicorn", "app:app"], "starts it itself (otel-ml run -- uvicorn app:app)"),
        (["--endpoint", "localhost:4317", "true"], "lacks a scheme"),
        (["--interval", "0", "true"], "is not in the range"),
        (["--bogus", "true"], "No such option"),
        (["--baseline", "no-such.baseline", "true"], "no-such.baseline: No such file"),
        (["--baseline", "a:b", "true"], "'a:b'" if os.pathsep != ":" else "holds ':'"),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(arguments, words):
    """With what was probably meant; it is wrong usage."""
    done = here(*arguments)

    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_files_that_cannot_be_executed_are_told_how(tmp_path, monkeypatch):
    """A script for Python, and one without permission."""
    monkeypatch.chdir(tmp_path)
    Path("serve.py").touch()
    Path("serve").touch()

    assert "did you mean `python serve.py --x`?" in here("serve.py", "--x").stderr
    assert "chmod +x ./serve" in here("./serve").stderr


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--model", "whine"], {}, "model 'whine' has no baseline (there are baselines of 'wine'): --model wine"),
        (["--model", "wine", "--model-version", "2"], {}, "its baseline is of version '1': --model-version 1"),
        ([], {"OTEL_PYTHON_ML_MODEL_NAME": "whine"}, "model 'whine' has no baseline"),
    ],
)
def test_a_baseline_of_another_model_is_refused(wine, options, environment, words):
    """By options and by the environment."""
    done = here(*options, "--baseline", wine, "true", **environment)

    assert done.exit_code == 2
    assert words in done.stderr


def test_a_port_of_the_other_protocol_is_told(capfd):
    """It may be right nevertheless: it is no error."""
    done = here("--endpoint", "http://localhost:4318", "no-such-command-anywhere")

    assert "grpc goes to port 4318, where http/protobuf usually listens" in done.stderr
