import math
import random

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sketch.mutation import mutated

from otel_ml.errors import CorruptSketchError
from otel_ml.sketch.quantiles import MAX_ITEMS, QuantileSketch

finite = st.floats(-1e300, 1e300)
small_counts = st.lists(st.tuples(st.floats(-100, 100, width=32), st.integers(1, 50)), max_size=40)


def sketch_of(values, k=200):
    sketch = QuantileSketch(k)
    sketch.update(np.asarray(values, np.float64))
    return sketch


def sent(sketch):
    return QuantileSketch.from_image(sketch.image(), sketch.image_kind)


def worst_rank_error(distribution, values):
    points = np.sort(values)
    truth = np.searchsorted(points, points, side="right") / len(points)
    return np.abs(distribution.cdf(points) - truth).max()


def random_values(count, seed=0):
    return np.random.default_rng(seed).normal(size=count)


def test_an_empty_sketch_answers_with_nan():
    """Nothing seen: no value, no error, an image all the same."""
    sketch = sent(QuantileSketch())

    assert sketch.count == 0
    assert math.isnan(sketch.minimum)
    assert math.isnan(sketch.maximum)
    assert np.isnan(sketch.quantiles([0.0, 0.5, 1.0])).all()
    assert sketch.rank_error == 0.0
    assert sketch.distribution().total == 0


@given(values=st.lists(finite, min_size=1, max_size=150))
def test_few_values_are_known_exactly(values):
    """Until the first compaction every rank is exact."""
    sketch = sent(sketch_of(values))

    distribution = sketch.distribution()

    assert sketch.rank_error == 0.0
    assert sketch.count == distribution.total == len(values)
    if sketch.image_kind == "doubles":
        assert worst_rank_error(distribution, np.array(values)) == 0.0
        assert (sketch.minimum, sketch.maximum) == (min(values), max(values))


@pytest.mark.parametrize("k", [200, 400])
@pytest.mark.parametrize("count", [1_000, 50_000])
def test_ranks_stay_within_the_stated_error(k, count):
    """`rank_error` bounds the worst rank, at every k."""
    values = random_values(count)
    sketch = sent(sketch_of(values, k))

    assert 0.0 < sketch.rank_error < 0.016
    assert worst_rank_error(sketch.distribution(), values) <= sketch.rank_error


@given(left=st.lists(finite, max_size=300), right=st.lists(finite, max_size=300))
def test_merging_counts_as_having_seen_it_all(left, right):
    """Two replicas merged know the count and the extremes that one would have known."""
    merged, other = sketch_of(left), sketch_of(right)
    merged.merge(other)

    assert merged.count == len(left) + len(right)
    assert other.count == len(right)
    assert merged.distribution().total == merged.count
    if left or right:
        assert (merged.minimum, merged.maximum) == (min(left + right), max(left + right))


@given(values=st.lists(st.floats(-1e6, 1e6), max_size=400), later=st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_copy_knows_the_same_and_grows_alone(values, later):
    """Fed here, sent by another process, or both."""
    for sketch in (sketch_of(values), sent(sketch_of(values))):
        before = sketch.count, sketch.rank_error, sketch.image()

        twin = sketch.copy()
        twin.update(np.array(later))
        twin.merge(sketch_of(later))

        assert (sketch.count, sketch.rank_error, sketch.image()) == before
        assert twin.count == len(values) + 2 * len(later)
        assert sketch.copy().image() == before[2]


def test_many_replicas_merge_into_bounded_memory():
    """64 replicas: at most 8,192 items, and a smaller error than each replica's own."""
    replicas = [random_values(3_000, seed) + seed % 3 for seed in range(64)]
    merged = QuantileSketch()
    for values in replicas:
        merged.merge(sent(sketch_of(values)))

    distribution = merged.distribution()

    assert merged.count == distribution.total == 64 * 3_000
    assert len(distribution.points) <= MAX_ITEMS
    assert merged.rank_error < 0.005
    assert worst_rank_error(distribution, np.concatenate(replicas)) <= merged.rank_error


def test_merging_is_deterministic():
    """The same images in the same order give the same bytes."""
    images = [sketch_of(random_values(5_000, seed)) for seed in range(20)]
    sketches = [(sketch.image(), sketch.image_kind) for sketch in images]

    def merge():
        merged = QuantileSketch()
        for image, kind in sketches:
            merged.merge(QuantileSketch.from_image(image, kind))
        return merged.image()

    assert merge() == merge()


@given(pairs=small_counts)
def test_weighted_values_count_as_often_as_they_came(pairs):
    """`update_weighted` equals repeating each value, exactly."""
    values = np.array([value for value, _ in pairs])
    counts = np.array([count for _, count in pairs], np.int64)
    sketch = QuantileSketch()
    sketch.update_weighted(values, counts)

    repeated = np.repeat(values, counts)

    assert sketch.count == len(repeated)
    assert sketch.rank_error == 0.0
    if len(repeated):
        assert worst_rank_error(sketch.distribution(), repeated) == 0.0
        assert (sketch.minimum, sketch.maximum) == (repeated.min(), repeated.max())


def test_spilled_exact_counts_and_later_values_go_into_one_image():
    """What came weighted and what came plain are one sketch on the wire, at the ordinary size."""
    values = np.arange(256.0)
    counts = np.random.default_rng(3).integers(1, 1_000, 256)
    later = np.random.default_rng(4).uniform(0, 256, 20_000)
    sketch = QuantileSketch()
    sketch.update_weighted(values, counts)
    sketch.update(later)

    received = sent(sketch)

    assert received.count == counts.sum() + len(later)
    assert len(sketch.image()) < 3_500
    everything = np.concatenate((np.repeat(values, counts), later))
    assert worst_rank_error(received.distribution(), everything) < 0.016


def test_a_smooth_column_travels_as_floats():
    """Half the bytes, where nothing is lost that matters: within 3.5 KB a column."""
    sketch = sketch_of(random_values(100_000))

    assert sketch.image_kind == "floats"
    assert len(sketch.image()) < 3_000


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(1e9, 5.0, 20_000),
        np.append(np.random.default_rng(0).normal(1e6, 0.01, 20_000), [0.0, 1e9]),
        np.where(np.random.default_rng(0).random(20_000) < 0.3, math.pi, random_values(20_000)),
        random_values(20_000) * 1e300,
    ],
    ids=["large offset", "large offset with outliers", "frequent irrational value", "beyond the range of floats"],
)
def test_a_column_that_floats_would_distort_travels_as_doubles(values):
    """Values that fall together, pass for another value or overflow keep their precision."""
    sketch = sketch_of(values)
    received = sent(sketch)

    assert sketch.image_kind == "doubles"
    assert worst_rank_error(received.distribution(), values) <= received.rank_error
    assert (received.minimum, received.maximum) == (values.min(), values.max())


@given(cents=st.lists(st.integers(-999_999, 999_999), min_size=1, max_size=300))
def test_decimals_come_back_from_floats_as_they_were(cents):
    """9.99 sent as a float is 9.99 again, not 9.98999977: equal to the baseline's."""
    prices = [cent / 100 for cent in cents]
    sketch = sketch_of(prices)

    received = sent(sketch)

    assert sketch.image_kind == "floats"
    assert set(received.distribution().points.tolist()) <= set(prices)


def test_floats_and_doubles_merge():
    """Replicas decide by themselves what they send."""
    smooth, offset = random_values(5_000), random_values(5_000) + 1e9
    merged = sent(sketch_of(smooth))
    merged.merge(sent(sketch_of(offset)))

    assert merged.count == 10_000
    assert worst_rank_error(merged.distribution(), np.concatenate((smooth, offset))) <= merged.rank_error


def test_the_library_reads_the_image_of_a_merge():
    """What we write is a DataSketches image of size k, for any tool that knows them."""
    merged = sketch_of(random_values(5_000))
    for seed in range(1, 10):
        merged.merge(sketch_of(random_values(5_000, seed)))
    library = {"floats": datasketches.kll_floats_sketch, "doubles": datasketches.kll_doubles_sketch}

    reread = library[merged.image_kind].deserialize(merged.image())

    assert (reread.n, reread.k) == (50_000, 200)
    assert reread.get_quantile(0.5) == pytest.approx(0.0, abs=0.08)


@pytest.mark.parametrize(
    "batch",
    [
        np.broadcast_to(1.5, 10),
        np.arange(10, dtype=np.int32),
        np.arange(20, dtype=np.float32)[::2],
        np.arange(10, dtype=">f8"),
    ],
    ids=["read-only", "integers", "strided", "big endian"],
)
def test_any_array_is_taken(batch):
    """The library wants plain writable arrays; callers need not know."""
    sketch = sketch_of([])
    sketch.update(batch)

    assert sketch.count == 10
    assert sketch.maximum == float(batch.max())


def test_whatever_the_parser_lets_through_can_be_used():
    """Mutated images that are accepted merge, answer and are written again like any other."""
    rng = random.Random(5)
    corpus = [(sketch_of(random_values(count)).image(), "floats") for count in (0, 1, 300, 5_000)]
    corpus += [(sketch_of(random_values(count) + 1e9).image(), "doubles") for count in (1, 300, 5_000)]
    accepted = 0
    for _ in range(4_000):
        image, kind = rng.choice(corpus)
        try:
            sketch = QuantileSketch.from_image(mutated(rng, image), kind)
        except CorruptSketchError:
            continue
        accepted += 1
        merged = sketch_of(random_values(1_000))
        merged.merge(sketch)

        assert sent(merged).count == merged.count == 1_000 + sketch.count
        assert np.isfinite(merged.quantiles([0.0, 0.5, 1.0])).all()

    assert accepted > 100


def test_quantiles_are_exact_at_the_ends():
    """Rank 0 and rank 1 are the extremes, whatever was compacted away."""
    values = random_values(50_000)
    low, median, high = sketch_of(values).quantiles([0.0, 0.5, 1.0])

    assert (low, high) == (values.min(), values.max())
    assert median == pytest.approx(0.0, abs=0.06)
