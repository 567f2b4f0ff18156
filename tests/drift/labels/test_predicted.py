import numpy as np
import pytest

from otel_ml.drift.labels.predicted import predicted_counts
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch

VALUES = np.repeat([0.0, 1.0, 2.0], [30, 20, 10])


def in_bins(edges, values=VALUES):
    layout = BinLayout(np.array(edges))
    return AnchoredBins.of(layout, values).distribution(layout, Moments.of(values))


def test_categories_go_by_their_names():
    """What is not among the classes, or has lost its name, is unknown."""
    predictions = CategoricalDistribution({"b": 5, "a": 3, "z": 2}, other=4)

    found = predicted_counts(predictions, ["a", "b", "c"])

    assert found.counts.tolist() == [3, 5, 0]
    assert (found.unknown, found.total) == (6, 14)


@pytest.mark.parametrize("classes", [["0", "1", "2"], ["2", "0", "1"]])
@pytest.mark.parametrize(
    "predictions",
    [
        ExactCounts.of(VALUES).distribution(),
        in_bins([np.nextafter(0, -1), 0.0, 1.0, 2.0]),
        in_bins([np.nextafter(0, -1), 0.0, np.nextafter(1, 0), 1.0, np.nextafter(2, 1), 2.0]),
    ],
    ids=["counts", "bins", "bins with gaps"],
)
def test_numbers_are_classes(predictions, classes):
    """One by one or in bins that end at them, numbers are counted by class, whatever its place."""
    found = predicted_counts(predictions, classes)

    assert dict(zip(classes, found.counts.tolist(), strict=True)) == {"0": 30, "1": 20, "2": 10}
    assert found.unknown == 0


def test_numbers_beyond_the_classes_are_unknown():
    """Below, above and, where the summary tells, between the classes."""
    values = np.append(VALUES, [-1.0, 0.5, 7.0])

    exact = predicted_counts(ExactCounts.of(values).distribution(), ["0", "1", "2"])
    binned = predicted_counts(
        in_bins([np.nextafter(0, -1), 0.0, np.nextafter(1, 0), 1.0, np.nextafter(2, 1), 2.0], values), ["0", "1", "2"]
    )

    assert (exact.counts.tolist(), exact.unknown) == ([30, 20, 10], 3)
    assert (binned.counts.tolist(), binned.unknown) == ([30, 20, 10], 3)


def test_summaries_that_do_not_tell_the_classes_apart_are_refused():
    """Bins of another baseline, samples, and numbers where the classes are names."""
    sampled = QuantileSketch()
    sampled.update(np.random.default_rng(1).integers(0, 3, 100_000).astype(float))

    assert predicted_counts(in_bins([0.0, 2.0]), ["0", "1", "2"]) is None
    assert predicted_counts(sampled.distribution(), ["0", "1", "2"]) is None
    assert predicted_counts(ExactCounts.of(VALUES).distribution(), ["cat", "dog"]) is None
    assert predicted_counts(ExactCounts.of(VALUES).distribution(), ["1", "1.0"]) is None
    assert predicted_counts(ExactCounts.of(VALUES).distribution(), ["1", "inf"]) is None


def test_a_window_without_predictions_has_none():
    """Nothing was predicted, of any class."""
    found = predicted_counts(ExactCounts().distribution(), ["0", "1"])

    assert (found.counts.tolist(), found.unknown) == ([0, 0], 0)
