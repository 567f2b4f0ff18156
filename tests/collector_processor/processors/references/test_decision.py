"""Which reference decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.processors.references.decision import decide

VERDICTS = st.sampled_from([True, False, None])


@pytest.mark.parametrize(
    ("verdicts", "drifted", "overruled_by"),
    [
        ({"baseline": True}, True, ()),
        ({"baseline": False}, False, ()),
        ({"baseline": True, "last_day": None, "last_week": None}, True, ()),
        ({"baseline": True, "last_day": True}, True, ()),
        ({"baseline": True, "last_day": True, "last_week": True}, True, ()),
        ({"baseline": True, "last_day": False}, False, ("last_day",)),
        ({"baseline": True, "last_day": True, "last_week": False}, False, ("last_week",)),
        ({"baseline": False, "last_day": True, "last_week": True}, False, ()),
        ({"baseline": True, "last_day": None, "last_week": False}, False, ("last_week",)),
        ({"baseline": True, "trailing": False}, True, ()),
        ({"baseline": False, "stable": True}, False, ()),
        ({"baseline": None, "trailing": True}, True, ()),
        ({"baseline": None, "trailing": True, "last_day": None}, False, ()),
        ({"baseline": None, "trailing": True, "last_day": True}, True, ()),
        ({"baseline": None, "trailing": True, "last_day": False}, False, ("last_day",)),
        ({"baseline": None, "last_day": True}, True, ()),
        ({"baseline": None, "last_day": True, "last_week": False}, False, ()),
        ({"baseline": None, "last_day": None}, False, ()),
        ({}, False, ()),
    ],
)
def test_the_baseline_decides_and_the_season_may_object(verdicts, drifted, overruled_by):
    """Unlike the training data, and unlike what is usual for the time."""
    decision = decide(verdicts)

    assert decision.drifted is drifted
    assert decision.overruled_by == overruled_by


@given(st.dictionaries(st.sampled_from(["baseline", "trailing", "last_day", "last_week", "stable"]), VERDICTS))
def test_another_objection_never_raises_an_alarm(verdicts):
    """Nothing that fits is a reason for alarm."""
    for name in ("last_day", "last_week"):
        assert not (decide({**verdicts, name: False}).drifted and not decide(verdicts).drifted)


@given(st.dictionaries(st.sampled_from(["baseline", "trailing", "last_day", "last_week"]), VERDICTS))
def test_the_stable_deployment_has_no_say(verdicts):
    """To drift from it is another finding."""
    with_it = [decide({**verdicts, "stable": verdict}).drifted for verdict in (True, False, None)]

    assert with_it == [decide(verdicts).drifted] * 3


def test_only_what_a_seasonal_reference_confirms_is_marked():
    """On the first day every night would be, and none would be an example to the second."""
    confirmed = decide({"baseline": True, "last_day": True})
    on_the_first_day = decide({"baseline": True, "last_day": None})

    assert (confirmed.drifted, confirmed.is_confirmed) == (True, True)
    assert (on_the_first_day.drifted, on_the_first_day.is_confirmed) == (True, False)
