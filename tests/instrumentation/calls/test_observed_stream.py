"""Answers that come in pieces."""

import asyncio
import contextvars
import gc
import logging

import pytest
from opentelemetry import trace

from otel_ml import semconv
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.calls.observed_stream import observed_stream
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording import guard
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

VARIABLE = contextvars.ContextVar("variable", default="untouched")


def stream_of(pieces):
    """The pieces, observed: one row, predicted as their sum."""
    model = ModelInfo(ModelKey("talker"))
    taken = []
    return observed_stream(
        "test",
        lambda _: pieces(),
        request=ServedRequest("test", headers=[("x-request-id", "request-1")]),
        call=ObservedCall("test", lambda _: model, "infer"),
        take=taken.append,
        read=lambda: ({"a": 1.0}, float(sum(taken)), None),
    )


async def three():
    for piece in (1, 2, 3):
        VARIABLE.set(f"set {piece}")
        await asyncio.sleep(0)
        yield piece
        assert VARIABLE.get() == f"set {piece}"


async def for_ever():
    try:
        while True:
            yield 1
            await asyncio.sleep(0)
    finally:
        VARIABLE.set("closed")


async def failing():
    yield 1
    raise LookupError("no more words")


async def test_it_is_one_inference_at_its_end():
    """With one span, and the id of the request."""
    with captured_telemetry() as telemetry:
        pieces = [piece async for piece in stream_of(three)]

        assert pieces == [1, 2, 3]
        assert [snapshot.rows for snapshot in telemetry.snapshots()] == [1]
        (span,) = telemetry.spans()
        assert span.attributes[semconv.PREDICTION_ID] == "request-1"
        assert guard.failures() == {}


async def test_its_reader_keeps_its_own_context():
    """Between the pieces, our span, our flags and the stream's own variables are not the reader's."""
    with captured_telemetry():
        async for _ in stream_of(three):
            assert not trace.get_current_span().get_span_context().is_valid
            assert not inside.get()
            assert current_scope() is None
            assert VARIABLE.get() == "untouched"


async def test_a_reader_who_goes_away_is_no_failure(caplog):
    """What came until then is recorded; the stream is closed in its own context, wherever that happens."""
    with captured_telemetry() as telemetry, caplog.at_level(logging.WARNING):
        stream = stream_of(for_ever)
        assert await anext_of(stream) == 1
        await asyncio.create_task(stream.aclose(), name="somewhere else")
        assert [snapshot.rows for snapshot in telemetry.snapshots()] == [1]
        (span,) = telemetry.spans()
        assert semconv.ERROR_TYPE not in span.attributes

    assert caplog.records == []
    assert VARIABLE.get() == "untouched"


async def test_a_stream_that_is_thrown_away_is_closed_by_the_loop(caplog):
    """As a server does whose client disconnects."""
    with captured_telemetry() as telemetry, caplog.at_level(logging.WARNING):
        stream = stream_of(for_ever)
        await anext_of(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0)  # the loop hears of it
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        assert len(telemetry.spans()) == 1
        assert [snapshot.rows for snapshot in telemetry.snapshots()] == [1]

    assert caplog.records == []


async def test_a_reader_who_is_cancelled_is_no_failure():
    """A server cancels the task that writes to a client which is gone."""

    async def waiting():
        yield 1
        await asyncio.sleep(600.0)
        yield 2

    async def read():
        async for _ in stream_of(waiting):
            reached.set()

    with captured_telemetry() as telemetry:
        reached = asyncio.Event()
        task = asyncio.create_task(read())
        await reached.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (span,) = telemetry.spans()
        assert semconv.ERROR_TYPE not in span.attributes
        assert [snapshot.rows for snapshot in telemetry.snapshots()] == [1]


async def test_a_failure_of_the_model_passes():
    """The same exception, and an error on the span."""
    with captured_telemetry() as telemetry:
        with pytest.raises(LookupError, match="no more words"):
            async for _ in stream_of(failing):
                pass
        (span,) = telemetry.spans()
        assert span.attributes[semconv.ERROR_TYPE] == "LookupError"


async def anext_of(stream):
    return await stream.__anext__()
