"""Starting MLServer for a test, and asking it over REST and gRPC."""

import contextlib
import json
import shutil
import tempfile
import time
from pathlib import Path

import grpc
from mlserver.grpc import dataplane_pb2 as messages
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from server_process import BIN, Answer, ServerProcess, free_port

MODELS = Path(__file__).parent / "models"


class MLServer(ServerProcess):
    """A server of the models beside this file, in a folder of its own.

    Args:
        workers: Processes that run models; 0 runs them in the server itself.
    """

    def __init__(self, environment, *, workers=0, instrumented=True):
        port, self.grpc_port = free_port(), free_port()
        self.folder = tempfile.TemporaryDirectory()
        models = Path(self.folder.name) / "models"
        shutil.copytree(MODELS, models, ignore=shutil.ignore_patterns("__pycache__"))
        settings = {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(self.grpc_port),
            "MLSERVER_METRICS_PORT": str(free_port()),
            "MLSERVER_PARALLEL_WORKERS": str(workers),
            "MLSERVER_ENVIRONMENTS_DIR": f"{self.folder.name}/environments",
            "MLSERVER_METRICS_DIR": f"{self.folder.name}/metrics",
            "MLSERVER_METRICS_ENDPOINT": "",
        }
        super().__init__(
            [BIN / "mlserver", "start", models],
            {**settings, **environment},
            ready="/v2/health/live",
            instrumented=instrumented,
            cwd=self.folder.name,
            port=port,
        )

    def __enter__(self):
        super().__enter__()
        deadline = time.monotonic() + 60.0
        while self.get("/v2/health/ready").status != 200:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.kill()
                raise AssertionError(f"the models were not loaded:\n{self.output[-4000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.folder.cleanup()

    def infer(self, model, body, headers=None):
        """Ask over REST; the id in the answer is left out, for MLServer makes up one when it was given none."""
        answer = self.post(f"/v2/models/{model}/infer", body, headers)
        if isinstance(answer.body, dict) and "id" not in body:
            answer.body.pop("id", None)
        return answer

    def infer_by_grpc(self, model, tensors, headers=None):
        """Ask over gRPC; gives the status as that of HTTP, and the trailing metadata as headers."""
        request = messages.ModelInferRequest(model_name=model, inputs=tensors)
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
    inputs = [{"name": name, "shape": [len(v), 1], "datatype": "FP64", "data": v} for name, v in columns.items()]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, **more}


def told(text, **more):
    """A request for words."""
    return {"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}], **more}


def windows():
    """A request that the model refuses."""
    return {"inputs": [{"name": "windows", "shape": [1, 1], "datatype": "FP64", "data": [3.0]}]}


def grpc_flat(rooms, area):
    """As `flat`, for gRPC."""
    contents = messages.InferTensorContents(fp64_contents=[rooms, area])
    return [messages.ModelInferRequest.InferInputTensor(name="x", shape=[1, 2], datatype="FP64", contents=contents)]


def pieces(text):
    """Server-sent events as what they carry."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
