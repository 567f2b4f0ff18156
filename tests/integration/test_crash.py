"""The processor is killed at random moments under load, and nothing is lost or counted twice."""

import os

import pytest
from peers.running import REQUIRED

from benchmarks.crash.run import run
from benchmarks.processor.collector import NoCollectorError, collector_binary
from benchmarks.processor.programs import NoProgramsError, folder_of_programs

KILLS = int(os.environ.get("OTEL_ML_CRASH_KILLS", "20"))
"""`python -m benchmarks crash --kills 200` does the same for longer."""


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_behind_a_collector(tmp_path, programs):
    """What a Collector took is merged exactly once, and records that pass through arrive, whatever is killed."""
    try:
        collector_binary()
    except NoCollectorError as error:
        left_out(error)

    outcome = run(tmp_path, KILLS, _seed(), with_collector=True)

    assert_kept(outcome)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_without_a_collector(tmp_path, programs):
    """What the processor itself acknowledged survives it; what it did not is sent again, and counted once."""
    outcome = run(tmp_path, max(KILLS // 4, 2), _seed(), with_collector=False)

    assert_kept(outcome)


@pytest.fixture(scope="module")
def programs():
    try:
        return folder_of_programs()
    except NoProgramsError as error:
        left_out(error)


def left_out(error):
    """Skip, but where all peers have to be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(str(error))
    pytest.skip(str(error))


def assert_kept(outcome):
    assert outcome.problems == [], f"seed {outcome.seed}, {outcome.kills}"
    assert outcome.difference.is_none
    assert outcome.lost_records == 0
    # Else nothing was put to the test.
    assert outcome.kills.total >= 2
    assert outcome.snapshots > 0
    assert outcome.records > 0


def _seed():
    """Printed by pytest when the test fails; OTEL_ML_CRASH_SEED repeats the same load and the same plan of kills."""
    seed = int(os.environ.get("OTEL_ML_CRASH_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"OTEL_ML_CRASH_SEED={seed}")
    return seed
