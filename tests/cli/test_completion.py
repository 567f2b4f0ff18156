"""What shells complete, by the protocol that click's scripts speak with the command."""

import os
import shutil
import subprocess
import sys

import pytest

SCRIPT = "from otel_ml.cli import main; main()"


def otel_ml(shell, instruction, words="", place=0, incomplete=""):
    """What the command says to a shell."""
    environment = {
        **os.environ,
        "_OTEL_ML_COMPLETE": f"{shell}_{instruction}",
        "COMP_WORDS": words,
        # fish gives the word itself, the others its place.
        "COMP_CWORD": incomplete if shell == "fish" else str(place),
    }
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell):
    """`eval "$(_OTEL_ML_COMPLETE=bash_source otel-ml)"` and its likes."""
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    script = otel_ml(shell, "source")

    assert f"_OTEL_ML_COMPLETE={shell}_complete" in script
    assert "otel-ml" in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed_in_each_shell(shell):
    """By their beginning."""
    said = otel_ml(shell, "complete", "otel-ml d", 1, "d")

    assert all(name in said for name in ("dashboards", "dead-letters", "demo", "doctor"))
    assert "baseline" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "place", "incomplete"),
    [
        ("otel-ml config check pro", 3, "pro"),
        ("otel-ml doctor --config pro", 3, "pro"),
        ("otel-ml run --baseline w", 3, "w"),
        ("otel-ml run -- uvicorn a", 4, "a"),
        ("otel-ml baseline inspect w", 3, "w"),
    ],
)
def test_files_are_left_to_the_shell(shell, words, place, incomplete):
    """Arguments and options that are files, and commands that are somebody else's."""
    said = otel_ml(shell, "complete", words, place, incomplete)

    assert "file" in said.replace("\n", ",").split(",")


def test_options_are_completed():
    """Of commands and of their subcommands."""
    assert "--baseline" in otel_ml("bash", "complete", "otel-ml run --b", 2)
    assert "--effective" in otel_ml("bash", "complete", "otel-ml config check --e", 3)


def test_completing_a_command_imports_none_of_them():
    """Each TAB would wait for all of them."""
    code = (
        "import atexit, os, sys\n"
        "os.environ.update(_OTEL_ML_COMPLETE='bash_complete', COMP_WORDS='otel-ml ', COMP_CWORD='1')\n"
        "from otel_ml.cli import main\n"
        "atexit.register(lambda: print([n for n in sys.modules if n.startswith(('otel_ml.cli.r', 'collector_'))]))\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines()[-1] == "[]"
    assert "plain,send-test" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(tmp_path):
    """The whole way: the script is sourced, and its function asked."""
    program = tmp_path / "otel-ml"
    program.write_text(f"#!{sys.executable}\n{SCRIPT}\n")
    program.chmod(0o755)
    script = (
        'eval "$(_OTEL_ML_COMPLETE=bash_source otel-ml)"\n'
        "complete -p otel-ml\n"
        "COMP_WORDS=(otel-ml send); COMP_CWORD=1; _otel_ml_completion otel-ml; echo ${COMPREPLY[@]}\n"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=False, env=environment
    )

    assert done.stdout.splitlines()[-1] == "send-test", done.stderr
    assert "_otel_ml_completion" in done.stdout
