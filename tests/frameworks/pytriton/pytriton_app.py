"""A Triton server with Python functions behind it, until SIGTERM.

python pytriton_app.py HTTP_PORT GRPC_PORT METRICS_PORT
"""

import signal
import sys
import threading

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from sklearn.linear_model import LinearRegression

MODEL = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


@batch
def area(rows):
    """A model of a library, which is not recorded once more."""
    return {"area": MODEL.predict(rows).reshape(-1, 1).astype(np.float32)}


def length(requests):
    """No rows: each request is one word."""
    return [{"length": np.array([len(request["word"].item())], dtype=np.int64)} for request in requests]


def main():
    http_port, grpc_port, metrics_port = map(int, sys.argv[1:4])
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = TritonConfig(http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
    with Triton(config=settings) as triton:
        triton.bind(
            model_name="area",
            model_version=3,
            infer_func=area,
            inputs=[Tensor(name="rows", dtype=np.float32, shape=(2,))],
            outputs=[Tensor(name="area", dtype=np.float32, shape=(1,))],
            config=ModelConfig(max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=100_000)),
        )
        triton.bind(
            model_name="length",
            infer_func=length,
            inputs=[Tensor(name="word", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="length", dtype=np.int64, shape=(1,))],
            config=ModelConfig(batching=False),
        )
        triton.run()
        while not stopped.wait(0.2):
            pass


if __name__ == "__main__":
    main()
