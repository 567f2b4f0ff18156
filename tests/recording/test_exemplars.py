"""Which requests brought the values worth a look."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from opentelemetry.trace import SpanContext, TraceFlags

from otel_ml.recording.exemplars import ExemplarFinder
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.exemplar import ExemplarReason
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

INFO = ModelInfo(ModelKey("m"))
A, B = (FeatureKey(FeatureRole.FEATURE, name) for name in "ab")
numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


def call(number, *, sampled=True, rows=1):
    """One call in a span whose trace id is `number`."""
    context = SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(int(sampled)))
    return Inference(INFO, "predict", np.zeros((rows, 2)), prediction_id=f"p{number}", span_context=context)


def traces(found, key, reason):
    """Trace ids of the exemplars of a column."""
    return [exemplar.trace_id for exemplar in found.get(key, ()) if exemplar.reason is reason]


def shown(matrices):
    """What is found when each matrix is what one call was asked, all of them shown at once."""
    finder = ExemplarFinder()
    finder.begin([call(number + 1) for number in range(len(matrices))], [len(matrix) for matrix in matrices])
    finder.numbers((A, B), np.concatenate(matrices), None)
    return finder.drain()


def test_the_largest_and_smallest_value_lead_to_their_requests():
    """By trace, row and id."""
    found = shown([np.array([[1.0, 5.0]]), np.array([[9.0, 5.0], [0.5, 7.0]]), np.array([[2.0, -3.0]])])

    (largest,) = [exemplar for exemplar in found[A] if exemplar.reason is ExemplarReason.LARGEST]
    assert (largest.trace_id, largest.prediction_id, largest.value) == (2, "p2:0", 9.0)
    (smallest,) = [exemplar for exemplar in found[A] if exemplar.reason is ExemplarReason.SMALLEST]
    assert (smallest.trace_id, smallest.prediction_id, smallest.value) == (2, "p2:1", 0.5)
    assert traces(found, B, ExemplarReason.SMALLEST) == [3]


@given(st.lists(arrays(np.float64, st.tuples(st.integers(1, 4), st.just(2)), elements=numbers), min_size=1, max_size=6))
def test_whatever_was_shown_the_extremes_are_the_true_ones(matrices):
    """And every missing value leads to a request that lacked it."""
    found = shown(matrices)
    together = np.concatenate(matrices)
    owner = np.repeat(np.arange(len(matrices)) + 1, [len(matrix) for matrix in matrices])

    for index, key in enumerate((A, B)):
        column = together[:, index]
        values = {exemplar.reason: exemplar for exemplar in found.get(key, ())}
        if np.isnan(column).all():
            assert ExemplarReason.LARGEST not in values
        else:
            assert values[ExemplarReason.LARGEST].value == np.nanmax(column)
            assert values[ExemplarReason.SMALLEST].value == np.nanmin(column)
        lacking = set(owner[np.isnan(column)].tolist())
        assert bool(lacking) == (ExemplarReason.MISSING in values)
        if lacking:
            assert values[ExemplarReason.MISSING].trace_id in lacking


def test_pieces_of_one_batch_are_told_apart():
    """A batch is summarised in pieces: rows are counted on."""
    finder = ExemplarFinder()
    finder.begin([call(1, rows=4)], [4])
    finder.numbers((A, B), np.array([[1.0, 1.0], [1.0, 1.0]]), None)
    finder.advance(2)
    finder.numbers((A, B), np.array([[1.0, 1.0], [8.0, 1.0]]), None)

    (largest,) = [found for found in finder.drain()[A] if found.value == 8.0]
    assert largest.prediction_id == "p1:3"


def test_what_cannot_be_found_again_is_not_kept():
    """Neither traced nor named: there is nothing to look up."""
    finder = ExemplarFinder()
    unsampled = call(1, sampled=False)._replace(prediction_id=None)
    finder.begin([unsampled], [1])
    finder.numbers((A, B), np.array([[1.0, np.nan]]), None)

    assert not finder.is_looking
    assert finder.drain() == {}


def test_an_unsampled_trace_is_not_named():
    """It is in no backend; the id of the prediction still is in the events."""
    finder = ExemplarFinder()
    finder.begin([call(7, sampled=False)], [1])
    finder.numbers((A, B), np.array([[1.0, 2.0]]), None)

    assert {(found.trace_id, found.prediction_id) for found in finder.drain()[A]} == {(0, "p7")}


def test_infinities_are_no_missing_values():
    """+inf and -inf add up to NaN, and yet nothing is missing; an infinite value is told without its value."""
    found = shown([np.array([[np.inf, 0.0], [-np.inf, 0.0]])])

    assert {exemplar.reason for exemplar in found[A]} == {ExemplarReason.LARGEST, ExemplarReason.SMALLEST}
    assert {exemplar.value for exemplar in found[A]} == {None}


def test_every_interval_begins_anew():
    """What was extreme an hour ago says nothing about now."""
    finder = ExemplarFinder()
    finder.begin([call(1)], [1])
    finder.numbers((A, B), np.array([[100.0, 1.0]]), None)
    finder.drain()
    finder.begin([call(2)], [1])
    finder.numbers((A, B), np.array([[1.0, 1.0]]), None)

    assert traces(finder.drain(), A, ExemplarReason.LARGEST) == [2]
