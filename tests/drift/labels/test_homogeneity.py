import numpy as np
import pytest
from scipy.stats import chi2_contingency

from otel_ml.drift.labels.homogeneity import same_shares_p_value


def test_full_tables_get_pearsons_test():
    """Where every class has values enough, the test is the textbook's, as scipy has it."""
    reference, current = np.array([320, 250, 430]), np.array([60, 70, 70])

    assert same_shares_p_value(reference, current) == pytest.approx(
        chi2_contingency([reference, current], correction=False).pvalue
    )


def test_rare_classes_are_taken_together():
    """A hundred classes with few values each are tested in cells of five or more, in which shift still shows."""
    rare, common = np.full(100, 10), np.zeros(100, np.int64)
    common[:10] = 10

    assert same_shares_p_value(rare, np.ones(100, np.int64)) > 0.9
    assert same_shares_p_value(rare, common) < 1e-3


def test_too_few_values_have_no_test():
    """Without values, with one class, or with one cell's worth, nothing is claimed."""
    assert same_shares_p_value(np.array([5, 5]), np.array([0, 0])) is None
    assert same_shares_p_value(np.array([500]), np.array([500])) is None
    assert same_shares_p_value(np.array([500, 500]), np.array([4, 4])) is None


@pytest.mark.parametrize("classes", [2, 10, 64])
@pytest.mark.parametrize("rows", [(500, 50), (2_000, 1_000), (10**6, 10**6)])
def test_without_shift_five_in_a_hundred_are_significant(classes, rows):
    """At 5 %, 3 to 7 % of samples of one distribution differ, be its classes frequent or rare."""
    random = np.random.default_rng(classes)
    shares = 1 / np.arange(1, classes + 1)
    shares /= shares.sum()
    samples = [[random.multinomial(n, shares) for n in rows] for _ in range(2_000)]

    p_values = [same_shares_p_value(*sample) for sample in samples]

    assert 0.03 <= np.mean([p_value <= 0.05 for p_value in p_values]) <= 0.07
