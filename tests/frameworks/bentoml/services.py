"""The BentoML services that the tests here ask; each is started by its name."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import bentoml
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.linear_model import LinearRegression

HERE = Path(__file__).parent
MODEL = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])
ALONE = {"metrics": {"enabled": False}}  # its registry is the process's, in which one test serves after another
QUICK_BATCHES = {"batchable": True, "max_batch_size": 8, "max_latency_ms": 30_000}


class Row(BaseModel):
    width: float
    height: float


def area_of(row: Row) -> float:
    """A model that scikit-learn's hook sees."""
    return round(float(MODEL.predict(np.array([[row.width, row.height]]))[0]), 6)


def own_area_of(width: float, height: float) -> float:
    """A model of somebody's own making, which no hook knows."""
    return round(width * height, 6)


@bentoml.service(**ALONE)
class Area:
    """One row a request, by every kind of API."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        return area_of(row)

    @bentoml.api
    async def predict_async(self, row: Row) -> float:
        return await asyncio.get_running_loop().run_in_executor(None, area_of, row)

    @bentoml.api
    def stream(self, rows: int, pause_s: float = 0.0) -> Generator[str, None, None]:
        for number in range(rows):
            time.sleep(pause_s)
            yield f"{area_of(Row(width=number, height=1.0))}\n"

    @bentoml.api
    async def stream_async(self, rows: int, pause_s: float = 0.0) -> AsyncGenerator[str, None]:
        for number in range(rows):
            await asyncio.sleep(pause_s)
            yield f"{area_of(Row(width=number, height=1.0))}\n"

    @bentoml.api
    def slow(self, row: Row) -> float:
        time.sleep(row.width)
        return area_of(row)

    @bentoml.task
    def later(self, row: Row) -> float:
        return area_of(row)

    @bentoml.api
    def refuse(self, row: Row) -> float:
        raise ValueError(f"no area for {row.width}")


@bentoml.service(**ALONE)
class OwnArea:
    """Models that no hook knows."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        return own_area_of(row.width, row.height)

    @bentoml.api
    async def table(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] * rows[:, 1]

    @bentoml.api(**QUICK_BATCHES)
    def batched(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] * rows[:, 1]

    @bentoml.api
    def greet(self, name: str) -> str:
        return f"hello {name}"


@bentoml.service(**ALONE)
class Batched:
    """Tells for each row which batch it was in."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    @bentoml.api(**QUICK_BATCHES)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        time.sleep(0.05)  # so that requests have to wait for each other
        return np.column_stack([MODEL.predict(rows), np.full(len(rows), next(self.numbers))])


@bentoml.service(**ALONE, tracing={"sample_rate": 1.0, "exporter_type": "in_memory"})
class TracedByBentoML:
    """Somebody has configured BentoML's own tracing."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        return area_of(row)


@bentoml.service(**ALONE, threads=4)
class Gateway:
    """Asks other services, which `bentoml serve` starts in processes of their own."""

    area = bentoml.depends(Area)
    own_area = bentoml.depends(OwnArea)
    batched = bentoml.depends(Batched)

    @bentoml.api
    def predict(self, row: Row) -> float:
        return self.area.predict(row)

    @bentoml.api
    async def predict_twice(self, row: Row) -> list[float]:
        return [await self.area.predict_async(row), await self.area.predict_async(row)]

    @bentoml.api
    def predict_own(self, row: Row) -> float:
        return self.own_area.predict(row)

    @bentoml.api
    def predict_batched(self, rows: np.ndarray) -> list[float]:
        return self.batched.predict(rows)[:, 0].tolist()

    @bentoml.api
    def predict_greeting(self, name: str) -> str:
        return self.own_area.greet(name)

    @bentoml.api
    async def predict_itself(self, row: Row) -> float:
        return await self.to_async.predict(row)  # through the whole server once more


@bentoml.service(**ALONE, workers=2)
class TwoWorkers:
    """Tells which process has answered."""

    @bentoml.api
    def predict(self, row: Row) -> list[float]:
        time.sleep(0.01)  # so that the other worker has a chance
        return [area_of(row), os.getpid()]


@bentoml.service(**ALONE, traffic={"timeout": 1})
class Impatient:
    """Gives up on what takes longer than a second."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        time.sleep(row.width)
        return area_of(row)


@bentoml.service(**ALONE, monitoring={"enabled": True, "type": "otel_ml.bento.Monitor"})
class Monitored:
    """Logs what it sees to `bentoml.monitor`, as BentoML's documentation shows it."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        area = own_area_of(row.width, row.height)
        with bentoml.monitor("areas") as monitor:
            monitor.log(row.width, "width", "feature", "numerical")
            monitor.log(row.height, "height", "feature", "numerical")
            monitor.log(area, "area", "prediction", "numerical")
        return area

    @bentoml.api(**QUICK_BATCHES)
    def predict_many(self, rows: np.ndarray) -> np.ndarray:
        areas = rows[:, 0] * rows[:, 1]
        with bentoml.monitor("many_areas") as monitor:
            monitor.log_batch(rows[:, 0], "width", "feature", "numerical")
            monitor.log_batch(areas, "area", "prediction", "numerical")
        return areas

    @bentoml.api(**QUICK_BATCHES)
    def predict_one_by_one(self, rows: np.ndarray) -> np.ndarray:
        for width, height in rows.tolist():
            with bentoml.monitor("each_area") as monitor:
                monitor.log(width, "width", "feature", "numerical")
                monitor.log(width * height, "area", "prediction", "numerical")
                monitor.log(width * height + 1.0, "measured", "target", "numerical")
        return rows[:, 0] * rows[:, 1]


app = FastAPI()


@bentoml.service(**ALONE)
@bentoml.asgi_app(app, path="/mounted")
class Mounted:
    """A FastAPI application inside of a service."""

    @bentoml.api
    def predict(self, row: Row) -> float:
        return area_of(row)

    @app.post("/predict")
    def predict_mounted(self, row: Row) -> dict[str, float]:
        return {"area": area_of(row)}
