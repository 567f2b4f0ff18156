"""Batches of BentoML's dispatcher, whose tasks all run in the context of the first request there ever was."""

import asyncio
import contextvars
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bentoml._internal.marshal.dispatcher import CorkDispatcher
from frameworks.bentoml import services
from opentelemetry import trace
from otlp_sink import attributes
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording import guard

# BentoML uses what newer versions of its requirements deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROWS = 3
"""Of each request; batches take eight, so that most of them end in the midst of a request."""


@pytest.mark.slow
def test_each_batch_links_to_its_own_requests_and_each_row_has_its_own_id(sink):
    """Concurrent requests, in a real server, among them those whose rows are in two batches."""
    requests = 40
    command = [BIN / "bentoml", "serve", "services:Batched", "--port", PORT]
    environment = {
        **sink.environment,
        "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "starlette",  # contrib's: another test is about that
    }

    def ask(number):
        rows = [[100.0 * number + row, 1.0] for row in range(ROWS)]
        headers = {"x-request-id": f"request-{number}", "traceparent": f"00-{number + 1:032x}-b7ad6b7169203331-01"}
        return server.post("/predict", {"rows": rows}, headers)

    with ServerProcess(command, environment, cwd=services.HERE, ready="/readyz") as server:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(requests)))
        server.stop()
        assert "otel-ml" not in server.output

    # Which requests had rows in which batch, as the service itself has told them.
    in_batch = {}
    for number, answer in enumerate(answers):
        for _, batch in answer.body:
            in_batch.setdefault(batch, set()).add(number + 1)
    batches = [span for span in sink.spans() if semconv.MODEL_NAME in attributes(span)]
    linked = [{int.from_bytes(link.trace_id, "big") for link in span.links} for span in batches]
    assert sorted(map(sorted, linked)) == sorted(map(sorted, in_batch.values()))
    assert any(len(members) > 1 for members in linked)
    assert len(in_batch) < requests
    assert max(len(batch) for batch in linked) * ROWS >= 8  # some request was split
    assert {span.parent_span_id for span in batches} == {b""}
    servers = {span.span_id for span in sink.spans() if span.kind == 2}
    assert all(link.span_id in servers for span in batches for link in span.links)
    # The first feature says whose row it is.
    rows = {}
    for record in sink.log_records(semconv.EVENT_INFERENCE_RESULT):
        told = attributes(record)
        rows[told[semconv.PREDICTION_ID]] = told[semconv.INFERENCE_FEATURES]["f0"]
    assert rows == {
        f"request-{number}:{row}": 100.0 * number + row for number in range(requests) for row in range(ROWS)
    }


class Requests:
    """Requests that wait for one dispatcher, each in a context of its own, as a server has it."""

    def __init__(self, callback, **options):
        def fallback():
            raise RuntimeError("overloaded")

        self.dispatcher = CorkDispatcher(fallback=fallback, get_batch_size=len, **options)
        self.predict = self.dispatcher(callback)
        self.tracer = trace.get_tracer("test")
        self.trace_ids = {}

    async def ask(self, own_id, rows):
        with (
            ServedRequest("test", headers=[("x-request-id", own_id)]),
            self.tracer.start_as_current_span(own_id) as span,
        ):
            self.trace_ids[own_id] = span.get_span_context().trace_id
            return await self.predict(np.asarray(rows, dtype=float))

    def start(self, own_id, rows):
        return contextvars.Context().run(asyncio.get_running_loop().create_task, self.ask(own_id, rows))

    def stop(self):
        self.dispatcher.shutdown()


def model_of(batches):
    """Gives each row's prediction, and notes the batch it was in."""

    async def predict(parts):
        batches.append(np.concatenate(parts))
        await asyncio.sleep(0.01)
        predictions = services.MODEL.predict(batches[-1])
        ends = list(itertools.accumulate(map(len, parts)))
        return [predictions[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]

    return predict


def told(telemetry):
    return {
        event.attributes[semconv.PREDICTION_ID]: event.attributes[semconv.INFERENCE_FEATURES]["f0"]
        for event in telemetry.events(semconv.EVENT_INFERENCE_RESULT)
    }


async def test_a_large_requests_rows_keep_their_numbers_over_all_its_batches(telemetry):
    """Split twice and more: row 7 is "<id>:7", whichever batch it was in, and each of them links to the request."""
    batches = []
    requests = Requests(model_of(batches), max_latency_in_ms=60_000, max_batch_size=4)

    result = await requests.start("large", [[float(row), 0.0] for row in range(10)])
    requests.stop()

    assert len(result) == 10
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert told(telemetry) == {f"large:{row}": float(row) for row in range(10)}
    inferences = [span for span in telemetry.spans() if semconv.MODEL_NAME in span.attributes]
    assert [[link.context.trace_id for link in span.links] for span in inferences] == [
        [requests.trace_ids["large"]]
    ] * 3
    assert guard.failures() == {}


async def test_who_was_turned_away_is_in_no_batch(telemetry):
    """A job that has waited too long is cancelled before it reaches the model."""
    batches = []
    requests = Requests(model_of(batches), max_latency_in_ms=1, max_batch_size=4)
    tasks = {f"r{number}": requests.start(f"r{number}", [[float(number), 0.0]]) for number in range(30)}
    await asyncio.wait(tasks.values())
    requests.stop()

    served = {own_id: float(own_id[1:]) for own_id, task in tasks.items() if task.exception() is None}
    assert 0 < len(served) < 30
    assert told(telemetry) == served


async def test_who_left_before_the_batch_has_a_row_of_their_own_in_it(telemetry):
    """BentoML predicts for them all the same: their rows keep their ids, and nobody else's shift."""
    batches = []
    requests = Requests(model_of(batches), max_latency_in_ms=60_000, max_batch_size=8)
    tasks = [requests.start(f"r{number}", [[float(number), 0.0]]) for number in range(6)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[4].cancel()
    await asyncio.wait(tasks)
    await requests.start("r6", [[6.0, 0.0]])  # first come, first served: all others were before
    requests.stop()

    assert told(telemetry) == {f"r{number}": float(number) for number in range(7)}


async def test_a_model_that_fails_fails_its_own_requests(telemetry):
    """With the model's exception, and without a row."""

    async def failing(parts):
        services.MODEL.predict(np.zeros((len(parts), 5)))

    requests = Requests(failing, max_latency_in_ms=60_000, max_batch_size=8)
    with pytest.raises(ValueError, match="features"):
        await requests.start("r1", [[1.0, 2.0]])
    requests.stop()

    assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 0
    (inference,) = [span for span in telemetry.spans() if semconv.MODEL_NAME in span.attributes]
    assert inference.parent is None
    assert [link.context.trace_id for link in inference.links] == [requests.trace_ids["r1"]]


async def test_requests_that_are_excluded_stay_so_in_a_batch(telemetry):
    """OTEL_PYTHON_ML_EXCLUDED_URLS says so for the path, and all requests of an API share it."""
    from otel_ml.instrumentation.requests.serving import LeftAlone

    requests = Requests(model_of([]), max_latency_in_ms=60_000, max_batch_size=8)
    with LeftAlone():
        await asyncio.get_running_loop().create_task(requests.ask("r1", [[1.0, 2.0]]))
    requests.stop()

    assert telemetry.snapshots() == []
