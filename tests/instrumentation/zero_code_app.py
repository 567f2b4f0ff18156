"""A model server as a stranger would write it; started by test_zero_code.py."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

app = FastAPI()
pool = ThreadPoolExecutor(2)
X, y = load_iris(return_X_y=True, as_frame=True)
model = make_pipeline(StandardScaler(), RandomForestClassifier(10, n_jobs=2)).fit(X, y)


class Flower(BaseModel):
    values: list[float]


def rows(flower):
    frame = X.iloc[:1].copy()
    frame.iloc[0] = flower.values
    return frame


@app.post("/sync")
def predict_sync(flower: Flower):
    return {"label": int(model.predict(rows(flower))[0])}


@app.post("/async")
async def predict_async(flower: Flower):
    return {"label": int(model.predict(rows(flower))[0])}


@app.post("/executor")
async def predict_executor(flower: Flower):
    answer = await asyncio.get_running_loop().run_in_executor(pool, model.predict, rows(flower))
    return {"label": int(answer[0])}


@app.post("/opaque")
def predict_opaque(flower: Flower):
    return {"prediction": sum(flower.values)}


@app.get("/health")
def health():
    return {"status": "ok"}
