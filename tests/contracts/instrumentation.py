"""What every instrumentor owes its framework and its users, as tests to inherit.

A library's test file derives from `ModelContract`, a server framework's from `ServerContract`, says how one inference
is made, and gets all of the tests here.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from otlp_sink import OtlpSink, attributes

from otel_ml import semconv
from otel_ml.instrumentation.outermost import inside
from otel_ml.recording import guard
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch import codec
from otel_ml.testing import captured_telemetry

# --- libraries that run models ----------------------------------------------------------------------------------------


class ModelContract:
    """One library; `model()` and `infer()` are what a test file must say.

    Attributes:
        instrumentor: The class under test.
        rows: Rows that one `infer` predicts.
        reported_as: Name under which the model is reported.
        operation: Method that `infer` calls, as reported.
        system: As reported.
    """

    instrumentor = None
    rows = 3
    reported_as = ""
    operation = "predict"
    system = ""

    def model(self):
        """A trained model, small; made while the library is instrumented."""
        raise NotImplementedError

    def infer(self, model):
        """One call of the model; gives its answer as something that compares with ==."""
        raise NotImplementedError

    def fail(self, model):
        """One call of the model that the library refuses with an exception of its own."""
        raise NotImplementedError

    @pytest.fixture
    def instrumented(self):
        with instrumented(self.instrumentor):
            yield

    def test_one_call_is_one_inference_with_one_span(self, instrumented):
        """However many layers the library has below: rows are counted once, under one INTERNAL span."""
        with captured_telemetry() as telemetry:
            self.infer(self.model())

            assert rows_of(telemetry.snapshots()) == {self.reported_as: self.rows}
            (span,) = telemetry.spans()
            assert span.name == f"{self.operation} {self.reported_as}"
            assert span.kind is trace.SpanKind.INTERNAL
            assert span.attributes[semconv.MODEL_NAME] == self.reported_as
            assert span.attributes[semconv.SYSTEM_NAME] == self.system
            assert span.attributes[semconv.OPERATION_NAME] == self.operation
            assert guard.failures() == {}

    def test_instrumenting_twice_counts_once(self, instrumented):
        """In code and by `opentelemetry-instrument`, say."""
        self.instrumentor().instrument(skip_dep_check=True)
        with captured_telemetry() as telemetry:
            self.infer(self.model())

            assert rows_of(telemetry.snapshots()) == {self.reported_as: self.rows}

    def test_answers_are_the_same_with_and_without(self):
        """Nothing of what a model gives is changed, copied or consumed."""
        with instrumented(self.instrumentor), captured_telemetry():
            model = self.model()
            observed = self.infer(model)

        assert observed == self.infer(model)

    def test_uninstrumented_it_is_left_alone(self):
        """No span and no row, from models that were made before as well."""
        with captured_telemetry() as telemetry:
            with instrumented(self.instrumentor):
                model = self.model()
            self.infer(model)

            assert telemetry.snapshots() == []
            assert telemetry.spans() == ()

    def test_calls_inside_of_a_recorded_call_are_not_inferences(self, instrumented):
        """Only the outermost call is: an ensemble asks its members on its own behalf."""
        model = self.model()
        with captured_telemetry() as telemetry:
            outer = inside.set(True)
            try:
                self.infer(model)
            finally:
                inside.reset(outer)

            assert telemetry.snapshots() == []
            assert telemetry.spans() == ()

    def test_suppressed_instrumentation_is_respected(self, instrumented):
        """OpenTelemetry's own switch turns us off as well."""
        model = self.model()
        with captured_telemetry() as telemetry, suppress_instrumentation():
            self.infer(model)

            assert telemetry.snapshots() == []
            assert telemetry.spans() == ()

    def test_switched_off_it_records_nothing_and_starts_no_thread(self, instrumented):
        """OTEL_PYTHON_ML_ENABLED=false, OTEL_SDK_DISABLED=true."""
        model = self.model()
        with captured_telemetry(enabled=False) as telemetry:
            self.infer(model)

            assert "otel-ml-recording" not in {thread.name for thread in threading.enumerate()}
            assert telemetry.spans() == ()

    def test_a_broken_recorder_changes_no_answer(self, instrumented, monkeypatch):
        """What fails on our side is counted and said once, and stays on our side."""
        model = self.model()
        expected = self.infer(model)
        with captured_telemetry():

            def broken(inference):
                raise RuntimeError("broken")

            monkeypatch.setattr(get_recorder(), "submit", broken)

            assert self.infer(model) == expected
            assert guard.failures()
        guard.reset()

    def test_a_broken_tracer_changes_no_answer(self, instrumented):
        """A provider of somebody else's making may raise: the rows are counted without a span."""
        model = self.model()
        expected = self.infer(model)
        with captured_telemetry() as telemetry, pytest.MonkeyPatch.context() as monkeypatch:

            class BrokenProvider:
                def get_tracer(self, *_, **__):
                    raise RuntimeError("broken")

            monkeypatch.setattr(trace, "_TRACER_PROVIDER", BrokenProvider())

            assert self.infer(model) == expected
            assert rows_of(telemetry.snapshots()) == {self.reported_as: self.rows}
        guard.reset()

    def test_the_librarys_own_exceptions_pass_untouched(self, instrumented):
        """The same class and words; counted as an error, with no row; and the next call is the outermost again."""
        model = self.model()
        with uninstrumented_for_a_while(self.instrumentor), pytest.raises(Exception) as bare:
            self.fail(model)
        with captured_telemetry() as telemetry:
            with pytest.raises(type(bare.value)) as observed:
                self.fail(model)

            assert str(observed.value) == str(bare.value)
            assert not inside.get()
            # What failed may have been asked of a model that there is not, and is reported under that name.
            snapshots = telemetry.snapshots()
            assert not any(rows_of(snapshots).values())
            (span,) = telemetry.spans()
            assert span.status.status_code is trace.StatusCode.ERROR
            assert span.attributes[semconv.ERROR_TYPE].endswith(type(bare.value).__qualname__)
            # Whoever is told of errors can open one.
            worth_a_look = {call.trace_id for snapshot in snapshots for call in snapshot.calls.exemplars}
            assert worth_a_look == {span.context.trace_id}

    def test_the_original_objects_come_back(self):
        """Again and again, the very same."""
        with instrumented(self.instrumentor):
            self.infer(self.model())
        before = targets_of(self.instrumentor)
        for _ in range(2):
            with instrumented(self.instrumentor):
                during = targets_of(self.instrumentor)

            assert all(during[name] is not before[name] for name in before)
            assert targets_of(self.instrumentor) == before


# --- frameworks that serve models -------------------------------------------------------------------------------------


class ServerContract:
    """One server framework; `serve()` and `ask()` are what a test file must say.

    Attributes:
        reported_as: Name under which the model is reported.
        rows: Rows that one `ask` predicts.
        requests: How many are sent at once.
        takes_request_id: The framework lets x-request-id through to where the prediction is made.
        tells_prediction_id: The response carries the id in `x-prediction-id`.
    """

    reported_as = ""
    rows = 1
    requests = 24
    takes_request_id = True
    tells_prediction_id = True

    def serve(self, environment, *, instrumented=True):
        """A `ServerProcess` of the framework with a small model behind it."""
        raise NotImplementedError

    def ask(self, server, number, headers):
        """The `number`-th request, with these headers; gives the `Answer`."""
        raise NotImplementedError

    def ask_wrongly(self, server):
        """A request that the application or framework refuses; gives the `Answer`."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def bare(cls):
        """Answers of the server without us."""
        contract = cls()
        with contract.serve({}, instrumented=False) as server:
            return Served(contract, server)

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls):
        """Answers of the instrumented server, and what the collector has after it was stopped."""
        contract = cls()
        with OtlpSink() as sink:
            environment = {**sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}
            with contract.serve(environment) as server:
                served = Served(contract, server)
                server.stop()
                served.output = server.output
            served.sink = sink
            yield served

    def test_answers_are_what_they_would_have_been(self, served, bare):
        """Status and body of every response, refusals included."""
        assert [(answer.status, answer.body) for answer in served.answers] == [
            (answer.status, answer.body) for answer in bare.answers
        ]
        assert served.refusal.status == bare.refusal.status
        assert {answer.status for answer in served.answers} == {200}

    def test_nothing_is_written_or_broken(self, served):
        """No warning of ours, no context that could not be detached."""
        assert "otel-ml: " not in served.output
        assert "Failed to detach context" not in served.output

    def test_every_row_is_counted_once_also_those_before_the_end(self, served):
        """The server was stopped right after the last answer: the final flush brings what was not sent yet."""
        counted = rows_of(served.snapshots()).get(self.reported_as)

        assert counted == self.rows * self.requests

    def test_no_snapshot_comes_twice(self, served):
        """A producer and its sequence name a snapshot."""
        keys = [(snapshot.producer_id, snapshot.sequence) for snapshot in served.snapshots()]

        assert len(set(keys)) == len(keys)

    def test_the_inference_has_internal_spans_and_no_server_span(self, served):
        """The SERVER span is the framework's own business: ours are below it, or linked to it."""
        ours = [span for span in served.sink.spans() if semconv.MODEL_NAME in attributes(span)]

        assert ours
        assert {span.kind for span in ours} == {1}

    def test_every_inference_carries_the_id_of_its_request(self, served):
        """So that a label that arrives a week later finds its prediction."""
        ids = {
            attributes(record).get(semconv.PREDICTION_ID)
            for record in served.sink.log_records(semconv.EVENT_INFERENCE_RESULT)
        }
        if self.takes_request_id:
            expected = {f"request-{number}" for number in range(self.requests)}
            assert {id_.partition(":")[0] for id_ in ids} == expected
        assert len(ids) == self.rows * self.requests

    def test_the_response_tells_its_prediction_id(self, served):
        """The client learns the id that its label must name."""
        told = [answer.headers.get(semconv.PREDICTION_ID_HEADER) for answer in served.answers]
        if not self.tells_prediction_id:
            assert set(told) == {None}
        elif self.takes_request_id:
            assert told == [f"request-{number}" for number in range(self.requests)]
        else:
            assert len(set(told)) == self.requests

    @pytest.mark.parametrize(
        "environment",
        [
            {"OTEL_SDK_DISABLED": "true"},
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_METRICS_EXPORTER": "otlp",
                "OTEL_LOGS_EXPORTER": "otlp",
            },
        ],
        ids=["disabled", "nobody_listens"],
    )
    def test_without_telemetry_it_serves_all_the_same(self, bare, environment):
        """Switched off, or with nobody to send to: identical answers."""
        with self.serve(environment) as server:
            served = Served(self, server)

        assert [answer.body for answer in served.answers] == [answer.body for answer in bare.answers]


class Served:
    """What a server answered: `requests` at once, then one that is refused."""

    def __init__(self, contract, server):
        self.sink = None
        self.output = ""
        with ThreadPoolExecutor(8) as pool:
            self.answers = list(
                pool.map(
                    lambda number: contract.ask(server, number, {"x-request-id": f"request-{number}"}),
                    range(contract.requests),
                )
            )
        self.refusal = contract.ask_wrongly(server)

    def snapshots(self):
        """Every snapshot the collector has."""
        return [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in self.sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]


# --- shared -----------------------------------------------------------------------------------------------------------


def rows_of(snapshots):
    """Rows by name of model."""
    rows = {}
    for snapshot in snapshots:
        rows[snapshot.model.name] = rows.get(snapshot.model.name, 0) + snapshot.rows
    return rows


@contextlib.contextmanager
def instrumented(instrumentor):
    """Instrumented for a block, whatever happens in it."""
    guard.reset()
    instrumentor().instrument(skip_dep_check=True)
    assert instrumentor.active, f"{instrumentor.__name__}: {instrumentor.requires} not met"
    try:
        yield
    finally:
        if instrumentor().is_instrumented_by_opentelemetry:
            instrumentor().uninstrument()


@contextlib.contextmanager
def uninstrumented_for_a_while(instrumentor):
    """Not instrumented for a block, and then again."""
    instrumentor().uninstrument()
    try:
        yield
    finally:
        instrumentor().instrument(skip_dep_check=True)


def targets_of(instrumentor):
    """What each patch changes, as its owner holds it; patches of modules that are not loaded are left out."""
    import sys

    from otel_ml.instrumentation.patch import ABSENT

    found = {}
    for patch in instrumentor().patches():
        owner = sys.modules.get(patch.module)
        if owner is None or not hasattr(patch, "wrap"):
            continue
        *path, name = patch.attribute.split(".")
        for step in path:
            owner = getattr(owner, step, None)
        if owner is not None:
            found[patch.module, patch.attribute] = vars(owner).get(name, ABSENT)
    return found
