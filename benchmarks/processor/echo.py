"""A gRPC server in Python that answers and does nothing else: what every request costs, whatever is done with it."""

from __future__ import annotations

import grpc


async def _answer(body: bytes, context: object) -> bytes:  # noqa: ARG001 - what gRPC calls it with
    return b""


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)])
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(_answer)}
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"receiving on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
