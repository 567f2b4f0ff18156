"""Categories of two samples in common cells."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.category_cells import category_shares
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.distribution import CategoricalDistribution

counts = st.dictionaries(st.text(max_size=3), st.integers(0, 200), min_size=1, max_size=30).filter(
    lambda found: sum(found.values()) > 0
)


def shares_of(*pairs):
    pairs = [[CategoricalDistribution(side) if isinstance(side, dict) else side for side in pair] for pair in pairs]
    n, m = (np.array([pair[side].total for pair in pairs], dtype=float) for side in (0, 1))
    return category_shares(pairs, n, m)


def in_use(found, row=0):
    used = found.reference[row] + found.current[row] > 0
    return found.reference[row][used], found.current[row][used]


@given(reference=counts, current=counts)
def test_nothing_is_lost(reference, current):
    """Own, pooled or joined, every value is in one cell."""
    found = shares_of((reference, current))

    assert found.reference.sum() == pytest.approx(1)
    assert found.current.sum() == pytest.approx(1)


@given(reference=counts, current=counts)
def test_cells_are_large_enough_or_of_something_new(reference, current):
    """Five values of both samples together are to be expected in the smaller one."""
    n, m = sum(reference.values()), sum(current.values())
    found = shares_of((reference, current))
    r, c = in_use(found)

    expected = min(n, m) * (n * r + m * c) / (n + m)
    is_one_sided = np.maximum(n * r, m * c) >= 3

    assert not found.is_testable[0] or ((expected >= 5 - 1e-6) | is_one_sided).all()


@given(pairs=st.lists(st.tuples(counts, counts), min_size=1, max_size=6), seed=st.integers(0, 100))
def test_neither_the_order_of_names_nor_other_columns_matter(pairs, seed):
    """To the bit: counts are summed up as whole numbers, and shares are put in order by their size."""
    rng = np.random.default_rng(seed)
    shuffled = [
        tuple({name: side[name] for name in rng.permutation(np.array([*side], dtype=object))} for side in pair)
        for pair in pairs
    ]

    found, again = shares_of(*pairs), shares_of(*shuffled)

    assert np.array_equal(found.reference, again.reference)
    assert np.array_equal(found.current, again.current)
    for row, pair in enumerate(pairs):
        alone = in_use(shares_of(pair))
        assert all(np.array_equal(*sides) for sides in zip(alone, in_use(found, row), strict=True))


def test_names_with_the_same_digest_keep_an_order():
    """That one of them came first in one replica must not decide which cells they are pooled in."""
    assert crc32(b"plumless") == crc32(b"buckeroo")
    fillers = {f"r{place}": 3 for place in range(40)}
    reference = {**fillers, "plumless": 4, "buckeroo": 1}
    current = {**fillers, "plumless": 1, "buckeroo": 4}

    found = shares_of((reference, current))
    again = shares_of((dict(reversed(reference.items())), dict(reversed(current.items()))))

    assert np.array_equal(found.reference, again.reference)
    assert np.array_equal(found.current, again.current)


def test_rare_categories_share_cells():
    """A hundred of one value each make some cells of five to ten."""
    rare = {f"r{place}": 1 for place in range(100)}

    reference, current = in_use(shares_of(({"a": 900, **rare}, {"a": 900, **rare})))

    assert 10 <= len(reference) <= 21
    assert current == pytest.approx(reference)


def test_a_new_category_keeps_a_cell_beside_a_large_reference():
    """Three of a hundred values that a reference of ten thousand never had."""
    reference, current = in_use(shares_of(({"a": 6_000, "b": 4_000}, {"a": 58, "b": 39, "new": 3})))

    assert (0.0, 0.03) in zip(reference, current, strict=True)


@pytest.mark.parametrize("new", [1, 2])
def test_one_or_two_new_values_do_not(new):
    """However unlikely each of them was."""
    reference, _ = in_use(shares_of(({"a": 600_000, "b": 400_000}, {"a": 60, "b": 40 - new, "new": new})))

    assert len(reference) == 2


def test_a_category_that_vanished_keeps_its_cell():
    """Of fifty reference values six were of one that no longer comes."""
    reference, current = in_use(shares_of(({"a": 30, "b": 14, "gone": 6}, {"a": 6_800, "b": 3_200})))

    assert (0.12, 0.0) in [(round(r, 6), c) for r, c in zip(reference, current, strict=True)]


def test_too_few_values_leave_every_category_alone():
    """There is a score, and no test."""
    found = shares_of(({"a": 4, "b": 1}, {"a": 2, "c": 1}))

    assert not found.is_testable[0]
    assert len(in_use(found)[0]) == 3


@given(seed=st.integers(0, 1_000), limit=st.integers(5, 40), parts=st.integers(1, 4))
def test_heavy_hitters_are_no_further_apart_than_the_truth(seed, limit, parts):
    """What a summary leaves open is decided in favour of "the same": never a greater difference than there was."""
    rng = np.random.default_rng(seed)
    likely = rng.dirichlet(np.full(60, 0.3))
    sides, truths = [], []
    for size in (3_000, 2_000):
        whole, truth = CategoryCounts(limit), np.zeros(60, dtype=int)
        for _ in range(parts):
            drawn = rng.multinomial(size // parts, likely)
            part = CategoryCounts(limit)
            part.update({f"c{place}": int(drawn[place]) for place in np.flatnonzero(drawn)})
            whole.merge(part)
            truth += drawn
        sides.append(CategoricalDistribution(whole.counts, whole.other, whole.error_bound))
        truths.append(truth / truth.sum())

    reference, current = in_use(shares_of(sides))

    assert np.abs(reference - current).sum() <= np.abs(truths[0] - truths[1]).sum() + 1e-9


def test_exact_counts_and_heavy_hitters_are_compared_together():
    """Columns of both kinds are rows of one matrix, each as it would be alone."""
    exact = ({"a": 50, "b": 50}, {"a": 40, "b": 60})
    heavy = (
        CategoricalDistribution({"a": 500, "b": 300}, other=200, error_bound=5),
        CategoricalDistribution({"a": 450, "b": 350}, other=200, error_bound=5),
    )

    together = shares_of(exact, heavy, exact)

    for row, pair in enumerate((exact, heavy, exact)):
        alone = in_use(shares_of(pair))
        assert all(np.array_equal(*sides) for sides in zip(alone, in_use(together, row), strict=True))


def test_names_that_utf8_cannot_encode_are_names():
    """What comes from a process may hold half a surrogate pair."""
    found = shares_of(({"\ud800": 2, "a": 98}, {"\ud800": 3, "a": 97}))

    assert found.reference.sum() == pytest.approx(1)


def test_no_columns_have_no_cells():
    """Nothing in, nothing out."""
    found = category_shares([], np.zeros(0), np.zeros(0))

    assert found.reference.shape == found.current.shape == (0, 0)
    assert found.is_testable.shape == (0,)
