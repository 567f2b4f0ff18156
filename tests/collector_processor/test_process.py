"""What the processor asks of its interpreter and its kernel."""

import os
import subprocess
import sys

import pytest

PREPARE = "from collector_processor import process; process.prepare(); "


def said(code, before=""):
    return subprocess.run(
        [sys.executable, "-c", f"import gc, os, sys; {before}{PREPARE}{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling classes are Linux's")
def test_threads_take_turns_where_they_share_a_core():
    """All that are started from then on are in the batch class, in which nobody who is woken interrupts others."""
    code = """
import threading
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
print(*found)
"""
    assert said(f"exec({code!r})") == str(os.SCHED_BATCH)


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling classes are Linux's")
def test_what_an_administrator_chose_stays():
    """Somebody who starts it with `chrt` knows why."""
    idle = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); "

    assert said("print(os.sched_getscheduler(0))", before=idle) == str(os.SCHED_IDLE)


def test_the_event_loop_waits_a_millisecond_for_a_thread_that_computes():
    """Not the five that it is by default."""
    assert said("print(round(sys.getswitchinterval() * 1000))") == "1"


def test_what_is_there_once_the_service_runs_is_no_longer_searched_for_garbage():
    """A full collection would visit all modules again and again."""
    assert int(said("process.settle(); print(gc.get_freeze_count())")) > 1000


def test_modules_are_loaded_without_looking_for_garbage():
    """And what is loaded is no longer searched; an error in a module changes nothing about that."""
    code = """
from contextlib import suppress
with suppress(ZeroDivisionError), process.loading():
    print(gc.isenabled())
    1 / 0
print(gc.isenabled(), gc.get_freeze_count() > 1000)
"""
    assert said(f"exec({code!r})").split() == ["False", "True", "True"]
