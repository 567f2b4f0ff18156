"""A KServe server with two small models, over HTTP and gRPC: the v2 protocol's other end."""

import sys

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer


class Sums(Model):
    """Answers each row of "rows" with its sum, and with a score."""

    def __init__(self):
        super().__init__("sums")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        rows = np.asarray(payload.inputs[0].as_numpy(), dtype=np.float32)
        sums = rows.sum(axis=1)
        outputs = []
        for name, values in (("total", sums), ("probability", 1 / (1 + np.exp(-sums)))):
            output = InferOutput(name=name, shape=list(values.shape), datatype="FP32")
            output.set_data_from_numpy(values.astype(np.float32))
            outputs.append(output)
        return InferResponse(response_id=payload.id or "unnamed", model_name="sums", infer_outputs=outputs)


class Colours(Model):
    """Answers each name of a colour and number with the name."""

    def __init__(self):
        super().__init__("colours")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        names = next(tensor for tensor in payload.inputs if tensor.name == "colour").as_numpy()
        output = InferOutput(name="label", shape=list(names.shape), datatype="BYTES")
        output.set_data_from_numpy(names.astype(object))
        return InferResponse(response_id=payload.id or "unnamed", model_name="colours", infer_outputs=[output])


if __name__ == "__main__":
    http_port, grpc_port = map(int, sys.argv[1:3])
    ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1).start([Sums(), Colours()])
