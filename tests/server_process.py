"""Starting somebody's real model server for a test, and asking it over the loopback interface.

with ServerProcess([BIN / "uvicorn", "app:app", "--port", PORT], sink.environment) as server:
    answer = server.post("/predict", {"values": [1.0]})
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
PORT = "{port}"
"""Stands in a command for the free port that was found."""

QUICK = {
    "PYTHONUNBUFFERED": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    "OTEL_PYTHON_ML_EXPORT_INTERVAL": "500",
}
"""Variables with which a test need not wait a minute for what a server sends."""


class Answer(NamedTuple):
    """What came back: `body` is parsed where it is JSON; header names are in lower case."""

    status: int
    body: object
    headers: dict[str, str]


class ServerProcess:
    """A server in a process group of its own, under `opentelemetry-instrument`, until the block ends.

    Args:
        command: With `PORT` where the port belongs.
        environment: Added to this process's own.
        ready: Path that answers as soon as requests may come.
        instrumented: False starts the bare server, for comparison.
        cwd: Where it runs.
        startup_s: How long it may take to come up.

    Attributes:
        port: Where it listens.
        process: The leader of the group.
        exit_code: After the block.
    """

    def __init__(
        self, command, environment=None, *, ready="/health", instrumented=True, cwd=None, startup_s=120.0, port=None
    ):
        self.port = port or free_port()
        self.exit_code = None
        self.process = None
        self._ready = ready
        self._startup_s = startup_s
        prefix = [BIN / "opentelemetry-instrument"] if instrumented else []
        self._command = [str(part).replace(PORT, str(self.port)) for part in (*prefix, *command)]
        self._environment = {**os.environ, **QUICK, **(environment or {})}
        # The interpreter's own folder first: servers start helpers by name.
        self._environment["PATH"] = f"{BIN}{os.pathsep}{self._environment.get('PATH', '')}"
        self._cwd = cwd
        self._output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed with the server

    def __enter__(self):
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._cwd,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_up()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.kill()  # what the leader left behind
        self._output.close()

    @property
    def output(self):
        """What the server has written so far."""
        self._output.flush()
        return os.pread(self._output.fileno(), 10_000_000, 0).decode(errors="replace")

    def post(self, path, body=None, headers=None, timeout_s=60.0):
        """Send JSON (or bytes, as they are) and give the answer, whatever its status."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask(path, data, {"content-type": "application/json", **(headers or {})}, timeout_s)

    def get(self, path, headers=None, timeout_s=10.0):
        """Ask without a body."""
        return self._ask(path, None, headers or {}, timeout_s)

    def stop(self, how=signal.SIGTERM, timeout_s=60.0):
        """End it as an orchestrator does, and wait."""
        self.process.send_signal(how)
        try:
            self.exit_code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not stop within {timeout_s} s:\n{self.output[-4000:]}") from None
        return self.exit_code

    def kill(self):
        """End the whole group, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def _ask(self, path, data, headers, timeout_s):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def _wait_until_up(self):
        deadline = time.monotonic() + self._startup_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server died with {self.process.returncode}:\n{self.output[-4000:]}")
            try:
                status = self.get(self._ready, timeout_s=5.0).status
            except OSError:
                status = 503
            if status < 500:
                return
            time.sleep(0.2)
        raise AssertionError(f"the server did not come up:\n{self.output[-4000:]}")


def free_port():
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answer(response):
    text = response.read().decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    return Answer(response.status, body, {name.lower(): value for name, value in response.headers.items()})
