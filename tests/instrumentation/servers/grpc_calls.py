"""gRPC servers of one method each, sync and aio, with a small model, and calls of them."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import numpy as np
from instrumentation.servers.flower_messages import Area, Flower
from sklearn.linear_model import LinearRegression

MODEL = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])
SERVICE = "flowers.Predictor"


def area_of(flower):
    return Area(area=float(MODEL.predict(np.array([[flower.width, flower.height]]))[0]))


def write(message):
    return message.SerializeToString()


def generic(kind, method, behaviour, service=SERVICE, request=Flower):
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return grpc.method_handlers_generic_handler(service, {method: make(behaviour, request.FromString, write)})


@contextlib.contextmanager
def serving(*handlers, **options):
    """A sync server; gives a channel."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=handlers, **options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(None).wait()


class AioServer:
    """An aio server in a thread with a loop of its own; gives a channel."""

    def __init__(self, *handlers, **options):
        self._handlers, self._options = handlers, options
        self._ready = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._port}")
        return self._channel

    def __exit__(self, *_):
        self._channel.close()
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(handlers=self._handlers, **self._options)
        self._port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._ready.set()
        await self._done.wait()
        await server.stop(None)


def call(channel, kind, method, request, answer, *, metadata=(), service=SERVICE):
    """Calls a method of any kind; gives its answers and its trailing metadata."""
    ask = getattr(channel, kind)(
        f"/{service}/{method}", request_serializer=write, response_deserializer=answer.FromString
    )
    given = iter(request) if kind.startswith("stream") else request
    options = {"metadata": metadata, "timeout": 30, "wait_for_ready": True}
    if kind.endswith("_stream"):
        stream = ask(given, **options)
        return list(stream), dict(stream.trailing_metadata())
    answered, state = ask.with_call(given, **options)
    return answered, dict(state.trailing_metadata())


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()
