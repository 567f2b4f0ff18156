"""What a process asks of the system, as strace sees it."""

import re
import shutil
import subprocess
from contextlib import ExitStack, contextmanager

import pytest


@contextmanager
def synchronizing(pid, path):
    """Gives how often a process has made the system write a file of the log to the disk since then."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not here (apt-get install strace)")
    command = ["strace", "-f", "-y", "-e", "trace=fdatasync", "-o", path, "-p", str(pid)]
    with ExitStack() as ending:
        strace = ending.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        ending.callback(strace.terminate)
        line = strace.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace may not watch other processes here: {line}")
        yield lambda: _synchronized(path.read_text().splitlines())


def _synchronized(calls):
    """How many calls for a file of the log have returned 0; one that another thread interrupted takes two lines."""
    begun, count = {}, 0
    for line in calls:
        thread = line.split()[0]
        if file := re.search(r"fdatasync\(\d+<(.*?)>", line):
            begun[thread] = file[1]
        if line.endswith("= 0"):
            count += "/log/" in begun[thread]
    return count
