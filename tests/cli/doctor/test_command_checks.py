"""What is wrong with the command that starts a model server."""

import sys
from pathlib import Path

import pytest

from otel_ml.cli.doctor.checks import double_instrumentation, interpreter, pre_fork
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Verdict
from otel_ml.cli.doctor.server_command import ServerCommand

HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def examine(check, command, environment=None):
    """What one check finds of a command."""
    return list(check.CHECK.examine(Examined(environment or {}, command=command.split())))


def verdicts(check, command, environment=None):
    return [finding.verdict for finding in examine(check, command, environment)]


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("gunicorn app:app --workers 2", {"OTEL_RESOURCE_ATTRIBUTES": "a=b, service.instance.id=x"}),
        ("uvicorn app:app --workers=4", {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}),
        ("python -m uvicorn app:app", {"WEB_CONCURRENCY": "3", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}),
    ],
)
def test_workers_that_report_as_one_are_told(command, environment):
    """Identities must not be shared."""
    assert verdicts(pre_fork, command, environment) == [Verdict.PROBLEM]


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("gunicorn app:app -w4", {}),
        ("gunicorn app:app --preload", HTTP),
        ("uvicorn app:app --workers 4", {}),
        ("uvicorn app:app", {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}),
        ("uvicorn app:app --workers 1", {"WEB_CONCURRENCY": "4", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}),
    ],
)
def test_workers_that_do_not_are_fine(command, environment):
    """One worker may have a fixed identity, and what stands on the command line wins."""
    assert verdicts(pre_fork, command, environment) == [Verdict.OK]


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("gunicorn app:app --preload", {}),
        ("opentelemetry-instrument gunicorn --preload app:app", {}),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "--preload"}),
    ],
)
def test_what_becomes_of_connections_in_a_fork_cannot_be_told(command, environment):
    """But what avoids the question can."""
    (found,) = examine(pre_fork, command, environment)

    assert found.verdict is Verdict.UNKNOWN
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in found.fix


@pytest.mark.parametrize("command", ["", "python app.py", "flask run"])
def test_how_other_servers_make_workers_cannot_be_told(command):
    """Nor where no command is given."""
    assert verdicts(pre_fork, command) == [Verdict.UNKNOWN]


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("otel-ml run -- opentelemetry-instrument uvicorn app:app", {}),
        ("ddtrace-run opentelemetry-instrument uvicorn app:app", {}),
        (
            "opentelemetry-instrument uvicorn app:app",
            {"PYTHONPATH": "/a/opentelemetry/instrumentation/auto_instrumentation"},
        ),
        ("uvicorn app:app", {"PYTHONPATH": "/a/ddtrace/bootstrap:/b"}),
    ],
)
def test_two_who_set_opentelemetry_up_are_told(command, environment, tmp_path, monkeypatch):
    """Launchers of the command, and what a platform injects."""
    monkeypatch.chdir(tmp_path)

    assert Verdict.PROBLEM in verdicts(double_instrumentation, command, environment)


@pytest.mark.parametrize("call", ["trace.set_tracer_provider(p)", "set_meter_provider(p)"])
def test_code_that_sets_a_provider_is_told_with_its_line(call, tmp_path, monkeypatch):
    """What opentelemetry-instrument has set cannot be set again."""
    (tmp_path / "app.py").write_text(f"import os\n\n{call}\n")
    monkeypatch.chdir(tmp_path)
    (launched,) = examine(double_instrumentation, "opentelemetry-instrument uvicorn app:app")
    (bare,) = examine(double_instrumentation, "uvicorn app:app")

    assert (launched.verdict, bare.verdict) == (Verdict.PROBLEM, Verdict.UNKNOWN)
    assert f"{tmp_path / 'app.py'}:3 calls" in launched.what


@pytest.mark.parametrize("code", ["import os\n", "def broken(:\n", "\x00", "(" * 5000])
def test_code_without_such_a_call_is_fine(code, tmp_path, monkeypatch):
    """As is what cannot be parsed: it is not run, and nothing is known of it."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "app.py").write_text(code)
    monkeypatch.chdir(tmp_path)

    assert verdicts(double_instrumentation, "opentelemetry-instrument uvicorn service.app:app") == [Verdict.OK]
    assert verdicts(double_instrumentation, "python service/app.py") == [Verdict.OK]
    assert verdicts(double_instrumentation, "uvicorn --app-dir service app:app") == [Verdict.OK]


def test_what_cannot_be_found_cannot_be_told(tmp_path, monkeypatch):
    """Neither code nor command."""
    monkeypatch.chdir(tmp_path)

    assert verdicts(double_instrumentation, "uvicorn app:app") == [Verdict.UNKNOWN]
    assert verdicts(double_instrumentation, "") == [Verdict.UNKNOWN]


def test_a_server_of_another_python_is_told(tmp_path):
    """What is installed here is not seen there."""
    foreign = tmp_path / "bin" / "serve-elsewhere"
    foreign.parent.mkdir()
    foreign.write_text(f"#!{tmp_path}/bin/python3\n")
    foreign.chmod(0o755)
    (found,) = examine(interpreter, "serve-elsewhere app", {"PATH": str(foreign.parent)})

    assert found.verdict is Verdict.PROBLEM
    assert repr(str(tmp_path)) in found.what


def test_a_command_that_does_not_exist_is_told():
    """With where it was looked for."""
    (found,) = examine(interpreter, "no-such-server-anywhere app:app", {"PATH": "/nowhere"})

    assert found.verdict is Verdict.PROBLEM
    assert "'no-such-server-anywhere'" in found.what


def test_a_server_of_this_python_is_fine_and_a_shell_cannot_be_told():
    """The environment need not be activated."""
    assert verdicts(interpreter, "uvicorn app:app", {"PATH": "/nowhere"}) == [Verdict.OK]
    assert verdicts(interpreter, sys.executable) == [Verdict.OK]
    assert verdicts(interpreter, "/bin/sh -c true") == [Verdict.UNKNOWN]
    assert verdicts(interpreter, "") == [Verdict.UNKNOWN]


@pytest.mark.parametrize(
    ("command", "launchers", "server", "workers"),
    [
        ("otel-ml run --name x -- uvicorn a:b --workers 3", ("otel-ml run",), "uvicorn", 3),
        ("/venv/bin/opentelemetry-instrument --x y gunicorn -w 2 a", ("opentelemetry-instrument",), "gunicorn", 2),
        ("python3.12 -m gunicorn a --workers=5", (), "gunicorn", 5),
        ("python app.py --workers 9", (), "python", 1),
        ("uvicorn a:b --workers", (), "uvicorn", 1),
        ("uvicorn a:b --workers ²", (), "uvicorn", 1),
        ("", (), "", 1),
    ],
)
def test_commands_are_taken_apart(command, launchers, server, workers):
    """Whatever stands there, nothing is run."""
    parsed = ServerCommand.parse(command.split())

    assert (parsed.launchers, parsed.server, parsed.workers({})) == (launchers, server, workers)


def test_the_application_is_found_in_packages(tmp_path):
    """A module, a package, or a file."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").touch()

    assert ServerCommand.parse(["uvicorn", "service:app"]).file(tmp_path) == tmp_path / "service" / "__init__.py"
    assert ServerCommand.parse(["uvicorn", "../../etc:app"]).file(Path(tmp_path)) is None


def test_the_interpreter_that_is_advised_exists(tmp_path):
    """Distributions often have a python3, and no python."""
    (tmp_path / "bin").mkdir()
    for name, text in (("python3", ""), ("serve", f"#!{tmp_path}/bin/python3\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    (found,) = examine(interpreter, f"{tmp_path}/bin/serve app")

    assert found.fix.startswith(f"{tmp_path}/bin/python3 -m pip install")
