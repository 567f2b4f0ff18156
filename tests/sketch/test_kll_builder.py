from random import Random

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch import kll_image
from otel_ml.sketch.kll_builder import KllBuilder
from otel_ml.sketch.quantiles import QuantileSketch

batches = st.lists(st.lists(st.floats(-1e300, 1e300), max_size=60).map(sorted), max_size=8)
sizes = st.lists(st.integers(0, 5000), max_size=12)


def built(batches, k=200, seed=0):
    builder = KllBuilder(k, Random(seed))
    for batch in batches:
        builder.update_sorted(np.sort(np.asarray(batch, np.float64)))
    return builder


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=size)


def worst_rank_error(distribution, values):
    points = np.sort(values)
    return np.abs(distribution.cdf(points) - np.arange(1, len(points) + 1) / len(points)).max()


@given(batches=batches)
def test_few_values_are_known_exactly(batches):
    """Nothing is left out as long as all fit, and the extremes are exact."""
    values = sorted(value for batch in batches for value in batch)[:200]
    distribution = built([values]).sketch().distribution()

    assert distribution.total == len(values)
    assert np.repeat(distribution.points, np.diff(distribution.cumulative, prepend=0)).tolist() == values


@given(sizes=sizes, seed=st.integers(0, 1000))
def test_no_value_is_lost_or_made_up(sizes, seed):
    """Whatever the lengths of the batches, weights add up to the count, and items are values that were there."""
    parts = [normal(size, seed + i) for i, size in enumerate(sizes)]

    sketch = built(parts, seed=seed).sketch()

    everything = np.concatenate([np.empty(0), *parts])
    assert sketch.count == sketch.distribution().total == len(everything)
    assert np.isin(sketch.distribution().points, everything).all()
    if len(everything):
        assert (sketch.minimum, sketch.maximum) == (everything.min(), everything.max())


@pytest.mark.parametrize("k", [200, 400])
@pytest.mark.parametrize(("batch", "count"), [(4096, 4096), (1024, 30_000), (4096, 200_000), (777, 50_000)])
def test_ranks_are_as_good_as_the_sketch_admits(k, batch, count):
    """The error stays below the bound a sketch of this size states, for full batches and odd ones."""
    values = normal(count)

    sketch = built(np.split(values, range(batch, count, batch)), k).sketch()

    assert 0 < worst_rank_error(sketch.distribution(), values) < sketch.rank_error


def test_the_error_is_no_larger_than_that_of_the_library():
    """On the average of some streams, at the same size."""
    ours, theirs = [], []
    for seed in range(10):
        values = normal(40_000, seed)
        ours.append(worst_rank_error(built(np.split(values, 10), seed=seed).sketch().distribution(), values))
        library = QuantileSketch()
        library.update(values)
        theirs.append(worst_rank_error(library.distribution(), values))

    assert np.mean(ours) < np.mean(theirs)


@pytest.mark.parametrize("count", [0, 1, 2, 150, 4096, 300_000])
def test_the_library_reads_what_was_built(count):
    """Same count, extremes and ranks on the other side."""
    values = normal(count)
    sketch = built(np.split(values, range(4096, count, 4096))).sketch()

    assert sketch.image_kind in {"doubles", "floats"}
    kind = datasketches.kll_doubles_sketch if sketch.image_kind == "doubles" else datasketches.kll_floats_sketch
    library = kind.deserialize(sketch.image())

    assert library.n == count
    if count:
        assert library.get_min_value() == pytest.approx(values.min(), rel=1e-6)
        at = np.linspace(-2, 2, 9)
        ranks = [library.get_rank(float(value), inclusive=True) for value in at]
        assert sketch.distribution().cdf(at) == pytest.approx(ranks, abs=0.01)


def test_what_was_built_merges_with_what_the_library_built():
    """In either direction: ours into theirs by the library, theirs into ours by us."""
    left, right = normal(100_000, 1), normal(50_000, 2) + 1
    ours = built(np.split(left, range(4096, 100_000, 4096))).sketch()
    native = datasketches.kll_doubles_sketch(200)
    native.update(right)

    both = QuantileSketch.from_image(native.serialize(), "doubles")
    both.merge(ours)
    contents = kll_image.parse(ours.image(), ours.image_kind)
    native.merge(datasketches.kll_doubles_sketch.deserialize(kll_image.write(contents, "doubles")))

    everything = np.concatenate((left, right))
    library = QuantileSketch.from_image(native.serialize(), "doubles")
    assert both.count == library.count == 150_000
    assert worst_rank_error(both.distribution(), everything) < both.rank_error
    assert worst_rank_error(library.distribution(), everything) < library.rank_error


@given(counts=st.lists(st.integers(1, 1000), max_size=256))
def test_counted_values_come_in_as_often_as_they_were_counted(counts):
    """What a column counted one by one before it had too many distinct values."""
    values = np.arange(float(len(counts)))
    builder = KllBuilder(random=Random(0))

    builder.update_weighted(values, np.array(counts, np.int64))

    distribution = builder.sketch().distribution()
    assert distribution.total == sum(counts)
    if counts:
        truth = np.cumsum(counts) / sum(counts)
        assert np.abs(distribution.cdf(values) - truth).max() < 0.02


def test_replicas_toss_different_coins():
    """Otherwise their errors would not average out when they are merged."""
    values = np.sort(normal(4096))
    images = set()
    for _ in range(8):
        builder = KllBuilder()
        builder.update_sorted(values)
        images.add(builder.sketch().image())

    assert len(images) > 1


def test_a_batch_is_copied():
    """The buffer it came in is written over at once."""
    batch = np.arange(50.0)
    builder = KllBuilder()
    builder.update_sorted(batch)

    batch[:] = -1.0

    assert builder.sketch().distribution().points.tolist() == list(range(50))
