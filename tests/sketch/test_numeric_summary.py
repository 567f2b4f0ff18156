"""Where numbers go that come one batch after the other."""

import numpy as np
import pytest

from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.numeric_summary import NumericSummary

LAYOUT = BinLayout(np.array([0.0, 1.0]))


def held(summary):
    """How many values the places hold that are not the same values twice."""
    return count(summary.exact) + count(summary.histogram) + sum(bins.count for bins in summary.bins.values())


def count(sketch):
    return 0 if sketch is None else sketch.count


@pytest.mark.parametrize("layout", [None, LAYOUT])
@pytest.mark.parametrize("batches", [[3, 4], [300], [200, 200, 200], [5, 0, 600, 5]])
def test_every_value_is_in_one_place(layout, batches):
    """In bins if there are any, one by one while few, else in a histogram and quantiles alike."""
    values = np.split(np.random.default_rng(0).normal(size=sum(batches)), np.cumsum(batches)[:-1])
    summary = NumericSummary.anchored(layout)

    for batch in values:
        summary.update(batch)

    assert summary.count == held(summary) == sum(batches)
    assert count(summary.quantiles) == count(summary.histogram)


@pytest.mark.parametrize("missing", ["histogram", "quantiles"])
def test_numbers_join_those_of_a_server_that_sends_one_sketch_only(missing):
    """A histogram always holds all; quantiles are kept only while they do."""
    summary = NumericSummary()
    summary.update(np.arange(300.0))
    setattr(summary, missing, None)

    summary.update(np.arange(10.0))

    assert count(summary.histogram) == summary.count == 310
    assert count(summary.quantiles) == (310 if missing == "histogram" else 0)


def test_bins_whose_edges_are_unknown_take_nothing():
    """Counts that came over the wire know the hash only."""
    summary = NumericSummary.anchored(LAYOUT)
    next(iter(summary.bins.values())).layout = None

    summary.update(np.array([1.0, 2.0]))

    assert summary.exact.count == 2


def test_what_others_still_hold_is_not_changed():
    """A copy of the bins made before stays as it was."""
    summary = NumericSummary.anchored(LAYOUT)
    before = summary.bins[LAYOUT.hash]

    summary.update(np.array([0.5]))

    assert (before.count, summary.bins[LAYOUT.hash].count) == (0, 1)
