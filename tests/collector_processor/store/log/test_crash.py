"""kill -9 of a process that writes: what it had acknowledged is there."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from log_samples import number_of, read_all, started

ROOT = Path(__file__).parents[3]
CONCURRENCY = 16
WRITER = f"""
import asyncio, sys
from pathlib import Path
from log_samples import numbered, started

async def write(log, numbers):
    for number in numbers:
        end = await log.append(numbered(number, number * 7919 % 40_000))
        print(number, end, flush=True)

async def main():
    async with started(Path(sys.argv[1]), holders=("nobody yet",)) as log:
        first = int(sys.argv[2])
        await asyncio.gather(*(write(log, range(first + lane, 10**9, {CONCURRENCY})) for lane in range({CONCURRENCY})))

asyncio.run(main())
"""


def acknowledged_before_kill(directory, first, lines):
    """Numbers and ends that a process had acknowledged when it was killed, once it had said so many."""
    command = [sys.executable, "-c", WRITER, str(directory), str(first)]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    # The last line may be torn as well.
    return {int(number): int(end) for number, end in (line.split() for line in said if line.endswith("\n"))}


@pytest.mark.slow
async def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Time after time, in order; beyond it there is only what was under way."""
    choice = random.Random(5)
    acknowledged, first, lost = {}, 0, set()
    for _ in range(6):
        told = acknowledged_before_kill(tmp_path, first, choice.randrange(1, 12))
        acknowledged |= told
        async with started(tmp_path, holders=("nobody yet",)) as log:
            stored = await read_all(log)
            assert log.damages.segments == 0
        ends = {number_of(one): one.end for one in stored}

        assert len(ends) == len(stored)
        assert acknowledged.items() <= ends.items()
        assert [one.position for one in stored] == sorted(one.position for one in stored)
        assert all(len(one.entry.body) == 8 + number_of(one) * 7919 % 40_000 for one in stored)
        assert len(ends.keys() - acknowledged.keys() - lost) <= CONCURRENCY
        lost |= ends.keys() - acknowledged.keys()
        first = max(ends) + CONCURRENCY
