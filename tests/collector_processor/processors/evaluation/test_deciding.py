"""Whose verdict counts about a column, window after window."""

import math
from dataclasses import replace

import numpy as np
import pytest
from processor_samples import MODEL, categorical, numeric
from reference_samples import AMOUNT, HOUR, MONDAY, Shelf, closed

from collector_processor.processors import report
from collector_processor.processors.alerts import AlertBook
from collector_processor.processors.evaluation import DRIFT, DecisionSettings, Evaluator
from collector_processor.processors.evaluation.deciding import Decider, Deciding
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.record import window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.settings import DriftSettings
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import DriftResult, create, distributions
from otel_ml.sketch.feature import FeatureKind, ModelKey
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_summary import TextSummary

KINDS = ("numeric", "categorical", "boolean", "text", "embedding")
CANDIDATES = ("psi", "ks", "energy", "anderson_darling", "kl")
BASELINE = Baseline.build(
    {"amount": np.random.default_rng(1).normal(size=5_000)}, model=MODEL.name, version=MODEL.version
)


def deciding(*names, **decide_by):
    return Deciding(DecisionSettings(**decide_by), {name: create(name) for name in names or CANDIDATES})


def window(rows):
    """One column of so many values, as it is measured."""
    values = np.random.default_rng(rows).normal(size=rows)
    summary = numeric("amount", values, layout=BASELINE.layout(AMOUNT))
    pair = distributions(BASELINE.features[AMOUNT], summary, BASELINE.layout(AMOUNT))
    return [summary], {AMOUNT: Measurement(rows, lambda: pair)}


def decided(choosing, rows, baseline=BASELINE, **options):
    summaries, measured = window(rows)
    return choosing.deciders(MODEL, summaries, baseline, measured, **options)[AMOUNT]


def methods_over(choosing, sizes):
    return [decided(choosing, rows).method for rows in sizes]


def test_a_detector_that_is_named_decides_without_a_reason():
    """What is configured needs no explanation, and keeps its own threshold."""
    decider = decided(deciding(numeric="ks"), 1_000)

    assert decider == Decider("ks")
    assert decider.threshold(0.1, 0.25) == 0.025


@pytest.mark.parametrize(("rows", "method"), [(50, "anderson_darling"), (1_000, "psi")])
def test_auto_chooses_by_what_a_window_holds(rows, method):
    """By default, and with a reason."""
    decider = decided(deciding(), rows)

    assert decider.method == method
    assert f"{rows:,} values" in decider.reason


def test_every_kind_of_column_may_be_left_to_choice():
    """Vectors have detectors of their own."""
    settings = DecisionSettings.model_validate(dict.fromkeys(KINDS, "auto"))

    assert {settings.detector(FeatureKind(kind)) for kind in KINDS} == {"auto"}
    assert DecisionSettings().detector(FeatureKind.EMBEDDING) == "mahalanobis"


@pytest.mark.parametrize(("known_by", "method"), [("content", "content"), ("psi", "psi")])
def test_texts_are_compared_by_all_that_is_known_of_them(known_by, method):
    """By their lengths, where the baseline knows no more."""
    (summary,), _ = window(500)
    content = TextSummary()
    content.update(["some words"] * 500)
    text = FeatureSummary(AMOUNT, content, summary.counters)
    pair = distributions(text, text)
    measurement = Measurement(500, lambda: pair, [DriftResult(known_by, 0.0, 1.0, None, 500, 500)])
    baseline = replace(BASELINE, features={AMOUNT: text})

    choosing = deciding(text="auto")

    assert choosing.deciders(MODEL, [text], baseline, {AMOUNT: measurement})[AMOUNT].method == method


def test_hours_of_any_size_do_not_change_a_method():
    """Nights below the limit and days above it: the usual size decides, and the first choice is not given up easily."""
    nights_and_days = [round(75 * math.exp(math.cos(hour * math.pi / 12))) for hour in range(24 * 30)]

    methods = methods_over(deciding(), nights_and_days)

    assert min(nights_and_days) < 64 < max(nights_and_days)
    assert len(set(methods)) == 1


@pytest.mark.parametrize("first", [50, 80])
def test_sizes_around_a_limit_keep_the_first_choice(first):
    """Whichever it was: both would do."""
    around = np.random.default_rng(first).integers(50, 80, size=24 * 20).tolist()

    methods = methods_over(deciding(), [first, *around])

    assert len(set(methods)) == 1


def test_a_column_that_grew_is_chosen_for_anew_once():
    """A model that gets real traffic: the method changes when its usual size is far from the limit, and stays."""
    methods = methods_over(deciding(), [50] * 24 + [5_000] * 24 * 4)

    changes = [place for place in range(1, len(methods)) if methods[place] != methods[place - 1]]
    assert (methods[0], methods[-1]) == ("anderson_darling", "psi")
    assert len(changes) == 1


def test_windows_without_enough_values_to_compare_choose_nothing():
    """The first window that can be compared does."""
    choosing = deciding()
    summaries, _ = window(20)

    choosing.deciders(MODEL, summaries, BASELINE, {})

    assert decided(choosing, 1_000).method == "psi"


def test_another_baseline_is_another_choice():
    """What is known of the column is another, and alerts begin anew anyway."""
    choosing = deciding()
    other = Baseline.build({"amount": np.arange(2_000.0)}, model=MODEL.name, version=MODEL.version)

    assert decided(choosing, 50).method == "anderson_darling"
    assert decided(choosing, 1_000).method == "anderson_darling"
    assert decided(choosing, 1_000, other).method == "psi"


def test_a_segment_is_judged_by_what_was_chosen_for_the_whole():
    """It is smaller, but its scores are looked at beside the whole's."""
    choosing = deciding()

    whole = decided(choosing, 1_000)

    assert decided(choosing, 50, is_whole=False) == whole
    assert decided(choosing, 1_000) == whole


def test_a_restart_keeps_choices():
    """A choice from one window would not know what is usual."""
    before, after, shelf = deciding(), deciding(), Shelf()
    kept = decided(before, 50)
    shelf.take(before.sections())

    after.restore(shelf)

    assert decided(after, 1_000) == kept


def test_a_method_that_is_no_longer_configured_gives_way():
    """After a restart with other detectors."""
    before, after, shelf = deciding(), deciding("psi"), Shelf()
    decided(before, 50)
    shelf.take(before.sections())

    after.restore(shelf)

    assert decided(after, 50).method == "psi"


def test_models_and_columns_that_nobody_sends_are_forgotten():
    """Names that change with every window do not add up."""
    choosing = deciding()
    for number in range(50):
        choosing.deciders(MODEL, [categorical(f"column {number}", {"a": 30, "b": 20})], None, {})

    (value,) = choosing.sections()["choices"].values()

    assert value.count(b"column") <= 3
    assert choosing.deciders(ModelKey("other"), [], None, {}) == {}


def test_a_chosen_method_counts_as_big_what_psi_does():
    """A part of a threshold is a part of PSI's, on whichever scale; one that was configured stays."""
    chosen = Decider("anderson_darling", "why", psi=0.2)
    tuned = Decider("anderson_darling", "why", psi=0.2, is_tuned=True)
    strict = Decider("anderson_darling", "why", psi=0.05)

    assert chosen.threshold(0.1) == pytest.approx(0.25)
    assert chosen.threshold(0.1, 0.25) == pytest.approx(0.125)
    assert strict.threshold(0.1) == pytest.approx(0.125)
    assert tuned.threshold(0.3, 0.25) == pytest.approx(0.15)
    assert Decider("psi", "why").threshold(0.3, 0.25) == 0.075
    assert Decider("kuiper", "why").threshold(0.3, 0.25) == 0.075


def evaluator(*names, min_rows=20):
    settings = DriftSettings.model_validate({"window": "1h"})
    detectors = {name: create(name) for name in names}
    return Evaluator(References([BASELINE]), detectors, settings.decide_by, settings.quality, min_rows, settings.rule)


def test_an_alert_says_why_its_method_was_chosen():
    """In the event, and in the line of history."""
    values = np.random.default_rng(3).normal(3.0, size=50)
    watching, book = evaluator(*CANDIDATES), AlertBook(DriftSettings.model_validate({"window": "1h"}).alerts)
    fired = []
    for hour in range(3):
        today = closed(MONDAY + hour * HOUR, numeric("amount", values, layout=BASELINE.layout(AMOUNT)))
        evaluation = watching.evaluate(today)
        fired += book.observe(evaluation)

    drift = next(transition for transition in fired if transition.key.check == DRIFT)
    reason = "anderson_darling: 50 values, cells would hold too few"
    assert drift.check.threshold == pytest.approx(0.25)
    for event in report.events(drift, 0):
        assert event.attributes[semconv.DRIFT_METHOD] == "anderson_darling"
        assert event.attributes[semconv.DRIFT_METHOD_REASON] == reason
    assert f'"method_reason": "{reason}"' in window_record(evaluation, 0.05).details


def test_a_method_that_was_configured_is_not_explained():
    """There is nothing to explain."""
    settings = DriftSettings.model_validate({"window": "1h", "decide_by": {"numeric": "psi"}})
    watching = Evaluator(
        References([BASELINE]), {"psi": create("psi")}, settings.decide_by, settings.quality, 20, settings.rule
    )
    values = np.random.default_rng(3).normal(3.0, size=500)

    evaluation = watching.evaluate(closed(MONDAY, numeric("amount", values, layout=BASELINE.layout(AMOUNT))))

    (check,) = [check for check in evaluation.features[0].checks if check.name == DRIFT]
    assert (check.method, check.method_reason, check.threshold) == ("psi", None, 0.2)


def test_auto_with_the_default_detectors_decides_as_psi_does():
    """The rule of alerts was tuned with it: scores, thresholds and q-values are the same to the last bit."""
    by_choice = evaluator(*DriftSettings.model_validate({"window": "1h"}).detectors)
    settings = DriftSettings.model_validate({"window": "1h", "decide_by": {"numeric": "psi"}})
    by_name = Evaluator(
        References([BASELINE]), {"psi": create("psi")}, settings.decide_by, settings.quality, 20, settings.rule
    )
    random = np.random.default_rng(4)
    for hour in range(10):
        values = random.normal(0.1 * hour, size=300)
        today = closed(MONDAY + hour * HOUR, numeric("amount", values, layout=BASELINE.layout(AMOUNT)))

        ((chosen,), (named,)) = (
            [check for check in one.evaluate(today).features[0].checks if check.name == DRIFT]
            for one in (by_choice, by_name)
        )

        assert (chosen.score, chosen.threshold, chosen.q_value) == (named.score, named.threshold, named.q_value)
