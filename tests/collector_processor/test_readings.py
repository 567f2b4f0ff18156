"""What sums have grown by in the last hour, from a reading a minute."""

from hypothesis import given
from hypothesis import strategies as st
from processor_samples import MINUTE

from collector_processor.readings import Readings, Recent

HOUR = 60 * MINUTE
NOW = 1_000_000 * HOUR
KEY = ("dropped", frozenset({("reason", "a")}))
OTHER = ("dropped", frozenset({("reason", "b")}))


def read(*values, every=MINUTE, start=NOW):
    """Readings of one sum, and the time of the last."""
    readings, now = Readings(), start
    for place, value in enumerate(values):
        now = start + place * every
        readings.take(now, {KEY: value})
    return readings, now


def test_what_was_counted_before_the_first_reading_is_new():
    """A processor begins with nothing."""
    assert Readings().recent(NOW, {KEY: 3, OTHER: 1}) == {KEY: Recent(3, NOW), OTHER: Recent(1, NOW)}


def test_what_came_since_the_last_reading_counts():
    """Nobody has to wait a minute to see a loss."""
    readings, now = read(0, 2, 2)

    assert readings.recent(now + 1, {KEY: 2}) == {KEY: Recent(2, now - MINUTE)}
    assert readings.recent(now + 1, {KEY: 5}) == {KEY: Recent(5, now + 1)}


def test_after_an_hour_it_is_old_and_when_it_was_is_known():
    """To the minute, and for as long as the process lives."""
    readings, _ = read(4, *[4] * 59)

    assert readings.recent(NOW + HOUR - 1, {KEY: 4}) == {KEY: Recent(4, NOW)}
    assert readings.recent(NOW + HOUR, {KEY: 4}) == {KEY: Recent(0, NOW)}
    assert readings.recent(NOW + 99 * HOUR, {KEY: 4}) == {KEY: Recent(0, NOW)}


def test_a_pause_is_not_taken_for_the_present():
    """The machine slept: what was before is as old as it is."""
    readings, now = read(4)
    readings.take(now + 9 * HOUR, {KEY: 5})

    assert readings.recent(now + 9 * HOUR, {KEY: 5}) == {KEY: Recent(1, now + 9 * HOUR)}


def test_a_clock_that_was_set_back_keeps_no_more_than_an_hour_of_readings():
    """Else a loss would be new until the clock has caught up."""
    readings, _ = read(4, start=NOW + 99 * HOUR)
    for place in range(61):
        readings.take(NOW + place * MINUTE, {KEY: 4})

    assert readings.recent(NOW + HOUR, {KEY: 4})[KEY].grown == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_it_is_the_sum_of_the_last_hour(steps):
    """Whatever came before; memory is bounded."""
    values = [sum(steps[: place + 1]) for place in range(len(steps))]

    readings, now = read(*values)

    assert readings.recent(now, {KEY: values[-1]})[KEY].grown == sum(steps[-60:])
    assert len(readings._ring) <= 61
