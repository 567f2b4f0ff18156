"""Child processes end with the demo, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from otel_ml.demo.errors import DemoError
from otel_ml.demo.processes import Child, Children, clean_environment, free_port, wait_until_listening

SLEEPS = "import time; print('ready', flush=True); time.sleep(60)"


def start(children, tmp_path, code, name="sleeper", **how):
    """A Python process that runs `code`."""
    return children.start(
        name, [sys.executable, "-c", code], log=tmp_path / f"{name}.log", environment=os.environ, cwd=tmp_path, **how
    )


def wait_for(condition, timeout_s=20.0):
    """Return once `condition()` is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process with this id exists and is not merely waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_leaving_the_context_leaves_no_process(tmp_path):
    """Also when it is left by an exception."""
    children = Children()
    pids = []

    def fail():
        with children:
            pids.extend(start(children, tmp_path, SLEEPS, name).pid for name in ("one", "two"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_that_ignores_the_request_is_killed(tmp_path):
    """Stopping always comes to an end."""
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    with Children() as children:
        child = start(children, tmp_path, stubborn)
        wait_for(lambda: "ready" in child.last_lines())

        assert child.stop(timeout_s=0.1) is False
        assert not is_alive(child.pid)


def test_a_dead_child_is_named_with_the_end_of_its_log(tmp_path):
    """The user sees which part broke, and why."""
    with Children() as children:
        start(children, tmp_path, SLEEPS, "healthy")
        child = start(children, tmp_path, "print('the reason'); raise SystemExit(3)", "broken")
        wait_for(lambda: not child.is_running())

        with pytest.raises(DemoError, match=r"(?s)the broken exited with code 3.*\| the reason"):
            children.require_running()


def test_a_killed_child_is_named_with_its_signal(tmp_path):
    """Someone, or the kernel, killed it."""
    with Children() as children:
        child = start(children, tmp_path, SLEEPS, "victim")
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: not child.is_running())

        with pytest.raises(DemoError, match="the victim was killed by SIGKILL"):
            children.require_running()


def test_a_child_that_finished_is_not_missed(tmp_path):
    """Once its work is done it may be gone."""
    with Children() as children:
        children.finish(start(children, tmp_path, SLEEPS))

        children.require_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_being_asked_to_terminate_stops_the_children(tmp_path, number):
    """Ctrl-C, a closed terminal or a supervisor: no orphan."""
    code = f"""
    import os, sys, time
    from pathlib import Path
    from otel_ml.demo.processes import Children
    with Children() as children:
        child = children.start("c", [sys.executable, "-c", {SLEEPS!r}], log=Path("c.log"), environment=os.environ,
                               cwd=Path("."))
        print(child.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, text=True,
    ) as demo:  # fmt: skip
        pid = int(demo.stdout.readline())
        demo.send_signal(number)
        demo.wait(20)

    assert not is_alive(pid)


def test_a_free_port_is_kept():
    """Nobody is there."""
    port = free_port(0)

    assert free_port(port) == port


def test_a_busy_port_is_replaced():
    """Somebody is there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert free_port(port) not in (0, port)


def test_waiting_ends_when_the_child_dies(tmp_path):
    """Nobody waits a minute for a process that is gone."""
    with Children() as children:
        child = start(children, tmp_path, "print('no such module')", "server")

        with pytest.raises(DemoError, match=r"(?s)the server exited with code 0.*no such module"):
            wait_until_listening(child, free_port(0), 30)


def test_waiting_ends_after_a_while(tmp_path):
    """A process that runs but never listens is an error too."""
    with Children() as children:
        child = start(children, tmp_path, SLEEPS, "server")

        with pytest.raises(DemoError, match="did not listen"):
            wait_until_listening(child, free_port(0), 0.2)


def test_children_do_not_inherit_somebody_else_s_telemetry(monkeypatch):
    """OTEL_* of the user's shell is for the user's programs, and loopback needs no proxy."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://production:4317")
    monkeypatch.setenv("NO_PROXY", "example.org")

    environment = clean_environment()

    assert not [name for name in environment if name.startswith("OTEL_")]
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_child_without_output_says_so(tmp_path):
    """An empty log is no riddle."""
    child = Child("quiet", [sys.executable, "-c", ""], log=tmp_path / "a", environment=os.environ, cwd=tmp_path)
    child.stop()

    assert child.last_lines() == "  | (nothing)"
