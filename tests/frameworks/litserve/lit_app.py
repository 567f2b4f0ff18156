"""LitServe servers with small models: `python lit_app.py KIND PORT`."""

import signal
import sys

import litserve
import numpy as np
from fastapi import HTTPException
from sklearn.linear_model import LinearRegression


def numbers(request):
    try:
        return float(request["width"]), float(request["height"])
    except ValueError:
        # Any other exception LitServe logs with its whole traceback, which passes our hooks.
        raise HTTPException(422, "not a number") from None


class Area(litserve.LitAPI):
    """One row a request."""

    def setup(self, device):
        self.model = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])

    def decode_request(self, request):
        return np.array(numbers(request))

    def predict(self, row):
        return round(float(self.model.predict(row.reshape(1, -1))[0]), 6)

    def encode_response(self, output):
        return {"area": output}


class BatchedArea(Area):
    """The same for up to eight requests at once."""

    def predict(self, rows):
        return [round(float(value), 6) for value in self.model.predict(rows)]


class StreamedArea(Area):
    """Two predictions for each request, one after the other."""

    def predict(self, row):
        for factor in (1.0, 2.0):
            yield round(float(self.model.predict(factor * row.reshape(1, -1))[0]), 6)

    def encode_response(self, outputs):
        for output in outputs:
            yield f"{output}\n"


class StreamedBatches(Area):
    """Two predictions for each request, for up to four requests at once."""

    def predict(self, rows):
        for factor in (1.0, 2.0):
            yield [round(float(value), 6) for value in self.model.predict(factor * rows)]

    def encode_response(self, outputs):
        for batch in outputs:
            yield [f"{output}\n" for output in batch]


class AsyncArea(Area):
    """Coroutines instead of functions."""

    async def decode_request(self, request):
        return np.array(numbers(request))

    async def predict(self, row):
        return round(float(self.model.predict(row.reshape(1, -1))[0]), 6)

    async def encode_response(self, output):
        return {"area": output}


class HandMade(litserve.LitAPI):
    """A model that no library knows."""

    def setup(self, device):
        pass

    def decode_request(self, request):
        return dict(zip(("width", "height"), numbers(request), strict=True))

    def predict(self, row):
        return "large" if row["width"] > 3 else "small"

    def encode_response(self, output):
        return {"size": output}


class HandMadeBatches(HandMade):
    """The same for up to eight requests at once."""

    def predict(self, rows):
        return ["large" if row["width"] > 3 else "small" for row in rows]


APIS = {
    "single": Area,
    "batched": lambda: BatchedArea(max_batch_size=8, batch_timeout=0.1),
    "streamed": lambda: StreamedArea(stream=True),
    "streamed_batches": lambda: StreamedBatches(stream=True, max_batch_size=4, batch_timeout=0.1),
    "async": lambda: AsyncArea(enable_async=True),
    "hand_made": HandMade,
    "hand_made_batches": lambda: HandMadeBatches(max_batch_size=8, batch_timeout=0.1),
}


def main():
    kind, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # LitServe has no handler for SIGTERM of its own, and leaves its processes behind: as most do, end as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = litserve.LitServer(APIS[kind](), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
