"""Batches made of several requests."""

import asyncio
import contextvars
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags

from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests, this_request
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope, current_scope
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

INFO = ModelInfo(ModelKey("flowers"))


@pytest.fixture
def ids_wanted(recorded, monkeypatch):
    """As with OTEL_PYTHON_ML_CAPTURE_EVENTS=events: only events carry ids."""
    monkeypatch.setattr(get_recorder(), "wants_span_context", True)


def predict(rows):
    with ObservedCall("test hook", lambda _: INFO, "predict", [{"x": float(row)} for row in range(rows)]) as call:
        call.returned(list(range(rows)))


def span_context(number):
    return SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(1))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_row_ids_are_those_of_the_members_in_their_order(sizes):
    """As many as rows, all different; a single row has its request's id, a row of several "<id>:<index>"."""
    members = [BatchMember(f"r{number}", None, rows=rows) for number, rows in enumerate(sizes)]

    with batch_of_requests(members):
        ids = list(current_scope().row_ids)

    expected = [
        f"r{number}" if rows == 1 else f"r{number}:{index}"
        for number, rows in enumerate(sizes)
        for index in range(rows)
    ]
    assert ids == expected
    assert len(set(ids)) == sum(sizes)


@given(st.integers(2, 40), st.data())
def test_a_request_that_is_split_over_batches_keeps_its_rows_ids(rows, data):
    """Wherever it is cut: together the parts have the ids it would have had whole."""
    cuts = sorted(data.draw(st.sets(st.integers(1, rows - 1))))
    edges = [0, *cuts, rows]
    parts = [
        BatchMember("r", None, rows=end - start, first_row=start, of_rows=rows)
        for start, end in itertools.pairwise(edges)
    ]

    assert [row_id for part in parts for row_id in part.row_ids()] == BatchMember("r", None, rows=rows).row_ids()


def test_members_without_an_id_get_one():
    """Requests of a framework that tells none are still told apart."""
    with batch_of_requests([BatchMember(None, None), BatchMember(None, None, rows=2)]):
        ids = current_scope().row_ids

    assert len(ids) == len(set(ids)) == 3
    assert ids[1].removesuffix(":0") == ids[2].removesuffix(":1")


def test_what_a_batch_records_counts_for_each_of_its_requests(recorded, ids_wanted):
    """So that none of them records its own request and response beside it; and each row has its request's id."""
    members = []
    with ServedRequest("test", headers=[("x-request-id", "a")]) as first:
        members.append(this_request())
        first.fallback = lambda: pytest.fail("recorded twice")
        with batch_of_requests([*members, BatchMember("b", None, rows=2)]):
            assert current_scope() is not first
            predict(3)
        assert current_scope() is first

    assert first.count == 1
    assert [call.prediction_id for call in recorded] == [("a", "b:0", "b:1")]


def test_a_second_call_of_the_batch_has_ids_of_its_own(recorded, ids_wanted):
    """An ensemble asks one model after the other, or one model twice."""
    with batch_of_requests([BatchMember("a", None), BatchMember("b", None)]):
        predict(2)
        predict(2)

    assert [call.prediction_id for call in recorded] == [("a", "b"), ("a.1", "b.1")]


def test_requests_that_are_over_are_left_alone(recorded):
    """A client that went away does not wait for its batch."""
    with ServedRequest("test") as gone:
        member = this_request()
    with batch_of_requests([member]):
        predict(1)

    assert gone.count == 0
    assert len(recorded) == 1


def test_the_batchs_span_has_links_to_all_and_no_parent():
    """Whichever request's context the batching task inherited is nobody's parent."""
    with captured_telemetry() as telemetry:
        tracer = trace.get_tracer("requests")
        members = []
        for number in range(3):
            with tracer.start_as_current_span(f"request {number}"), ServedRequest("test"):
                members.append(this_request())
        with tracer.start_as_current_span("first request, whose task this is"), batch_of_requests(members):
            predict(3)

        (span,) = [span for span in telemetry.spans() if span.name == "predict flowers"]
    assert span.parent is None
    assert [link.context for link in span.links] == [member.span_context for member in members]


@pytest.mark.parametrize("error", [None, ValueError("mine"), KeyboardInterrupt(), GeneratorExit()])
def test_everything_is_as_it_was_before(error):
    """Scope, span and flag of the batching task, whatever the model did; exceptions pass."""
    outer = InferenceScope()
    span = trace.NonRecordingSpan(span_context(7))
    token, flag = request_scope.set(outer), inside.set(True)
    caught = None
    try:
        with trace.use_span(span):
            try:
                with batch_of_requests([BatchMember("a", span_context(1))]):
                    during = (trace.get_current_span() is span, inside.get(), current_scope() is outer)
                    if error is not None:
                        raise error  # noqa: TRY301 - raised by the model, here
            except BaseException as raised:
                caught = raised
            after = (trace.get_current_span() is span, inside.get(), current_scope() is outer)
    finally:
        inside.reset(flag)
        request_scope.reset(token)

    assert caught is error
    assert during == (False, False, False)
    assert after == (True, True, True)


def test_batches_in_batches_are_told_apart(recorded, ids_wanted):
    """A batched model that calls another batched one."""
    with batch_of_requests([BatchMember("a", None)]):
        with batch_of_requests([BatchMember("b", None)]):
            predict(1)
        predict(1)

    assert [call.prediction_id for call in recorded] == [("b",), ("a",)]


def test_batches_run_side_by_side(recorded, ids_wanted):
    """Tasks of one loop do not see each other's batch."""

    async def run(name):
        with batch_of_requests([BatchMember(name, None)]):
            await asyncio.sleep(0)
            predict(1)

    async def run_all():
        await asyncio.gather(*(run(f"r{number}") for number in range(10)))

    asyncio.run(run_all())

    assert sorted(call.prediction_id for call in recorded) == sorted((f"r{number}",) for number in range(10))


@pytest.mark.parametrize("copied", [False, True])
def test_a_batch_may_be_left_in_another_context(caplog, copied):
    """A generator that is closed by whoever throws it away: nothing raises, nothing is said."""

    def steps():
        with batch_of_requests([BatchMember("a", None)]):
            yield contextvars.copy_context()

    batch = steps()
    context = contextvars.copy_context().run(next, batch)

    (context if copied else contextvars.copy_context()).run(batch.close)

    assert current_scope() is None
    assert caplog.records == []


def test_a_broken_member_costs_ids_and_links_and_nothing_else(monkeypatch):
    """What a framework hands over may be anything; the model is called all the same."""
    from otel_ml.recording import guard

    guard.reset()
    called = []

    with batch_of_requests([object()]):
        called.append(True)

    assert called
    assert guard.failures() == {"batch of requests": 1}
    guard.reset()
