"""Online control of the false discovery rate over windows."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.sequential import OnlineFdr
from otel_ml.errors import ConfigurationError

P_VALUES = st.lists(st.none() | st.just(math.nan) | st.floats(0, 1), max_size=8)


def decisions(control, windows):
    return [(verdict.level, verdict.rejected) for verdict in map(control.observe, windows)]


def test_a_worked_example():
    """Levels by hand: w = 1/10; a window of 4 after 2 discoveries has 0.05 / 10 · (4 + 2) / 4."""
    control = OnlineFdr(level=0.05, horizon=10)

    first = control.observe([0.0001, 0.002, 0.3, 0.9])
    second = control.observe([0.0018, 0.5, 0.6, 0.7])

    assert first.level == pytest.approx(0.005)
    assert first.rejected == [True, True, False, False]
    assert first.q_values == pytest.approx([0.0004, 0.004, 0.4, 0.9])
    assert second.level == pytest.approx(0.0075)
    assert second.rejected == [True, False, False, False]


def test_the_same_evidence_is_found_after_a_year_of_clean_windows():
    """Silence does not wear the control out: 1e-8 in one of 100 columns is a discovery in any window."""
    control = OnlineFdr()
    clean = [0.5] * 100
    for _ in range(24 * 365):
        control.observe(clean)

    assert control.observe([1e-8, *clean[1:]]).rejected[0]


def test_no_false_discovery_in_most_clean_histories():
    """20 clean columns over a whole horizon: any discovery at all in at most 5 % of the histories."""
    rng = np.random.default_rng(1)
    histories = 200

    spoiled = 0
    for _ in range(histories):
        control = OnlineFdr(level=0.05, horizon=200)
        spoiled += any(any(control.observe(p_values).rejected) for p_values in rng.random((200, 20)).tolist())

    # Three standard errors above 5 %.
    assert spoiled / histories <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / histories)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_share_of_false_discoveries_stays_below_the_level(correlation):
    """5 of 30 columns have drifted, the others are clean, and all are correlated: on average ≤ 10 % are false."""
    rng = np.random.default_rng(2)
    drifted = np.arange(30) < 5

    shares = []
    for _ in range(60):
        control = OnlineFdr(level=0.1, horizon=50)
        found = np.zeros(30)
        for _ in range(50):
            common, own = rng.normal(), rng.normal(size=30)
            z = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own + 3.5 * drifted
            p_values = [0.5 * math.erfc(value / math.sqrt(2)) for value in z]
            found += np.array(control.observe(p_values).rejected)
        shares.append(found[~drifted].sum() / max(found.sum(), 1))

    assert np.mean(shares) <= 0.1


def test_a_horizon_later_earlier_discoveries_buy_nothing():
    """Credit for discoveries ends with the stretch of windows they were made in."""
    control = OnlineFdr(level=0.05, horizon=5)
    for _ in range(5):
        control.observe([1e-12] * 4)

    assert control.observe([0.5] * 4).level == pytest.approx(0.05 / 5)


def test_any_dependence_costs_the_harmonic_number():
    """Benjamini-Yekutieli: with 4 columns q-values are 1 + 1/2 + 1/3 + 1/4 times as high."""
    p_values = [0.001, 0.01, 0.02, 0.2]

    positive = OnlineFdr().observe(p_values).q_values
    any_dependence = OnlineFdr(any_dependence=True).observe(p_values).q_values

    assert any_dependence == pytest.approx(np.array(positive) * 25 / 12)


def test_a_window_without_tests_uses_nothing_up():
    """Nights without traffic do not count among the windows."""
    control = OnlineFdr(horizon=3)
    before = control.encode()

    verdict = control.observe([None, math.nan])

    assert verdict.rejected == [None, None]
    assert control.encode() == before


@given(windows=st.lists(P_VALUES, max_size=20), cut=st.integers(0, 20))
def test_a_restart_changes_nothing(windows, cut):
    """What was encoded to JSON and restored decides as if it had never stopped."""
    straight = OnlineFdr(level=0.3, horizon=7)
    before, after = OnlineFdr(level=0.3, horizon=7), OnlineFdr(level=0.3, horizon=7)

    expected = decisions(straight, windows)
    resumed = decisions(before, windows[:cut])
    after.restore(json.loads(json.dumps(before.encode())))
    resumed += decisions(after, windows[cut:])

    assert resumed == expected


@given(
    p_values=st.lists(st.floats(0, 1), min_size=1, max_size=10),
    place=st.integers(0, 9),
    factor=st.floats(0, 1),
    history=st.lists(P_VALUES, max_size=5),
)
def test_a_smaller_p_value_never_undoes_a_discovery(p_values, place, factor, history):
    """More evidence in one column takes no discovery away, from it or from the others."""
    lower = list(p_values)
    lower[place % len(lower)] *= factor
    one, other = OnlineFdr(level=0.5, horizon=3), OnlineFdr(level=0.5, horizon=3)
    for window in history:
        one.observe(window)
        other.observe(window)

    before, after = one.observe(p_values).rejected, other.observe(lower).rejected

    assert all(now or not was for was, now in zip(before, after, strict=True))


@given(windows=st.lists(P_VALUES, max_size=30))
def test_no_level_exceeds_that_of_an_ordinary_window(windows):
    """However much was found before, no window is tested more loosely than it would be by itself."""
    control = OnlineFdr(level=0.2, horizon=4)

    assert all(0 < control.observe(window).level <= 0.2 for window in windows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 0}, "online_fdr::level: 0 is not valid .a number above 0 and at most 0.5"),
        ({"level": math.nan}, "online_fdr::level: nan is not valid"),
        ({"horizon": 0}, "online_fdr::horizon: 0 is not valid .a whole number from 1 to 10000000"),
        ({"horizon": 10.0}, "online_fdr::horizon: 10.0 is not valid"),
    ],
)
def test_settings_are_checked(settings, message):
    """A wrong setting is named with what would be valid."""
    with pytest.raises(ConfigurationError, match=message):
        OnlineFdr(**settings)


@pytest.mark.parametrize("p_value", [-0.1, 1.1])
def test_what_is_no_p_value_is_refused_and_leaves_no_trace(p_value):
    """A number outside [0, 1] is a mistake of the caller, not evidence."""
    control = OnlineFdr()

    with pytest.raises(ValueError, match="p"):
        control.observe([0.5, p_value])

    assert control.encode() == OnlineFdr().encode()


@pytest.mark.parametrize("state", [{}, {"windows": -1, "discoveries": 0}, {"windows": 1, "discoveries": "2"}])
def test_a_broken_state_is_refused(state):
    """A state that is none is an error that names the field, and what was known stays."""
    control = OnlineFdr()
    control.observe([0.5])
    before = control.encode()

    with pytest.raises(ValueError, match=r"state::(windows|discoveries)"):
        control.restore(state)

    assert control.encode() == before
