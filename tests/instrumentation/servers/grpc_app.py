"""A gRPC server with a small model, sync or aio: one row a call, or a stream of rows.

python grpc_app.py <sync|aio> <port> <port of the health page>
"""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import grpc.aio
import numpy as np
from flower_messages import Answer, Area, Flower
from sklearn.linear_model import LinearRegression

model = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


def area_of(flower):
    return Area(area=round(float(model.predict(np.array([[flower.width, flower.height]]))[0]), 6))


class Sync:
    def predict(self, request, context):
        if request.width < 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too small")
        return area_of(request)

    def opaque(self, request, context):
        return Answer(prediction=request.width + request.height)

    def stream(self, requests, context):
        for request in requests:
            yield area_of(request)


class Async:
    async def predict(self, request, context):
        if request.width < 0:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too small")
        return area_of(request)

    async def opaque(self, request, context):
        return Answer(prediction=request.width + request.height)

    async def stream(self, requests, context):
        async for request in requests:
            yield area_of(request)


def handlers(servicer):
    def write(message):
        return message.SerializeToString()

    return grpc.method_handlers_generic_handler(
        "flowers.Predictor",
        {
            "Predict": grpc.unary_unary_rpc_method_handler(servicer.predict, Flower.FromString, write),
            "Opaque": grpc.unary_unary_rpc_method_handler(servicer.opaque, Flower.FromString, write),
            "Stream": grpc.stream_stream_rpc_method_handler(servicer.stream, Flower.FromString, write),
        },
    )


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"ok"')

    def log_message(self, *_):
        pass


def say_ready(port):
    threading.Thread(target=HTTPServer(("127.0.0.1", port), Health).serve_forever, daemon=True).start()


def serve(port, health):
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handlers(Sync()),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    say_ready(health)
    server.wait_for_termination()


async def serve_async(port, health):
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(Async()),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    say_ready(health)
    await server.wait_for_termination()


if __name__ == "__main__":
    kind, port, health = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if kind == "sync":
        serve(port, health)
    else:
        asyncio.run(serve_async(port, health))
