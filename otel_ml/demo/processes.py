"""Child processes that never outlive the demo, and ports to give them."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from otel_ml.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import FrameType

    from typing_extensions import Self

_LAST_LINES = 12
_STOP_TIMEOUT_S = 10.0
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Child:
    """A process of ours with a log file.

    Args:
        name: What to call it when it dies.
        log: Where its output goes.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches us alone, and we stop server and processor in the order that lets
            # the first hand its last rows to the second.
            self._process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=dict(environment), cwd=cwd, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def require_running(self) -> None:
        """Do nothing while it runs.

        Raises:
            DemoError: It has ended, which it should not; with the last lines of its log.
        """
        code = self._process.poll()
        if code is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
            raise DemoError(f"the {self.name} {how}; its log ends with\n{self.last_lines()}")

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
        """Ask it to finish, make it after `timeout_s`; whether it finished by itself."""
        if self.is_running():
            self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def last_lines(self) -> str:
        """The end of its log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(f"  | {line}" for line in lines) or "  | (nothing)"


class Children:
    """All processes the demo has started, stopped in reverse order however the demo ends.

    Within its context, being asked to terminate unwinds the stack as Ctrl-C does.

        with Children() as children:
            children.start("processor", [...])
    """

    def __init__(self) -> None:
        self._running: list[Child] = []
        self._handlers: dict[int, Any] = {}
        self._is_starting = False
        self._interrupted_by: int | None = None

    def __enter__(self) -> Self:
        atexit.register(self.stop)
        if threading.current_thread() is threading.main_thread():
            wanted = (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name))
            self._handlers = {number: signal.signal(number, self._interrupt) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        # Reached only when all of them have stopped: a second Ctrl-C leaves the rest to the end of the interpreter.
        atexit.unregister(self.stop)

    def start(self, name: str, command: Sequence[str], **how: Any) -> Child:
        """Start a process; arguments as those of `Child`."""
        # An interrupt between its birth and our knowing of it would orphan it.
        self._is_starting = True
        try:
            child = Child(name, command, **how)
            self._running.append(child)
        finally:
            self._is_starting = False
        if self._interrupted_by is not None:
            self._interrupt(self._interrupted_by, None)
        return child

    def require_running(self) -> None:
        """Do nothing while all of them run.

        Raises:
            DemoError: One has ended.
        """
        for child in self._running:
            child.require_running()

    def finish(self, child: Child, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Stop one of them because its work is done.

        Raises:
            DemoError: It had ended before, or did not finish in time.
        """
        child.require_running()
        is_finished = child.stop(timeout_s)
        self._running.remove(child)
        if not is_finished:
            raise DemoError(
                f"the {child.name} did not finish within {timeout_s:g} s and was killed; its log ends with\n"
                f"{child.last_lines()}"
            )

    def stop(self) -> None:
        """Stop whatever still runs, the youngest first."""
        while self._running:
            self._running[-1].stop()
            self._running.pop()

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        if self._is_starting:
            self._interrupted_by = number
        else:
            raise KeyboardInterrupt(signal.Signals(number).name)


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a free port that the system chooses; 0 always lets it choose."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers set it themselves: connections that linger from the last run do not make a port busy.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise DemoError("no free port on 127.0.0.1")


def wait_until_listening(child: Child, port: int, timeout_s: float) -> None:
    """Return once `child` accepts connections on `port`.

    Raises:
        DemoError: It ended, or did not listen in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        child.require_running()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise DemoError(
        f"the {child.name} did not listen on port {port} within {timeout_s:g} s; its log ends with\n"
        f"{child.last_lines()}"
    )


def clean_environment() -> dict[str, str]:
    """Our environment without the OTEL_* settings, which are for another program, and without a proxy for loopback."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1", "localhost")))
    return environment
