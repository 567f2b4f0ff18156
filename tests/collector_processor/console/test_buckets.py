"""Many windows in a few columns, and nothing of what stands out is lost."""

import numpy as np
import pytest
from history_samples import HOUR, columns, record

from collector_processor.console.buckets import charts, cuts, heat_groups
from collector_processor.history import CallFigures, Heat


def heat(magnitudes, flags=None):
    found = np.asarray(magnitudes, np.float64)
    flagged = np.zeros(found.shape, np.uint8) if flags is None else np.asarray(flags, np.uint8)
    return Heat(np.arange(1, found.shape[1] + 1) * HOUR, columns(len(found)), found, flagged)


def line(start, rows=100, calls=None, **changes):
    return record(start, rows=rows, calls=calls, **changes).line


@pytest.mark.parametrize("count", [0, 1, 59, 60])
def test_few_windows_stand_alone(count):
    """Nothing is put together that there is room for."""
    assert cuts(np.arange(count) * HOUR, 60).tolist() == list(range(count))


@pytest.mark.parametrize("count", [61, 720, 8640])
def test_many_are_put_together_by_equal_spans(count):
    """At most as many as there is room for, each window in one of them."""
    times = np.arange(count) * HOUR + 17
    starts = cuts(times, 60)
    lengths = np.diff([*starts, count])

    assert len(starts) <= 60
    assert starts[0] == 0
    assert lengths.min() > 0
    assert np.ptp(lengths[:-1]) <= 1


def test_a_gap_is_no_reason_for_empty_groups():
    """Nobody was heard for a week: the windows before and after it stand beside each other."""
    times = np.concatenate([np.arange(50), 10_000 + np.arange(50)]) * HOUR

    starts = cuts(times, 60)

    assert starts.tolist() == [0, 50]


def test_a_group_shows_its_worst_window():
    """With all of its flags; what was measured nowhere is unknown."""
    magnitudes = np.full((2, 120), 0.1)
    magnitudes[0, 77] = 4.0
    magnitudes[1] = np.nan
    flags = np.zeros((2, 120))
    flags[0, 77], flags[0, 78] = 1, 4

    times, largest, together = heat_groups(heat(magnitudes, flags))
    place = int(np.argmax(largest[0]))

    assert len(times) == 60
    assert (times[0], times[-1]) == (2 * HOUR, 120 * HOUR)
    assert largest[0].max() == 4.0
    assert times[place] - 2 * HOUR < 78 * HOUR <= times[place]
    assert np.isnan(largest[1]).all()
    assert sorted(set(together[0].tolist())) in ([0, 1, 4], [0, 5])


def test_no_windows_are_no_groups():
    """A range in which nobody was heard."""
    assert heat_groups(heat(np.zeros((0, 0))))[0] == []
    assert charts([]) == {
        name: [] for name in ("times", "rows", "drifted", "error_ratio", "p50_s", "p95_s", "p99_s")
    }  # fmt: skip


def test_charts_add_up_rows_and_keep_the_worst_latency():
    """Of groups of windows: sums of what is counted, the largest of what should be small."""
    lines = [line(hour * HOUR, rows=10, drifted=hour % 2, compared=4,
                  calls=CallFigures(100, {"E": 5}, 0.01, 0.02, 0.03 + hour % 2)) for hour in range(600)]  # fmt: skip

    found = charts(lines, 300)

    assert len(found["times"]) == 300
    assert sum(found["rows"]) == 6000
    assert set(found["p99_s"]) == {1.03}
    assert found["error_ratio"] == pytest.approx([0.05] * 300)
    assert set(found["drifted"]) == {0.25}


def test_what_was_not_measured_is_no_zero():
    """No calls were told of, and nothing was compared."""
    found = charts([line(0, compared=0), line(HOUR, calls=CallFigures(0))])

    assert found["error_ratio"] == found["p95_s"] == [None, None]
    assert found["drifted"][0] is None
