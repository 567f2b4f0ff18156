"""When a column is unlike its references, and which of them decide."""

import pytest
from reference_samples import AMOUNT

from collector_processor.processors.evaluation import CANARY_DRIFT, DRIFT, Rule
from collector_processor.processors.evaluation.deciding import Decider
from collector_processor.processors.evaluation.drift_checks import drift_checks
from collector_processor.processors.evaluation.measurement import Measurement
from otel_ml.drift.detector import DriftResult

RULE = Rule(0.05, 1_000, known_season=0.25, seasonal_threshold=0.5)
THRESHOLD = 0.2


def measured(score, p_value, method="psi"):
    return {AMOUNT: Measurement(1_000, None, [DriftResult(method, score, THRESHOLD, p_value, 1_000, 1_000)])}


def checks(method="psi", **by_reference):
    deciders = {AMOUNT: Decider(method)}
    found = drift_checks(by_reference, deciders, RULE)
    return {check.name: check for check in found.get(AMOUNT, ())}


@pytest.mark.parametrize(("p_value", "overruled"), [(0.03, True), (0.003, True), (0.002, False), (None, False)])
def test_the_season_is_asked_as_strictly_as_among_twenty_columns(p_value, overruled):
    """A model of one column is asked about its nights in every window: once in twenty would be too often."""
    found = checks(baseline=measured(0.9, 1e-9), last_day=measured(0.1, p_value))

    assert (found[DRIFT].overruled_by == ("last_day",)) is overruled


def test_only_a_season_is_asked_so_strictly():
    """The baseline and the stable deployment are asked once a window, and kept count of over many."""
    found = checks(baseline=measured(0.9, 0.03), stable=measured(0.9, 0.03))

    assert found[DRIFT].overruled_by == ()
    assert found[DRIFT].is_big
    assert found[CANARY_DRIFT].is_big


@pytest.mark.parametrize(("method", "share"), [("psi", 0.25), ("mahalanobis", 0.5), ("covariance", 0.5)])
def test_a_share_of_a_threshold_is_as_big_a_change_for_vectors(method, share):
    """PSI grows by the square of a shift, distances between vectors by the shift itself."""
    found = checks(method, baseline=measured(0.9, 1e-9, method), last_day=measured(0.9, 1e-9, method))

    assert found[DRIFT].threshold == pytest.approx(share * THRESHOLD)


def test_the_stable_deployment_alone_gives_a_canary_alone():
    """As of a segment, whose distance from the baseline is no alarm."""
    found = checks("mahalanobis", stable=measured(0.9, 1e-9, "mahalanobis"))

    assert list(found) == [CANARY_DRIFT]
    assert found[CANARY_DRIFT].threshold == THRESHOLD
