from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.categories import NAME_LENGTH, CategoryCounts

streams = st.lists(st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(1, 100)), min_size=1, max_size=8)


def counts_of(batch, limit=256):
    categories = CategoryCounts(limit)
    categories.update(batch)
    return categories


def assert_promise_kept(categories, truth):
    assert categories.count == sum(truth.values())
    assert len(categories.counts) <= categories.limit
    assert categories.error_bound <= categories.other / (categories.limit + 1)
    for name, count in truth.items():
        estimate = categories.counts.get(name, 0)
        assert estimate <= count <= estimate + categories.error_bound


def test_up_to_the_limit_counts_are_exact():
    """256 categories keep their names and their counts."""
    truth = {f"category {number}": number + 1 for number in range(256)}
    categories = counts_of(truth)
    categories.update(truth)

    assert categories.is_exact
    assert categories.counts == {name: 2 * count for name, count in truth.items()}
    assert categories.distribution().other == 0


@given(batches=streams)
def test_beyond_the_limit_every_count_is_bounded(batches):
    """estimate ≤ true count ≤ estimate + error_bound, and the total is exact."""
    categories, truth = CategoryCounts(4), Counter()
    for batch in batches:
        categories.update(batch)
        truth.update(batch)

    assert_promise_kept(categories, truth)


@given(batches=streams, order=st.randoms(use_true_random=False))
def test_merging_in_any_order_keeps_the_bound(batches, order):
    """Replicas arrive as they like."""
    truth = sum(map(Counter, batches), Counter())
    replicas = [counts_of(batch, 4) for batch in batches]
    order.shuffle(replicas)
    while len(replicas) > 1:
        left = replicas.pop(order.randrange(len(replicas)))
        replicas[order.randrange(len(replicas))].merge(left)

    assert_promise_kept(replicas[0], truth)


@given(left=streams, right=streams)
def test_two_merge_alike_either_way(left, right):
    """Neither side is preferred, and nothing depends on the order of insertion."""
    there, back = counts_of(left[0], 3), counts_of(right[0], 3)
    there.merge(counts_of(right[0], 3))
    back.merge(counts_of(left[0], 3))

    assert there == back


def test_ten_thousand_categories_cost_bounded_memory():
    """The frequent ones survive among many that come once."""
    categories = CategoryCounts()
    for start in range(0, 10_000, 500):
        categories.update({f"user {number}": 1 for number in range(start, start + 500)} | {"frequent": 100})

    assert len(categories.counts) <= 256
    assert categories.count == 12_000
    assert categories.counts["frequent"] >= 2_000 - categories.error_bound > 1_900


def test_long_and_unencodable_names_are_altered_and_counted():
    """A name has at most 128 characters, all of which UTF-8 can carry."""
    categories = counts_of({"x" * 200: 3, "\udc80": 2, "é" * 128: 1})

    assert set(categories.counts) == {"x" * NAME_LENGTH, "\\udc80", "é" * 128}
    assert categories.altered_names == 2
    assert all(name.encode() and len(name) <= NAME_LENGTH for name in categories.counts)
