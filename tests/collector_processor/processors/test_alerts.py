"""When alerts fire, when they resolve, and that they do not flap."""

from dataclasses import replace

import pytest
from processor_samples import MINUTE, MODEL, START

from collector_processor.processors.alerts import AlertBook, AlertKey, AlertSettings, AlertState
from collector_processor.processors.evaluation import Check, FeatureEvaluation, WindowEvaluation
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole

AMOUNT = FeatureKey(FeatureRole.FEATURE, "amount")
KEY = AlertKey(MODEL, AMOUNT, "drift")


def window(score, q_value=1e-6, *, number=0, threshold=0.2, checked=True):
    check = Check("drift", "psi", score, threshold, score > threshold, q_value, 12_004, None, q_value, 42)
    feature = FeatureEvaluation(
        AMOUNT, FeatureKind.NUMERIC, Counters(rows=12_004), 12_004, checks=[check] if checked else []
    )
    start = START + number * 5 * MINUTE
    return WindowEvaluation(MODEL, start, start + 5 * MINUTE, 12_004, False, "evaluated", "ab12cd34", [feature])


def observe(book, *scores, q_value=1e-6):
    """The states after each window, and all transitions."""
    states, transitions = [], []
    for number, score in enumerate(scores):
        transitions += book.observe(window(score, q_value, number=number))
        states.append(book.state(KEY).name)
    return states, transitions


def test_an_alert_is_pending_at_the_first_breach_and_fires_at_the_second_of_three():
    """One bad window is chance or a deployment; two are a story."""
    states, transitions = observe(AlertBook(AlertSettings()), 0.3, 0.1, 0.3)

    assert states == ["PENDING", "PENDING", "FIRING"]
    assert [transition.state for transition in transitions] == [AlertState.FIRING]


def test_a_pending_alert_goes_quiet_when_breaches_leave_the_window():
    """Two breaches far apart do not add up."""
    states, transitions = observe(AlertBook(AlertSettings()), 0.3, 0.1, 0.1, 0.1, 0.3)

    assert states == ["PENDING", "PENDING", "PENDING", "QUIET", "PENDING"]
    assert transitions == []


def test_a_firing_alert_holds_between_the_two_thresholds():
    """A score that hovers around the threshold does not flap."""
    states, transitions = observe(AlertBook(AlertSettings()), 0.3, 0.3, 0.18, 0.18, 0.18, 0.18)

    assert states[1:] == ["FIRING"] * 5
    assert len(transitions) == 1


def test_a_firing_alert_resolves_after_enough_windows_below_the_off_threshold():
    """In a row: one good window is not the end of it."""
    states, transitions = observe(AlertBook(AlertSettings()), 0.3, 0.3, 0.1, 0.3, 0.1, 0.1)

    assert states == ["PENDING", "FIRING", "FIRING", "FIRING", "FIRING", "QUIET"]
    assert [transition.state.name for transition in transitions] == ["FIRING", "QUIET"]


def test_a_resolved_alert_needs_new_breaches_to_fire_again():
    """What was before the fix does not count after it."""
    settings = AlertSettings(breaches=2, windows=10, clear_windows=1)
    states, _ = observe(AlertBook(settings), 0.3, 0.3, 0.1, 0.3)

    assert states == ["PENDING", "FIRING", "QUIET", "PENDING"]


def test_an_alert_resolves_once_another_day_finds_the_same_usual():
    """On the first day a season looks like drift; from the second on, what fires must be news again."""
    book = AlertBook(AlertSettings())
    observe(book, 0.3, 0.3)
    seasonal = [window(0.3, number=number) for number in range(2, 8)]
    for evaluation in seasonal:
        (feature,) = evaluation.features
        feature.checks[0] = replace(feature.checks[0], overruled_by=("last_day",))

    transitions = [transition for evaluation in seasonal for transition in book.observe(evaluation)]

    assert transitions[0].window is seasonal[-1]
    assert [transition.state.name for transition in transitions] == ["QUIET"]
    assert "0.30, as usual at this time (last_day)" in transitions[0].reason
    assert "6 windows in a row" in transitions[0].reason


@pytest.mark.parametrize(("score", "q_value"), [(0.3, 0.5), (0.1, 1e-9)])
def test_neither_magnitude_nor_significance_fires_alone(score, q_value):
    """A big score may be chance, a significant one too small to matter."""
    states, _ = observe(AlertBook(AlertSettings()), score, score, score, q_value=q_value)

    assert states == ["QUIET"] * 3


def test_windows_without_a_verdict_change_nothing():
    """A night without traffic neither fires nor resolves."""
    book = AlertBook(AlertSettings())
    observe(book, 0.3, 0.3)

    for number in range(5):
        book.observe(window(0.0, number=number, checked=False))

    assert book.state(KEY) is AlertState.FIRING


def test_the_reason_of_a_bad_ratio_names_what_is_normal():
    """An increase alone does not tell whether one row in ten is bad, or nine."""
    missing = Check("missing", "increase", 0.51, 0.05, True, 0.0, 6_000, (0.65, 0.14), 0.0, 10)
    book, transitions = AlertBook(AlertSettings()), []
    for number in range(2):
        evaluated = window(0.0, number=number)
        feature = replace(evaluated.features[0], checks=[missing])
        transitions += book.observe(replace(evaluated, features=[feature]))

    (transition,) = transitions
    assert transition.reason == (
        "missing ratio 0.65, in the baseline 0.14: increase 0.51 > 0.05, q<1e-99 over 10 columns, n=6000,"
        " 2 of 3 windows, baseline ab12cd34"
    )


def test_the_reason_is_one_sentence_with_everything_it_rests_on():
    """Whoever is woken by it need not look anything up."""
    _, transitions = observe(AlertBook(AlertSettings()), 0.31, 0.31, 0.05, 0.05)

    assert [transition.reason for transition in transitions] == [
        "PSI 0.31 > 0.20, q=1e-06 over 42 columns, n=12004, 2 of 3 windows, baseline ab12cd34",
        "PSI 0.05 < 0.15, q=1e-06 over 42 columns, n=12004, 2 windows in a row, baseline ab12cd34",
    ]


def test_alerts_survive_a_restart():
    """One that fires goes on firing, and resolves as it would have."""
    before = AlertBook(AlertSettings())
    observe(before, 0.3, 0.3, 0.1)
    after = AlertBook(AlertSettings())
    after.restore(before.encode())

    assert after.state(KEY) is AlertState.FIRING
    assert [transition.state for transition in after.observe(window(0.1))] == [AlertState.QUIET]


def test_more_breaches_than_windows_are_a_configuration_error():
    """Such an alert could never fire."""
    with pytest.raises(ValueError, match="4 of 3 windows are more than there are"):
        AlertSettings(breaches=4, windows=3)


def test_a_reason_names_what_the_column_was_compared_with():
    """A canary differs from the stable version, whatever the baseline says."""
    book = AlertBook(AlertSettings())
    transitions = []
    for number in range(2):
        seen = window(0.3, number=number)
        (feature,) = seen.features
        checks = [replace(check, name="canary_drift", reference="stable") for check in feature.checks]
        transitions += book.observe(replace(seen, features=[replace(feature, checks=checks)]))

    assert [transition.reason.rpartition(", ")[2] for transition in transitions] == ["against stable"]


def test_a_day_needs_no_second_one():
    """What was judged on a day's roll-up has lasted already."""
    book = AlertBook(AlertSettings())
    seen = window(0.3)
    (feature,) = seen.features
    checks = [replace(check, name="gradual_drift") for check in feature.checks]

    transitions = book.observe(replace(seen, features=[replace(feature, checks=checks)]))

    assert [transition.state for transition in transitions] == [AlertState.FIRING]


def slow(score, *, number=0):
    """A window with a check for slow drift, whose threshold is 12."""
    note = "0.1 standard deviations above the same hours of the days before, for 9 hours"
    check = Check("slow_drift", "cusum", score, 12.0, score >= 12.0, None, 1_000, reference="same_hour", note=note)
    evaluated = window(0.0, number=number)
    return replace(evaluated, features=[replace(evaluated.features[0], checks=[check])])


def test_slow_drift_fires_at_once():
    """Many hours are in it already."""
    (transition,) = AlertBook(AlertSettings()).observe(slow(12.0))

    assert transition.state is AlertState.FIRING
    assert transition.reason == (
        "CUSUM 12.00 at least 12.00 (0.1 standard deviations above the same hours of the days before, for 9 hours),"
        " no test, n=1000, 1 of 3 windows, against same_hour"
    )


def test_slow_drift_is_told_by_the_drift_that_fires_already():
    """Of two alerts about one column, one wakes somebody."""
    book, slow_key = AlertBook(AlertSettings()), KEY._replace(check="slow_drift")
    before = book.told_by(slow_key)
    observe(book, 0.3, 0.3)

    assert before is None
    assert book.told_by(slow_key) == "drift"
    assert book.told_by(KEY) is None
