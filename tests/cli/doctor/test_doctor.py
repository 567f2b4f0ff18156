"""The command: what it tells whom, and with which exit code."""

import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from doctor_peers import grpc_receiver
from server_process import free_port

from otel_ml.cli.commands import otel_ml
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Verdict
from otel_ml.cli.doctor.registry import all_checks, run

ALL = ("traces", "metrics", "logs")
SCRIPT = "from otel_ml.cli import main; main()"


def doctor(*arguments, **environment):
    """In this process, for that is quicker."""
    done = CliRunner().invoke(otel_ml, ["doctor", "--timeout", "1", *arguments], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def endpoint():
    with grpc_receiver(*ALL) as port:
        yield f"http://127.0.0.1:{port}"


def test_without_a_problem_it_ends_with_0(endpoint):
    """What cannot be told is no problem."""
    done = doctor("--endpoint", endpoint, "--", "uvicorn", "app:app", "--port", "1")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("0 problems, ")


def test_with_a_problem_it_ends_with_1_and_tells_it_first():
    """What, why, the fix, and where it is documented."""
    done = doctor("--endpoint", f"http://127.0.0.1:{free_port()}")

    first = done.stdout.splitlines()[:4]
    assert done.exit_code == 1
    assert first[0].startswith("PROBLEM      endpoint-reachable")
    assert [line.split()[0] for line in first[1:]] == ["why:", "fix:", "link:"]
    assert first[3].endswith("docs/cli.md#endpoint-reachable")


def test_machines_read_json(endpoint):
    """Every finding of every check, whatever the environment holds."""
    done = doctor("--json", "--endpoint", endpoint, OTEL_PYTHON_ML_SPANS="maybe\x1b[31m<script>")

    said = json.loads(done.stdout)
    assert (done.exit_code, said["ok"], done.stderr) == (1, False, "")
    assert {found["check"] for found in said["findings"]} == {check.name for check in all_checks()}
    (problem,) = [found for found in said["findings"] if found["verdict"] == "problem"]
    assert set(problem) == {"check", "verdict", "what", "why", "fix", "link"}
    assert problem["check"] == "variables"


def test_what_others_say_does_not_reach_the_terminal_as_it_is(endpoint):
    """Names may hold what a terminal obeys."""
    done = doctor("--endpoint", endpoint, **{"OTEL_PYTHON_ML_SPANS\x1b[2J": "x"})

    assert "\x1b" not in done.stdout
    assert "\\x1b[2J" in done.stdout


def test_a_check_can_be_left_out():
    """By whoever knows better; a name that does not exist is told the nearest."""
    closed = f"http://127.0.0.1:{free_port()}"
    done = doctor("--endpoint", closed, "--skip", "endpoint-reachable", "--skip", "endpoint-signals")
    unknown = doctor("--skip", "endpoint-reachabel")

    assert done.exit_code == 0, done.output
    assert "endpoint-reachable  " not in done.stdout
    assert unknown.exit_code == 2
    assert "did you mean 'endpoint-reachable'?" in unknown.stderr


def test_the_checks_are_listed():
    """At least fourteen, each with its question."""
    done = doctor("--list")

    assert len(done.stdout.splitlines()) == len(all_checks()) >= 14
    assert all(line.endswith("?") for line in done.stdout.splitlines())
    assert len(json.loads(doctor("--list", "--json").stdout)) == len(all_checks())


def test_names_of_checks_are_headings():
    """The documentation has one for each, and no two are the same."""
    names = [check.name for check in all_checks()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_a_check_that_fails_costs_no_other():
    """It says so, and that it is our mistake."""

    def fail(_):
        raise ZeroDivisionError("oh")

    ((_, found),) = run([Check("broken", "?", fail)], Examined({}))

    assert found.verdict is Verdict.UNKNOWN
    assert "ZeroDivisionError: oh" in found.what


@pytest.mark.slow
def test_it_works_as_a_process_without_a_word_to_stderr():
    """Neither gRPC nor the library writes there."""
    endpoint = f"https://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", SCRIPT, "doctor", "--endpoint", endpoint, "--timeout", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"OTEL_PYTHON_ML_SPANS": "maybe"}
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM      variables" in done.stdout
