"""Many features that begin to drift at once are one change: told when it begins, and when it is over."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
from processor_samples import MINUTE, MODEL, SECOND, START

from collector_processor.processors.alerts import AlertBook, AlertSettings, AlertState
from collector_processor.processors.common_changes import CommonChanges
from collector_processor.processors.evaluation import DRIFT, Check, FeatureEvaluation, WindowEvaluation
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

NAMES = [f"f{index}" for index in range(10)]
MOVED = NAMES[:8]
WINDOW_S = 300.0
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


class Clock:
    """A wall clock that stands still unless told."""

    def __init__(self):
        self.now_s = 1_800_000_000.0

    def __call__(self):
        return round(self.now_s * SECOND)


class Watched:
    """Windows of a model one after the other, and what is told of them."""

    def __init__(self, kept=None, clock=None, window_s=WINDOW_S, **settings):
        self.settings = AlertSettings(**settings)
        self.clock = clock or Clock()
        self.book = AlertBook(self.settings)
        self.changes = CommonChanges(self.settings, self.book, window_s, self.clock)
        self.number = 0
        if kept is not None:
            alerts, changes = kept
            self.book.restore(alerts)
            self.changes.restore(changes)

    def see(self, *windows):
        """(what became of the alert, how many features it is about) in each window."""
        told = map(self.take, windows)
        return [one and ("fires" if one.is_firing else "is over", len(one.features)) for one in told]

    def take(self, evaluation):
        standing = self.changes.observe(evaluation)
        return None if standing is None else self.changes.tell(evaluation, standing)

    def next(self, drifted=(), **changes):
        """The window after the last one."""
        self.number += 1
        return window(drifted, number=self.number, **changes)

    def restarted(self, *, clock=None):
        again = Watched((self.book.encode(), self.changes.encode()), clock or self.clock)
        again.number = self.number
        return again

    @property
    def state(self):
        return next(iter(self.book.alerts.values())).state if self.book.alerts else AlertState.QUIET


def window(
    drifted,
    *,
    number=0,
    names=NAMES,
    score=0.5,
    usual=(),
    model=MODEL,
    segment=None,
    role=FeatureRole.FEATURE,
    checked=True,
    **changes,
):
    features = []
    for name in names:
        is_big = name in drifted
        check = Check(DRIFT, "psi", score if is_big else 0.0, 0.2, is_big and score > 0.2, 1e-9, 1_000, q_value=1e-9)
        if name in usual:
            check = replace(check, overruled_by=("last_day",))
        checks = [check] if checked else []
        key = FeatureKey(role, name)
        features.append(FeatureEvaluation(key, FeatureKind.NUMERIC, Counters(rows=1_000), 1_000, checks=checks))
    start = START + number * 5 * MINUTE
    return WindowEvaluation(
        model, start, start + 5 * MINUTE, 1_000, False, "evaluated", "ab12cd34", features, segment, **changes
    )


def firing(**settings):
    """A model of which eight of ten features began to drift in its latest window."""
    watched = Watched(**settings)
    assert watched.see(watched.next(), watched.next(MOVED)) == [None, ("fires", 8)]
    return watched


def explained(watched, name, model=MODEL, role=FeatureRole.FEATURE):
    return watched.changes.explains(model, FeatureKey(role, name))


def test_many_at_once_are_told_once():
    """In the window where they begin, and not again while they last."""
    watched = Watched()
    before = watched.see(watched.next(), watched.next())

    told = watched.take(watched.next(MOVED))
    after = watched.see(*(watched.next(MOVED) for _ in range(5)))

    assert before == [None, None]
    assert (told.is_firing, told.features) == (True, tuple(MOVED))
    assert told.reason.startswith("8 of 10 features began to drift at once, where")
    assert after == [None] * 5
    assert watched.state is AlertState.FIRING


def test_it_is_over_once_few_of_them_drift_any_more():
    """In as many windows in a row as other alerts take, and told once."""
    watched = firing()

    told = watched.see(*(watched.next(drifted) for drifted in ([], MOVED[:1], MOVED[:1], [])))

    assert told == [None, ("is over", 8), None, None]
    assert watched.state is AlertState.QUIET


def test_the_end_is_told_with_its_numbers():
    """As of other alerts."""
    watched = firing()

    *_, told = [watched.take(watched.next(MOVED[:1])) for _ in range(2)]

    assert told.reason == (
        "1 of 8 features that began to drift at once still do, less than 37.5% of them, 2 windows in a row"
    )


def test_one_good_window_is_not_its_end():
    """Nor is what comes back after it another change."""
    watched = firing()

    told = watched.see(*(watched.next(drifted) for drifted in ([], MOVED, [], MOVED, [], [])))

    assert told == [None, None, None, None, None, ("is over", 8)]


@pytest.mark.parametrize(("left", "ends"), [(3, True), (4, False)])
def test_between_the_two_thresholds_nothing_changes(left, ends):
    """It begins with half of the features, and ends below three quarters of that."""
    watched = Watched()
    watched.see(watched.next(), watched.next(NAMES))

    told = watched.see(*(watched.next(NAMES[:left]) for _ in range(6)))

    assert (("is over", 10) in told) == ends


def test_a_feature_ends_where_its_own_alert_does():
    """Below the lower threshold: else its parts would be told one by one, a window after it was over."""
    watched = firing()

    between = watched.see(*(watched.next(MOVED, score=0.17) for _ in range(4)))
    below = watched.see(*(watched.next(MOVED, score=0.14) for _ in range(2)))

    assert between == [None] * 4
    assert below == [None, ("is over", 8)]


def test_what_turns_out_to_be_usual_is_over_too():
    """After three times as many windows, as other alerts."""
    watched = firing()

    told = watched.see(*(watched.next(MOVED, usual=MOVED) for _ in range(6)))

    assert told == [None] * 5 + [("is over", 8)]


def test_another_one_can_begin_after_it():
    """What was over is news again."""
    watched = firing()
    watched.see(*(watched.next() for _ in range(40)))

    assert watched.see(watched.next(NAMES[2:])) == [("fires", 8)]


def test_one_that_begins_while_another_goes_on_goes_on_with_it():
    """It fires already; it is over with the last of them, and not before."""
    watched = Watched()
    watched.see(*(watched.next() for _ in range(20)), watched.next(NAMES[:5]))

    second = watched.see(watched.next(NAMES))
    first_ends = watched.see(*(watched.next(NAMES[5:]) for _ in range(4)))
    both_end = watched.see(*(watched.next() for _ in range(2)))

    assert second == [None]
    assert first_ends == [None] * 4
    assert both_end == [None, ("is over", 10)]


def test_one_that_begins_when_another_is_nearly_over_keeps_it_firing():
    """Of the first one nothing is left: that must not end the second."""
    names = [f"g{number}" for number in range(40)]
    watched = Watched()
    watched.see(*(watched.next(names=names) for _ in range(20)), watched.next(names[:20], names=names))

    told = watched.see(watched.next(names=names), *(watched.next(names[20:], names=names) for _ in range(4)))
    most_go_on = watched.see(*(watched.next(names[26:], names=names) for _ in range(4)))

    assert told + most_go_on == [None] * 9
    assert watched.state is AlertState.FIRING


def test_windows_without_a_verdict_on_its_features_say_nothing():
    """A night without traffic is no end, nor is one in which only others have values."""
    watched = firing()

    night = watched.see(*(watched.next(checked=False) for _ in range(5)))
    others = watched.see(*(watched.next(names=NAMES[8:]) for _ in range(5)))

    assert (night, others) == ([None] * 5, [None] * 5)
    assert watched.state is AlertState.FIRING


def test_features_that_lost_their_values_do_not_hold_it():
    """Whether they drift nobody knows; that they are missing is told by other alerts."""
    watched = firing()

    told = watched.see(*(watched.next(names=NAMES[4:]) for _ in range(2)))

    assert told == [None, ("is over", 8)]


def test_alerts_of_these_features_are_part_of_it_for_some_windows():
    """An alert fires a window or two after its feature began to drift; later ones are news again."""
    watched = firing()

    seen = []
    for _ in range(4):
        seen.append((explained(watched, "f0"), explained(watched, "f9")))
        watched.take(watched.next(MOVED))

    assert seen == [(True, False), (True, False), (True, False), (False, False)]


def test_alerts_are_part_of_no_change_that_is_over_or_of_another_model():
    """What refers to it must find it firing."""
    watched = firing()
    others = explained(watched, "f0", ModelKey("other")), explained(watched, "f0", role=FeatureRole.PREDICTION)

    watched.see(watched.next(), watched.next())

    assert others == (False, False)
    assert not explained(watched, "f0")


def test_one_after_the_other_is_no_common_change():
    """Each began on its own."""
    watched = Watched()

    told = watched.see(*(watched.next(NAMES[:count]) for count in range(len(NAMES) + 1)))

    assert not any(told)


def test_segments_and_outputs_are_left_out():
    """A segment repeats what the whole says; what all features did to a prediction is no cause."""
    watched = Watched()

    assert watched.see(watched.next(NAMES, segment=Segment("country", "NO"))) == [None]
    assert watched.see(watched.next(NAMES, role=FeatureRole.PREDICTION)) == [None]


def test_a_restart_in_its_middle_is_no_second_beginning_and_no_lost_end():
    """Nor are alerts of its features news that are still to come."""
    watched = firing()
    watched.see(watched.next())

    again = watched.restarted()
    part = explained(again, "f0")
    told = again.see(again.next(), again.next())

    assert part
    assert told == [("is over", 8), None]


def test_what_drifted_one_after_the_other_is_no_change_after_a_restart():
    """When each of them began is remembered."""
    watched = Watched()
    kept = dict(watched.changes.encode())
    watched.see(*(watched.next(NAMES[:count]) for count in range(len(NAMES) + 1)))

    from_changes = Watched((watched.book.encode(), {**kept, **watched.changes.changes()}), watched.clock)
    from_all = watched.restarted()

    for again in (from_all, from_changes):
        again.number = watched.number
        assert again.see(again.next(NAMES), again.next(NAMES)) == [None, None]


def test_what_changed_since_is_enough_to_go_on_with():
    """A checkpoint is of what is not as it was; of a change that ended nothing goes on."""
    watched = firing()
    kept = dict(watched.changes.encode())
    unchanged = watched.changes.changes()

    watched.see(watched.next(), watched.next())
    changed = watched.changes.changes()
    again = Watched((watched.book.encode(), {**kept, **changed}), watched.clock)

    assert unchanged == {}
    assert again.changes.encode() == watched.changes.encode()
    assert not explained(again, "f0")


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({}, None),
        ({'["fraud"]': b"{}"}, "not enough values"),
        ({'["fraud", "3"]': b"{}"}, "KeyError"),
        ({'["fraud", "3"]': b'{"format": 0}'}, "format 0"),
        ({"nonsense": b"nonsense"}, "Expecting value"),
    ],
)
def test_an_alert_ends_although_what_it_is_about_was_lost(kept, said):
    """Of another version, perhaps: nothing fires for ever for want of memory."""
    watched = firing()
    again = Watched(clock=watched.clock)
    again.book.restore(watched.book.encode())
    again.number = watched.number
    with nullcontext() if said is None else pytest.raises(ValueError, match=said):
        again.changes.restore(kept)

    told = [again.take(again.next()) for _ in range(2)]

    assert told[0] is None
    assert told[1].reason == "which features began to drift at once is not known any more, 2 windows in a row"
    assert again.state is AlertState.QUIET


def test_an_amended_window_counts_with_what_it_says_last():
    """As in other alerts: the first verdict on the latest window is taken back."""
    watched = firing()
    watched.see(watched.next())
    last = watched.number

    amended = watched.see(window(MOVED, number=last, revision=1))
    after = watched.see(watched.next(), watched.next())

    assert amended == [None]
    assert after == [None, ("is over", 8)]


def test_an_amended_window_may_be_the_one_that_tells_the_end():
    """Where every window has too few rows before the late ones have come."""
    watched = firing()

    told = []
    for _ in range(2):
        told += watched.see(watched.next(checked=False), window((), number=watched.number, revision=1))

    assert told == [None, None, None, ("is over", 8)]


def test_what_began_in_a_window_stays_when_that_is_amended():
    """The windows after it say whether it goes on."""
    watched = firing()

    amended = watched.see(*(window((), number=watched.number, revision=revision) for revision in (1, 2, 3)))
    after = watched.see(watched.next(), watched.next())

    assert amended == [None] * 3
    assert after == [None, ("is over", 8)]


def test_a_window_of_before_says_nothing():
    """Later ones were judged already."""
    watched = firing()

    told = watched.see(*(window((), number=-number, is_newest=False, revision=number % 2) for number in range(1, 5)))

    assert told == [None] * 4
    assert watched.state is AlertState.FIRING


@pytest.mark.parametrize(("window_s", "patience_s"), [(WINDOW_S, 3 * DAY_S), (2 * DAY_S, 6 * DAY_S)])
def test_of_a_model_that_is_gone_it_ends_after_days(window_s, patience_s):
    """Longer than a weekend, and than a few windows."""
    watched = firing(window_s=window_s)

    watched.clock.now_s += patience_s - 1
    early = watched.changes.unheard()
    watched.clock.now_s += HOUR_S
    (told,) = watched.changes.unheard()
    watched.changes.end(told.model)
    watched.clock.now_s += HOUR_S

    assert early == []
    assert (told.model, told.is_firing, told.features, told.window) == (MODEL, False, tuple(MOVED), None)
    assert told.reason == f"no window told for {patience_s / DAY_S:.0f} days whether its features still drift"
    assert watched.changes.unheard() == []
    assert watched.state is AlertState.QUIET


def test_of_a_model_whose_windows_say_nothing_it_ends_as_well():
    """Its baseline is gone, or it has too few rows from now on."""
    watched = firing()

    for _ in range(4):
        watched.clock.now_s += DAY_S
        watched.see(watched.next(checked=False))

    assert [told.model for told in watched.changes.unheard()] == [MODEL]


def test_as_long_as_windows_say_something_it_does_not_end_by_the_clock():
    """It drifts, and has for weeks."""
    watched = firing()

    ended = []
    for _ in range(20):
        watched.clock.now_s += DAY_S
        watched.see(watched.next(MOVED))
        ended += watched.changes.unheard()

    assert ended == []


def test_what_was_not_ended_is_offered_again():
    """Whoever could not tell it tries again; not at every turn."""
    watched = firing()
    watched.clock.now_s += 4 * DAY_S

    offered = []
    for _ in range(3):
        offered.append(len(watched.changes.unheard()))
        watched.clock.now_s += 40

    assert offered == [1, 0, 1]


def test_after_a_restart_there_is_time_for_what_came_meanwhile():
    """The processor was down for a week, and its Collectors kept what it is to know."""
    watched = firing()
    watched.clock.now_s += 7 * DAY_S

    again = watched.restarted()
    at_once = again.changes.unheard()
    again.clock.now_s += HOUR_S
    later = again.changes.unheard()

    assert (len(at_once), len(later)) == (0, 1)


def test_a_clock_that_was_wrong_does_not_hold_it():
    """It stood a year ahead when the change began."""
    clock = Clock()
    clock.now_s += 365 * DAY_S
    watched = firing(clock=clock)
    right = Clock()

    again = watched.restarted(clock=right)
    right.now_s += 4 * DAY_S

    assert len(again.changes.unheard()) == 1


def test_models_that_came_and_went_are_forgotten_but_for_what_fires():
    """Their names come from whoever sends."""
    watched = firing()
    for number in range(1_000):
        watched.see(watched.next(model=ModelKey(f"model {number}")))

    assert len(watched.changes.encode()) == 1_001
    assert watched.see(watched.next(), watched.next()) == [None, ("is over", 8)]
