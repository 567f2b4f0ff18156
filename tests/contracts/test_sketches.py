"""What every mergeable summary promises, checked for each of them."""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import otel_ml.sketch
from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.binned_columns import packed
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.projected import SLICES, ProjectedVectors, ProjectionLayout
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketched_columns import packed_sketches
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary, OpaqueSummary
from otel_ml.sketch.text_summary import TextSummary

LAYOUT = BinLayout(np.array([-1.0, 0.0, 2.5]))
PROJECTIONS = ProjectionLayout(64.0, np.zeros(SLICES), np.full(SLICES, 50.0))
KEY = FeatureKey(FeatureRole.FEATURE, "age")

numbers = st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(-6e4, 6e4, width=16)), max_size=25)
vectors = st.lists(st.tuples(*[st.floats(-50, 50, width=16)] * 3), max_size=12)
names = st.lists(st.sampled_from(["", "a", "b", "ü", "long " * 40]), max_size=25)


@dataclass(frozen=True)
class Contract:
    """How to exercise one kind of summary.

    Attributes:
        of: A summary of a list of values.
        knows: All it knows, comparable; whatever else it holds is not promised.
        values: Lists to summarise.
        stranger: A summary it must not merge with, if there is such a thing.
    """

    of: Callable[[list], Any]
    knows: Callable[[Any], object]
    values: st.SearchStrategy
    stranger: Callable[[], Any] | None = None


class About(float):
    """A number that equals those next to it."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other):
        return math.isclose(self, other, rel_tol=1e-9, abs_tol=1e-6)


def counted(values):
    return {value: values.count(value) for value in values}


def updated(sketch, batch):
    sketch.update(batch)
    return sketch


def array(values):
    return np.array(values, np.float64)


def numeric(values):
    return updated(NumericSummary(), array(values))


def boolean(values):
    truths = [value > 0 for value in values]
    return BooleanSummary(truths.count(False), truths.count(True))


def categorical(values):
    content = CategoricalSummary()
    content.categories.update(counted(values))
    content.cardinality.update(values)
    return content


def datetimes(values):
    content = DatetimeSummary()
    content.update(array(values) * 1e5, 1e9)
    return content


def embedding(values):
    content = EmbeddingSummary()
    if values:
        content.update(array(values))
    return content


def of_a_column(content):
    """The summary of a column with such content."""
    return lambda values: FeatureSummary(KEY, content(values), Counters(rows=len(values)))


def histogram_knowledge(histogram):
    sides = [histogram.positive.trimmed(), histogram.negative.trimmed()]
    scale = histogram.scale if any(len(side.counts) for side in sides) else None
    return scale, histogram.zero_count, [(side.offset, side.counts.tobytes()) for side in sides]


def quantile_knowledge(sketch):
    distribution = sketch.distribution()
    return sketch.count, distribution.points.tolist(), distribution.cumulative.tolist(), sketch.rank_error


def moments_knowledge(moments):
    # Sums of doubles depend on their order in the last digits.
    return moments.count, moments.minimum, moments.maximum, About(moments.mean), About(moments.m2)


def exact_knowledge(exact):
    return exact.values.tobytes(), exact.counts.tobytes()


def categories_knowledge(categories):
    return {name: n for name, n in categories.counts.items() if n}, categories.other, categories.error_bound


def numeric_knowledge(content):
    return moments_knowledge(content.moments), exact_knowledge(content.exact or ExactCounts())


def categorical_knowledge(content):
    return categories_knowledge(content.categories), content.cardinality.registers().tobytes()


def text_knowledge(content):
    described = [numeric_knowledge(numbers) for numbers in (content.lengths, content.words)]
    made_of = character_knowledge(content.characters), vocabulary_knowledge(content.vocabulary)
    return described, content.empty, content.cardinality.registers().tobytes(), made_of


def character_sums(values):
    content = TextSummary()
    content.read(values)
    return content.characters


def character_knowledge(content):
    return content.texts, content.powers.tobytes()


def vocabulary_sums(values):
    content = TextSummary()
    content.read(values)
    return content.vocabulary


def vocabulary_knowledge(content):
    # Which texts are multiplied with each other depends on which come together.
    return content.texts, content.totals.tobytes(), content.squares.tobytes()


def datetime_knowledge(content):
    described = moments_knowledge(content.epochs), numeric_knowledge(content.ages)
    return described, content.hours.tobytes(), content.weekdays.tobytes()


def embedding_knowledge(content):
    sums = [About(value) for value in (*content.total.flat, *content.products.flat)]
    radial = [About(value) for value in (*content.cubes.flat, content.fourth)]
    return content.dimensions, content.count, sums, radial, numeric_knowledge(content.norms)


def projected(values, layout=PROJECTIONS):
    content = ProjectedVectors.anchored(layout)
    if values:
        content.update(array(values))
    return content


def projected_knowledge(content):
    # Floats in part: a wave is known to six digits.
    return content.layout_hash, content.count, content.counts.tobytes(), np.round(content.waves, 2).tolist()


def binned_columns(values, key=KEY):
    """One column, packed."""
    bins = AnchoredBins.of(LAYOUT, array(values))
    bins.layout = None
    content = NumericSummary(Moments.of(array(values)), {LAYOUT.hash: bins})
    (block,), _ = packed([FeatureSummary(key, content, Counters(rows=len(values)))])
    return block


def binned_knowledge(block):
    (summary,) = block.summaries()
    (bins,) = summary.content.bins.values()
    return summary.counters, moments_knowledge(summary.content.moments), bins.counts.tolist()


def sketched_columns(values, key=KEY):
    """One column, packed."""
    quantiles = updated(QuantileSketch(), array(values))
    content = NumericSummary(
        Moments.of(array(values)), histogram=ExponentialHistogram.of(array(values)), quantiles=quantiles
    )
    (block,), _ = packed_sketches([FeatureSummary(key, content, Counters(rows=len(values)))])
    return block


def sketched_knowledge(block):
    (summary,) = block.summaries()
    content = summary.content
    sketches = histogram_knowledge(content.histogram), quantile_knowledge(content.quantiles)
    return summary.counters, moments_knowledge(content.moments), sketches


def of_column(knows):
    """What is known of a column, given what is known of its content."""
    return lambda summary: (summary.counters, summary.kind, knows(summary.content))


def calls(values):
    """Calls, of which those failed that took no time at all, or less."""
    summary = CallSummary()
    summary.update(np.array(values, np.float64))
    for value in values:
        if value <= 0:
            summary.add_errors({f"Error{int(value) % 20}": 1})
        elif value < math.inf:
            summary.add_exemplars([Exemplar(ExemplarReason.SLOWEST, 1, 2, int(value) % 9, "", float(value))])
    return summary


def calls_knowledge(summary):
    zeros, positive = summary.durations.zero_count, summary.durations.positive
    buckets = (positive.offset, positive.counts.tolist())
    return summary.count, summary.errors, zeros, buckets, set(summary.exemplars)


CONTRACTS = {
    "anchored bins": Contract(
        lambda values: AnchoredBins.of(LAYOUT, array(values)),
        lambda bins: (bins.edges_hash, bins.counts.tobytes()),
        numbers,
        lambda: AnchoredBins.of(BinLayout(np.array([0.0, 1.0, 2.0]))),
    ),
    "binned columns": Contract(
        binned_columns,
        binned_knowledge,
        numbers,
        lambda: binned_columns([], FeatureKey(FeatureRole.FEATURE, "height")),
    ),
    "sketched columns": Contract(
        sketched_columns,
        sketched_knowledge,
        numbers,
        lambda: sketched_columns([], FeatureKey(FeatureRole.FEATURE, "height")),
    ),
    "exact counts": Contract(
        lambda values: ExactCounts.of(array(values)),
        exact_knowledge,
        numbers,
        lambda: ExactCounts.of(np.arange(256.0) + 0.1),
    ),
    "exponential histogram": Contract(
        lambda values: ExponentialHistogram.of(array(values)), histogram_knowledge, numbers
    ),
    "quantile sketch": Contract(lambda values: updated(QuantileSketch(), array(values)), quantile_knowledge, numbers),
    "moments": Contract(lambda values: Moments.of(array(values)), moments_knowledge, numbers),
    "category counts": Contract(lambda values: updated(CategoryCounts(), counted(values)), categories_knowledge, names),
    "distinct strings": Contract(
        lambda values: updated(HyperLogLog(), values), lambda sketch: sketch.registers().tobytes(), names
    ),
    "counters": Contract(lambda values: Counters(len(values), values.count(0.0)), repr, numbers),
    "numbers": Contract(numeric, numeric_knowledge, numbers),
    "truth values": Contract(boolean, repr, numbers),
    "categories": Contract(categorical, categorical_knowledge, names),
    "texts": Contract(lambda values: updated(TextSummary(), values), text_knowledge, names),
    "characters of texts": Contract(character_sums, character_knowledge, names),
    "words of texts": Contract(vocabulary_sums, vocabulary_knowledge, names),
    "projected vectors": Contract(
        projected,
        projected_knowledge,
        vectors,
        lambda: projected([], ProjectionLayout(2.0, PROJECTIONS.centres, PROJECTIONS.deviations)),
    ),
    "points in time": Contract(datetimes, datetime_knowledge, numbers),
    "vectors": Contract(embedding, embedding_knowledge, vectors, lambda: embedding([(1.0, 2.0)])),
    "calls": Contract(calls, calls_knowledge, numbers),
    "nothing": Contract(lambda _: OpaqueSummary(), repr, numbers),
    "numeric summary": Contract(
        of_a_column(numeric), of_column(numeric_knowledge), numbers, lambda: of_a_column(boolean)([1.0])
    ),
    "text summary": Contract(
        of_a_column(lambda values: updated(TextSummary(), values)),
        of_column(text_knowledge),
        names,
        lambda: of_a_column(categorical)(["a"]),
    ),
    "embedding summary": Contract(
        of_a_column(embedding), of_column(embedding_knowledge), vectors, lambda: of_a_column(embedding)([(1.0, 2.0)])
    ),
}

PARTICULAR = {name: contract for name, contract in CONTRACTS.items() if contract.stranger}

every_summary = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())


def merged(contract, *parts):
    whole = contract.of(parts[0])
    for part in parts[1:]:
        whole.merge(contract.of(part))
    return whole


def test_every_mergeable_summary_is_under_contract():
    """A new kind of sketch is checked here or it is not one."""
    mergeable = {
        kind
        for module in pkgutil.iter_modules(otel_ml.sketch.__path__, "otel_ml.sketch.")
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if kind.__module__ == module.name and hasattr(kind, "merge") and not getattr(kind, "_is_protocol", False)
    }

    assert mergeable == {type(contract.of([])) for contract in CONTRACTS.values()}


@every_summary
@given(data=st.data())
def test_merging_parts_equals_having_seen_it_all(contract, data):
    """Replicas merged know what one replica would have known."""
    parts = data.draw(st.lists(contract.values, min_size=1, max_size=4))

    whole = merged(contract, *parts)

    assert contract.knows(whole) == contract.knows(contract.of([value for part in parts for value in part]))


@every_summary
@given(data=st.data())
def test_merging_is_commutative(contract, data):
    """Whichever replica reports first."""
    left, right = data.draw(contract.values), data.draw(contract.values)

    assert contract.knows(merged(contract, left, right)) == contract.knows(merged(contract, right, left))


@every_summary
@given(data=st.data())
def test_merging_is_associative(contract, data):
    """Whichever replicas a processor along the way has merged already."""
    first, second, third = (data.draw(contract.values) for _ in range(3))
    tail = merged(contract, second, third)

    whole = contract.of(first)
    whole.merge(tail)

    assert contract.knows(whole) == contract.knows(merged(contract, first, second, third))


@every_summary
@given(data=st.data())
def test_merging_an_empty_one_changes_nothing(contract, data):
    """In either direction: nothing seen adds nothing, and what nothing has been merged into knows what came."""
    values = data.draw(contract.values)
    expected = contract.knows(contract.of(values))

    assert contract.knows(merged(contract, values, [])) == expected
    assert contract.knows(merged(contract, [], values)) == expected


@every_summary
@given(data=st.data())
def test_the_other_one_stays_as_it_was(contract, data):
    """What was merged in can be merged again, and is not changed by what happens to the whole afterwards."""
    mine, theirs, later = (data.draw(contract.values) for _ in range(3))
    other = contract.of(theirs)

    whole = contract.of(mine)
    whole.merge(other)
    whole.merge(contract.of(later))

    assert contract.knows(other) == contract.knows(contract.of(theirs))


@pytest.mark.parametrize("contract", PARTICULAR.values(), ids=PARTICULAR.keys())
@given(data=st.data())
def test_an_incompatible_one_is_refused_and_changes_nothing(contract, data):
    """The error is ours, and both stay as they were."""
    summary, stranger = contract.of(data.draw(contract.values.filter(bool))), contract.stranger()
    before = contract.knows(summary)

    with pytest.raises(IncompatibleSketchError):
        summary.merge(stranger)

    assert contract.knows(summary) == before
