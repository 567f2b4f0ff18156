"""Fuzzing finds what goes wrong, names the item, and sends the same item again."""

import pytest

from benchmarks import fuzz
from benchmarks.fuzz.child import main
from benchmarks.fuzz.corpus import corpus
from benchmarks.fuzz.mutations import item
from collector_processor.component import Signal


@pytest.mark.slow
def test_hostile_requests_do_no_harm():
    """No crash, no hang; and some of what was changed still is a snapshot, so that all parts are reached."""
    found = fuzz.fuzz(seed=3, items=400)

    assert (found.crashes, found.hangs) == ({}, {})
    assert found.counts["read"] > found.counts["merged"] // 2 > 0
    assert found.counts["evaluated"] > 0


def test_a_process_that_dies_or_hangs_is_named_by_its_item_and_the_rest_is_sent_nevertheless():
    """A crash beyond Python's own errors takes the process with it."""
    found = fuzz.fuzz(seed=1, items=9, module="tests.benchmarks.failing_child", stalled_s=1.0)

    assert set(found.crashes) == {2, 4}
    assert found.hangs == {6: 1.0}
    assert found.counts == {"read": 1}


@pytest.mark.slow
def test_an_item_follows_from_its_seed_and_number(capsys):
    """What was found once can be looked at."""
    first, second = corpus(), corpus()

    items = [item(first, 5, index) for index in range(60)]

    assert items == [item(second, 5, index) for index in range(60)]
    assert {signal for signal, _, _ in items} == set(Signal)
    assert main(["--seed", "5", "--item", "7"]) == 0
    assert capsys.readouterr().out.startswith(("taken", "refused"))
