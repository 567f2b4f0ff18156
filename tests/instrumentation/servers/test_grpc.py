"""gRPC servers: the request around model calls, and the end of the process."""

import asyncio
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import pytest
from instrumentation.servers.flower_messages import Answer, Area, Done, Flower
from instrumentation.servers.grpc_calls import SERVICE, AioServer, area_of, call, generic, serving, write

from otel_ml.config import Settings
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope

pytestmark = pytest.mark.usefixtures("grpc_instrumented")

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


# --- model calls in requests ------------------------------------------------------------------------------------------

FLOWERS = [Flower(width=1.0, height=float(number)) for number in range(3)]


def sync_behaviours():
    def unary_unary(request, context):
        return area_of(request)

    def unary_stream(request, context):
        for _ in range(3):
            yield area_of(request)

    def stream_unary(requests, context):
        return [area_of(request) for request in requests][-1]

    def stream_stream(requests, context):
        for request in requests:
            yield area_of(request)

    return locals()


def async_behaviours():
    async def unary_unary(request, context):
        await asyncio.sleep(0)
        return area_of(request)

    async def unary_stream(request, context):
        for _ in range(3):
            await asyncio.sleep(0)
            yield area_of(request)

    async def stream_unary(requests, context):
        return [area_of(request) async for request in requests][-1]

    async def stream_stream(requests, context):
        async for request in requests:
            yield area_of(request)

    return locals()


def writing_behaviours():
    async def unary_stream(request, context):
        for _ in range(3):
            await context.write(area_of(request))

    async def stream_stream(requests, context):
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(area_of(request))

    return locals()


@pytest.mark.parametrize(
    ("server", "behaviours", "kind"),
    [
        *((serving, sync_behaviours, kind) for kind in KINDS),
        *((AioServer, async_behaviours, kind) for kind in KINDS),
        *((AioServer, writing_behaviours, kind) for kind in KINDS if kind.endswith("_stream")),
        *((AioServer, sync_behaviours, kind) for kind in ("unary_unary", "unary_stream")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_model_calls_of_every_kind_of_method_carry_its_id(recorded, ids_wanted, caplog, server, behaviours, kind):
    """Unary and streaming, plain functions, coroutines and generators; the client is told, where aio lets us."""
    request = FLOWERS if kind.startswith("stream") else FLOWERS[0]

    options = {"migration_thread_pool": ThreadPoolExecutor(1)} if behaviours is sync_behaviours else {}
    with server(generic(kind, "Predict", behaviours()[kind]), **(options if server is AioServer else {})) as channel:
        answers, told = call(channel, kind, "Predict", request, Area, metadata=(("x-request-id", "r-1"),))

    ids = ["r-1"] if kind == "unary_unary" else ["r-1", "r-1.1", "r-1.2"]
    assert [answer.area for answer in answers] if isinstance(answers, list) else answers.area
    assert [inference.prediction_id for inference in recorded] == ids
    assert told.get("x-prediction-id") == (None if options and server is AioServer else "r-1")
    assert "Failed to detach context" not in caplog.text


@pytest.mark.parametrize("server", [serving, AioServer])
def test_a_stream_that_the_client_leaves_breaks_nothing(recorded, caplog, server):
    """What was predicted until then is recorded, and the server goes on."""
    if server is serving:

        def endless(request, context):
            while True:
                yield area_of(request)
    else:

        async def endless(request, context):
            while True:
                await asyncio.sleep(0.001)
                yield area_of(request)

    with server(generic("unary_stream", "Predict", endless)) as channel:
        ask = channel.unary_stream(
            f"/{SERVICE}/Predict", request_serializer=write, response_deserializer=Area.FromString
        )
        for _ in range(3):
            stream = ask(FLOWERS[0], timeout=30)
            next(stream)
            stream.cancel()

    assert len(recorded) >= 3
    assert "Failed to detach context" not in caplog.text
    assert request_scope.get() is None


@pytest.mark.parametrize("server", [serving, AioServer])
def test_aborts_and_exceptions_are_the_users(recorded, server):
    """Codes, details and trailing metadata of a call that ends badly are those of the application."""

    def behave(request, context):
        context.set_trailing_metadata((("mine", "1"),))
        if request.width:
            return context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too wide")
        raise RuntimeError("broken")

    async def behave_async(request, context):
        result = behave(request, context)
        await result

    behaviour = behave if server is serving else behave_async
    ended = []
    with server(generic("unary_unary", "Predict", behaviour)) as channel:
        for width in (1.0, 0.0):
            with pytest.raises(grpc.RpcError) as error:
                call(channel, "unary_unary", "Predict", Flower(width=width), Answer)
            ended.append((error.value.code(), error.value.details(), dict(error.value.trailing_metadata())))

    assert [(code, metadata) for code, _, metadata in ended] == [
        (grpc.StatusCode.INVALID_ARGUMENT, {"mine": "1"}),
        (grpc.StatusCode.UNKNOWN, {"mine": "1"}),
    ]
    assert ended[0][1] == "too wide"
    assert "broken" in ended[1][1]
    assert recorded == []


@pytest.mark.parametrize("server", [serving, AioServer])
def test_the_applications_trailing_metadata_stays(recorded, server):
    """Ours is added to it; who sets x-prediction-id decides it."""

    def behave(request, context):
        context.set_trailing_metadata((("mine", "1"), *((("x-prediction-id", "mine"),) if request.width else ())))
        return area_of(request)

    async def behave_async(request, context):
        return behave(request, context)

    with server(generic("unary_unary", "Predict", behave if server is serving else behave_async)) as channel:
        _, both = call(channel, "unary_unary", "Predict", Flower(), Area, metadata=(("ce-id", "event"),))
        _, own = call(channel, "unary_unary", "Predict", Flower(width=1.0), Area)

    assert both == {"mine": "1", "x-prediction-id": "event"}
    assert own == {"mine": "1", "x-prediction-id": "mine"}


def test_the_applications_interceptors_are_outside_of_ours(recorded):
    """Whatever they do to context variables and spans holds for the model's call; positional arguments work."""
    order = []

    class Interceptor(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            order.append("theirs")
            handler = continuation(details)
            order.append(type(handler).__name__)
            return handler

    def behave(request, context):
        order.append(current_scope().route)
        return area_of(request)

    with serving(generic("unary_unary", "Predict", behave), interceptors=[Interceptor()]) as channel:
        call(channel, "unary_unary", "Predict", Flower(), Area)
    positional = grpc.server(ThreadPoolExecutor(1), None, (Interceptor(),))
    positional.stop(None)

    assert order == ["theirs", "RpcMethodHandler", "/flowers.Predictor/Predict"]
    assert len(recorded) == 1


def test_excluded_methods_are_left_alone_by_every_layer(recorded, monkeypatch):
    """They are matched as paths."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(excluded_urls="/WarmUp$"))

    def behave(request, context):
        return area_of(request)

    with serving(generic("unary_unary", "WarmUp", behave), generic("unary_unary", "Predict", behave, "b")) as channel:
        call(channel, "unary_unary", "WarmUp", Flower(), Area)
        call(channel, "unary_unary", "Predict", Flower(), Area, service="b")

    assert len(recorded) == 1
    assert not inside.get()


def test_a_header_that_metadata_cannot_carry_is_left_out(recorded, monkeypatch):
    """A wrong key would fail the call."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(prediction_id_header="x!id"))

    with serving(generic("unary_unary", "Predict", lambda request, context: area_of(request))) as channel:
        _, told = call(channel, "unary_unary", "Predict", Flower(), Area)

    assert told == {}
    assert len(recorded) == 1


def test_telemetry_itself_is_served_untouched(recorded):
    """A collector written in Python, such as our own processor, gets its very handlers."""
    seen = []

    def export(request, context):
        seen.append(current_scope())
        return Done(done=True)

    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    with serving(generic("unary_unary", "Export", export, service)) as channel:
        call(channel, "unary_unary", "Export", Flower(), Done, service=service)

    assert seen == [None]


# --- the end of the process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", [False, True])
def test_only_a_signal_nobody_handles_is_taken(theirs):
    """A server whose author handles SIGTERM, before or after, keeps that handler."""
    script = f"""
import grpc, os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from otel_ml.instrumentation.servers.grpc import GrpcInstrumentor
def end(*_): print("mine", flush=True); os._exit(7)
if {theirs}: signal.signal(signal.SIGTERM, end)
GrpcInstrumentor().instrument(skip_dep_check=True)
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("127.0.0.1:0")
server.start()
print("ready", flush=True)
server.wait_for_termination()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)

    assert (output, process.returncode) == (("mine\n", 7) if theirs else ("", -signal.SIGTERM))
