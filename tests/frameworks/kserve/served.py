"""Starting KServe's Python server for a test, and asking it over REST and gRPC."""

import contextlib
import sys
from pathlib import Path

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from server_process import PORT, Answer, ServerProcess, free_port


class KServe(ServerProcess):
    """A server of the model beside this file.

    Args:
        workers: Processes that serve REST.
        predictor: Another of these, that this one transforms inputs for.
    """

    def __init__(self, environment, *, workers=1, predictor=None, instrumented=True):
        self.grpc_port = free_port()
        options = {"model_name": "flats", "http_port": PORT, "grpc_port": self.grpc_port, "workers": workers}
        if predictor is not None:
            options["predictor_host"] = f"127.0.0.1:{predictor.port}"
        super().__init__(
            [
                sys.executable,
                Path(__file__).with_name("kserve_app.py"),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            environment,
            ready="/v2/models/flats/ready",
            instrumented=instrumented,
            cwd=Path(__file__).parent,
        )

    def infer(self, body, headers=None, model="flats"):
        """Ask by version 2 over REST."""
        return self.post(f"/v2/models/{model}/infer", body, headers)

    def predict(self, instances, headers=None):
        """Ask by version 1."""
        return self.post("/v1/models/flats:predict", {"instances": instances}, headers)

    def infer_by_grpc(self, tensors, headers=None, raw=(), **more):
        """Ask over gRPC; gives the status as that of HTTP, and the trailing metadata as headers."""
        request = messages.ModelInferRequest(model_name="flats", inputs=tensors, raw_input_contents=raw, **more)
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            return _answer(GRPCInferenceServiceStub(channel).ModelInfer, request, headers)

    def guess_by_grpc(self):
        """Ask for a method that the protocol does not have."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            guess = channel.unary_unary(
                "/inference.GRPCInferenceService/Guess",
                request_serializer=messages.ModelInferRequest.SerializeToString,
                response_deserializer=messages.ModelInferResponse.FromString,
            )
            return _answer(guess, messages.ModelInferRequest(), None)


def _answer(method, request, headers):
    call = method.future(request, metadata=tuple((headers or {}).items()), wait_for_ready=True)
    with contextlib.suppress(grpc.RpcError):
        call.result(timeout=60.0)
    metadata = {entry.key: entry.value for entry in call.trailing_metadata() or ()}
    if call.code() is not grpc.StatusCode.OK:
        return Answer(400, call.details(), metadata)
    return Answer(200, [(each.name, str(each.contents)) for each in call.result().outputs], metadata)


def flat(rooms, area, **more):
    """A request about one flat, as a matrix."""
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [rooms, area]}], **more}


def flats(rooms, areas, **more):
    """A request about several flats, as a data frame: one tensor a column."""
    columns = {"rooms": rooms, "area": areas}
    inputs = [{"name": name, "shape": [len(v)], "datatype": "FP64", "data": v} for name, v in columns.items()]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, **more}


def windows():
    """A request that the model refuses."""
    return {"inputs": [{"name": "windows", "shape": [1, 1], "datatype": "FP64", "data": [3.0]}]}


def grpc_flat(rooms, area, name="x"):
    """As `flat`, for gRPC."""
    contents = messages.InferTensorContents(fp64_contents=[rooms, area])
    return [messages.ModelInferRequest.InferInputTensor(name=name, shape=[1, 2], datatype="FP64", contents=contents)]


def grpc_raw_flat():
    """The tensor of `flat` without its contents, which travel as bytes."""
    return [messages.ModelInferRequest.InferInputTensor(name="x", shape=[1, 2], datatype="FP64")]
