"""Ray Serve applications with small models, until SIGTERM: `python ray_app.py PORT`."""

import os
import signal
import sys
import threading

import numpy as np
import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from sklearn.linear_model import LinearRegression
from starlette.responses import JSONResponse, StreamingResponse

LIGHT = {"num_cpus": 0.1}
api = FastAPI()


def model():
    return LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


async def row_of(request):
    """The row, or an answer in its stead: to whoever looks whether the server is up, and to whoever is wrong."""
    if request.method == "GET":
        return None, JSONResponse("up")
    row = await request.json()
    if not isinstance(row["width"], (int, float)):
        # An exception Serve would log with its whole traceback, which passes our hooks.
        return None, JSONResponse("not a number", 422)
    return [row["width"], row["height"]], None


def rounded(values):
    return [round(float(value), 6) for value in values]


@serve.deployment(ray_actor_options=LIGHT)
class Area:
    """One row a request."""

    def __init__(self):
        self.model = model()

    async def __call__(self, request):
        row, refusal = await row_of(request)
        return refusal or {"area": rounded(self.model.predict(np.array([row])))[0]}


@serve.deployment(ray_actor_options=LIGHT, max_ongoing_requests=16)
class Batched:
    """One row a request, eight a call."""

    def __init__(self):
        self.model = model()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.1)
    async def predict(self, rows):
        return rounded(self.model.predict(np.array(rows)))

    async def __call__(self, request):
        row, refusal = await row_of(request)
        return refusal or {"area": await self.predict(row)}


@serve.deployment(ray_actor_options=LIGHT, max_ongoing_requests=16)
class StreamedBatches:
    """Each request gets two predictions, one after the other, from calls for all of a batch."""

    def __init__(self):
        self.model = model()

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.1)
    async def predict(self, rows):
        for _ in range(2):
            yield [f"{value}\n" for value in rounded(self.model.predict(np.array(rows)))]

    async def __call__(self, request):
        row, refusal = await row_of(request)
        return refusal or StreamingResponse(self.predict(row), media_type="text/plain")


class Row(BaseModel):
    width: float
    height: float


@serve.deployment(ray_actor_options=LIGHT)
@serve.ingress(api)
class Ingress:
    """A FastAPI application inside of a replica."""

    def __init__(self):
        self.model = model()

    @api.post("/predict")
    def predict(self, row: Row):
        return {"prediction": rounded(self.model.predict(np.array([[row.width, row.height]])))[0]}


@serve.deployment(ray_actor_options=LIGHT)
class Model:
    """Asked by other deployments only."""

    def __init__(self):
        self.model = model()

    def predict(self, row):
        return rounded(self.model.predict(np.array([row])))[0]


@serve.deployment(ray_actor_options=LIGHT)
class Composed:
    """Has another deployment predict."""

    def __init__(self, model):
        self.model = model

    async def __call__(self, request):
        row, refusal = await row_of(request)
        return refusal or {"prediction": await self.model.predict.remote(row)}


@serve.deployment(ray_actor_options=LIGHT)
class HandMade:
    """A model that no library knows."""

    async def __call__(self, request):
        row, refusal = await row_of(request)
        return refusal or {"prediction": "large" if row[0] > 3 else "small", "score": 0.5}


APPLICATIONS = {
    "area": Area.bind,
    "batched": Batched.bind,
    "streamed": StreamedBatches.bind,
    "ingress": Ingress.bind,
    "composed": lambda: Composed.bind(Model.bind()),
    "hand_made": HandMade.bind,
}


def start_ray():
    # Ray gives its own processes 30 s to start and has no setting for that: on a busy machine it takes several goes.
    for attempt in range(6):
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=100_000_000,
                _temp_dir=os.environ["RAY_TEST_DIR"],
                logging_level="warning",
            )
        except Exception as error:
            if attempt == 5 or "timed out" not in str(error):
                raise
            ray.shutdown()
        else:
            return


def main():
    stopped = threading.Event()
    port, *names = sys.argv[1:]
    start_ray()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    for name in names:
        serve.run(APPLICATIONS[name](), name=name, route_prefix=f"/{name}")
    while not stopped.wait(0.2):
        pass
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
