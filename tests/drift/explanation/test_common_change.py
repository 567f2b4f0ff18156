import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from otel_ml.drift.explanation import common_change
from otel_ml.errors import ConfigurationError

NAMES = [f"f{index}" for index in range(20)]
QUIET = dict.fromkeys(NAMES, False)


def drifting(*names):
    return QUIET | dict.fromkeys(names, True)


def test_many_that_begin_at_once_are_one_change():
    """12 of 20 quiet features in one window are told together, by name."""
    change = common_change(drifting(*NAMES[:12]), [QUIET] * 10)

    assert change is not None
    assert change.features == tuple(NAMES[:12])
    assert (change.measured, change.share) == (20, 0.6)
    assert change.p_value < 1e-12


def test_few_that_begin_are_their_own_news():
    """A share below the least, or a number below the least, is no common change."""
    assert common_change(drifting(*NAMES[:9]), [QUIET] * 10) is None
    assert common_change({"a": True, "b": True}, [{"a": False, "b": False}] * 500) is None
    assert common_change(QUIET, [QUIET] * 10) is None
    assert common_change({}) is None


def test_it_is_told_once():
    """In the next window the same features drift still, but do not begin to."""
    change = drifting(*NAMES[:12])

    assert common_change(change, [QUIET] * 10 + [change]) is None


def test_drift_that_came_bit_by_bit_is_no_common_change():
    """Features that had drifted before do not count among those that begin."""
    before = [drifting(*NAMES[:count]) for count in range(0, 15, 2)]

    assert common_change(drifting(*NAMES), before) is None


def test_what_begins_all_the_time_is_no_news():
    """Where half of the quiet features begin to drift in every window, half of them is what is usual."""
    chance = np.random.default_rng(1)
    before = [{name: bool(chance.random() < 0.5) for name in NAMES} for _ in range(50)]

    assert common_change(drifting(*NAMES[:12]), [*before, QUIET]) is None


def test_the_usual_rate_is_that_of_the_windows_before():
    """With many windows the beta-binomial is the binomial at the rate that was seen."""
    # Every window one feature begins, and is quiet again in the next: one of the twenty quiet ones each.
    before = [window for index in range(400) for window in (drifting(NAMES[index % 20]), QUIET)]

    change = common_change(drifting(*NAMES[:5]), before, min_share=0.25)

    onsets, chances = 400, 800 * 20 - 400
    assert change.usual_rate == pytest.approx(onsets / chances, rel=0.01)
    assert change.p_value == pytest.approx(binom.sf(4, 20, onsets / chances), rel=0.1)


def test_without_a_past_everything_in_the_first_window_is_one_change():
    """A baseline of another population makes one report, not one for each feature."""
    change = common_change(drifting(*NAMES))

    assert change.features == tuple(NAMES)
    assert change.usual_rate == pytest.approx(0.05)


def test_windows_without_a_verdict_neither_begin_nor_end_drift():
    """A feature that was not measured for a while is as it was when it last was."""
    change = drifting(*NAMES[:12])

    assert common_change(change, [QUIET] * 9 + [change, {}, {"f19": False}]) is None


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.booleans()), min_size=1, max_size=12))
def test_whatever_it_tells_began_in_this_window(windows):
    """Every feature named drifts, and did not when it was last measured."""
    *before, now = windows

    change = common_change(now, before, min_share=0.1, min_features=2, alpha=1.0)

    last = {name: drifts for window in before for name, drifts in window.items()}
    began = tuple(name for name, drifts in now.items() if drifts and not last.get(name, False))
    if change is None:
        assert len(began) < 2 or len(began) < 0.1 * len(now)
    else:
        assert change.features == began
        assert 0 < change.p_value < 1
        assert 0 < change.usual_rate < 1


@pytest.mark.parametrize("setting", [{"min_share": 0}, {"min_share": 1.1}, {"min_features": 1}, {"alpha": 0}])
def test_a_setting_out_of_its_range_is_refused_by_name(setting):
    """The error says which one."""
    (name,) = setting
    with pytest.raises(ConfigurationError, match=f"^common_change::{name}: "):
        common_change(QUIET, **setting)
