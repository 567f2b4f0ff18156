import errno
import importlib.metadata
import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from otel_ml.cli import commands
from otel_ml.errors import BaselineError, ConfigurationError

HEAVY = ("numpy", "scipy", "pyarrow", "rich", "opentelemetry", "grpc", "google", "pydantic", "yaml")


class FakeEntryPoint:
    """A command of another distribution."""

    module = "elsewhere.commands"
    value = "elsewhere.commands:it"

    def __init__(self, load):
        self.load = load


@pytest.fixture
def run(monkeypatch):
    """Runs `otel-ml it` with a command that does as told."""

    def run_(load):
        monkeypatch.setattr(commands, "_commands", lambda: {"it": FakeEntryPoint(load)})
        return CliRunner().invoke(commands.otel_ml, ["it"], prog_name="otel-ml")

    return run_


def python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def failing(error):
    @click.command()
    def it():
        raise error

    return lambda: it


def test_help_imports_nothing_heavy():
    """Asking for help does not wait for arrays, telemetry or the service."""
    script = (
        "import sys; sys.argv = ['otel-ml', '--help']\n"
        "from otel_ml.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit: print(exit.code)\n"
        f"print([name for name in {(*HEAVY, 'collector_processor')!r} if name in sys.modules])"
    )

    done = python(script)

    assert done.stdout.splitlines()[-2:] == ["0", "[]"]
    assert all(name in done.stdout for name in ("baseline", "processor", "demo"))


@pytest.mark.parametrize(
    "command",
    [
        "baseline build",
        "baseline inspect",
        "config",
        "config check",
        "config init",
        "config schema",
        "dead-letters",
        "doctor",
        "processor",
        "registry",
        "run",
        "send-test",
    ],
)
def test_help_of_a_command_imports_nothing_heavy(command):
    """Neither does the help of a command of ours."""
    script = (
        f"import sys; sys.argv = ['otel-ml', *{command.split()!r}, '--help']\n"
        "from otel_ml.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit: print(exit.code)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    assert python(script).stdout.splitlines()[-2:] == ["0", "[]"]


def test_without_click_one_line_says_what_to_install():
    """A model server has the console script, but need not have its dependencies."""
    script = "import sys; sys.modules['click'] = None; from otel_ml.cli import main; main()"

    done = python(script)

    assert done.returncode == 2
    assert done.stderr == "otel-ml: the command line needs click: pip install 'otel-ml[cli]'\n"
    assert done.stdout == ""


def test_the_version_is_that_of_the_distribution():
    """`--version` says what is installed."""
    done = CliRunner().invoke(commands.otel_ml, ["--version"])

    assert done.output == f"otel-ml {importlib.metadata.version('otel-ml')}\n"


def test_an_unknown_command_is_told_the_nearest():
    """A typo is a usage error, with the command that was probably meant."""
    done = CliRunner().invoke(commands.otel_ml, ["baselin"], prog_name="otel-ml")

    assert done.exit_code == 2
    assert "command 'baselin' does not exist (commands: baseline, " in done.stderr
    assert "; did you mean 'baseline'?" in done.stderr


@pytest.mark.parametrize(("error", "code"), [(BaselineError("b: broken"), 1), (ConfigurationError("c: broken"), 2)])
def test_our_errors_are_shown_without_a_traceback(run, error, code):
    """A problem with data ends with 1, one with settings with 2."""
    done = run(failing(error))

    assert (done.exit_code, done.stderr, done.stdout) == (code, f"Error: {error}\n", "")


def test_other_errors_pass_through(run):
    """A bug shows as one."""
    done = run(failing(ZeroDivisionError()))

    assert isinstance(done.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("pydantic.fields", "it needs pydantic, which is not installed"),
        ("grpc", "it needs grpc, which is not installed"),
    ],
)
def test_a_command_whose_extra_is_missing_says_so(run, missing, message):
    """What is not installed is named, and that is a usage error."""

    def load():
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    done = run(load)

    assert done.exit_code == 2
    assert message in done.stderr


def test_our_own_missing_module_is_a_bug(run):
    """A module of ours that is not there is no matter of extras."""

    def load():
        raise ModuleNotFoundError("No module named 'otel_ml.nothing'", name="otel_ml.nothing")

    assert isinstance(run(load).exception, ModuleNotFoundError)


def test_an_entry_point_that_is_no_command_is_refused(run):
    """Another distribution may register anything."""
    done = run(object)

    assert done.exit_code == 2
    assert "elsewhere.commands:it is no command" in done.stderr


@pytest.fixture
def told(monkeypatch):
    """What machines are told, and the exit code, where a command with `--json` fails."""

    def told_(error):
        @click.command()
        @click.option("--json", "as_json", is_flag=True)
        def it(as_json):
            raise error

        monkeypatch.setattr(commands, "_commands", lambda: {"it": FakeEntryPoint(lambda: it)})
        done = CliRunner().invoke(commands.otel_ml, ["it", "--json"], prog_name="otel-ml")
        return json.loads(done.stdout), done.exit_code, done.stderr

    return told_


@pytest.mark.parametrize(
    ("error", "code"),
    [(BaselineError("b: broken"), 1), (ConfigurationError("c: broken"), 2), (click.UsageError("d: broken"), 2)],
)
def test_machines_are_told_of_errors_too(told, error, code):
    """With --json stdout holds one object whatever happens; people still read the line on stderr."""
    content, exit_code, stderr = told(error)

    assert content == {"error": str(error), "exit_code": code}
    assert exit_code == code
    assert f"Error: {error}\n" in stderr


@pytest.mark.parametrize("arguments", [["nothing", "--json"], ["report", "--nothing", "--json"]])
def test_machines_are_told_what_is_wrong_with_their_words(arguments):
    """An unknown command or option never reaches a command that could say so."""
    done = CliRunner().invoke(commands.otel_ml, arguments, prog_name="otel-ml")

    assert json.loads(done.stdout)["exit_code"] == done.exit_code == 2


def test_the_words_of_another_program_ask_for_nothing():
    """`--json` behind `--` is not ours."""
    done = CliRunner().invoke(commands.otel_ml, ["doctor", "--nothing", "--", "serve", "--json"], prog_name="otel-ml")

    assert (done.exit_code, done.stdout) == (2, "")


def test_a_full_disk_is_no_bug(run):
    """Wherever it shows, one line says so."""
    done = run(failing(OSError(errno.ENOSPC, "No space left on device")))

    assert (done.exit_code, done.stderr) == (1, "Error: cannot write: No space left on device\n")


def test_what_an_encoding_lacks_is_spelt_out():
    """A terminal or a pipe of another encoding gets the rest of the line, and no traceback."""
    script = "from otel_ml.cli import _prepare_streams; _prepare_streams(); print('a → b')"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )

    assert (done.returncode, done.stdout.strip()) == (0, b"a \\u2192 b")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_closed_stdout_is_nobody_listening():
    """`>&-` leaves a process without the stream."""
    script = "import sys; from otel_ml.cli import _prepare_streams; _prepare_streams(); sys.exit(sys.stdout.isatty())"

    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, script], capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")
