"""Many windows in a few columns, and nothing of what stands out is lost."""

import math

import numpy as np
import pytest
from history_samples import HOUR, columns, record
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.console.buckets import charts, cuts, heat_groups
from collector_processor.history import CallFigures, Heat
from otel_ml.drawing.palette import LEVEL_BOUNDS, level


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


def test_a_group_shows_how_far_its_worst_window_went():
    """With all of its flags; what was measured nowhere is unknown."""
    magnitudes = np.full((2, 120), 0.1)
    magnitudes[0, 77] = 4.0
    magnitudes[1] = np.nan
    flags = np.zeros((2, 120))
    flags[0, 77], flags[0, 78] = 1, 4

    groups = heat_groups(heat(magnitudes, flags))
    place = int(np.argmax(groups.magnitudes[0]))

    assert groups.windows == [2] * 60
    assert (groups.ends[0], groups.ends[-1]) == (2 * HOUR, 120 * HOUR)
    assert groups.magnitudes[0].max() == 4.0
    assert groups.ends[place] - 2 * HOUR < 78 * HOUR <= groups.ends[place]
    assert np.isnan(groups.magnitudes[1]).all()
    assert sorted(set(groups.flags[0].tolist())) in ([0, 1, 4], [0, 5])


@pytest.mark.parametrize(
    ("magnitudes", "flags", "worst"),
    [
        ([0.1, 2.5, 0.3, 2.0], [0, 0, 0, 0], 2),
        ([0.1, 0.9, 0.3, 0.2], [0, 0, 0, 4], 4),
        ([0.1, 2.5, 0.3, 0.2], [0, 0, 0, 8], 2),
        ([np.nan, np.nan, 0.1, np.nan], [0, 0, 0, 0], 3),
        ([np.nan, np.nan, 0.9, 0.8], [0, 4, 0, 0], 2),
        ([np.nan] * 4, [0] * 4, 1),
        ([0.5, 0.5, 0.5, 0.5], [0] * 4, 1),
    ],
)
def test_of_a_group_the_window_to_look_at_is_its_worst(magnitudes, flags, worst):
    """One that is beyond its threshold or was told of, and of those the one that went furthest; the first of equals."""
    groups = heat_groups(heat([magnitudes], [flags]), most=1)

    assert groups.windows == [4]
    assert groups.worst.tolist() == [[worst * HOUR]]


@given(st.lists(st.floats(0, 5) | st.just(math.nan) | st.sampled_from(LEVEL_BOUNDS), min_size=1, max_size=60))
def test_a_cell_has_the_level_of_the_palette(magnitudes):
    """That of its magnitude, also on a bound and where there is none."""
    groups = heat_groups(heat([magnitudes]))

    assert groups.levels[0].tolist() == [level(value, 1.0) for value in magnitudes]


def test_windows_that_stand_alone_are_the_worst_of_themselves():
    """Nothing is put together, so every cell leads to its own."""
    groups = heat_groups(heat([[0.1, 5.0, 0.1], [4.0, 0.1, 0.1]]))

    assert groups.worst.tolist() == [[HOUR, 2 * HOUR, 3 * HOUR]] * 2
    assert groups.windows == [1, 1, 1]


def test_no_windows_are_no_groups():
    """A range in which nobody was heard."""
    assert heat_groups(heat(np.zeros((0, 0)))).ends == []
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
