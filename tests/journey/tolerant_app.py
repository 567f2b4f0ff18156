"""A model server that answers whatever it is sent, so that what it is sent can be anything."""

from typing import Any

import pandas as pd
from fastapi import FastAPI
from sklearn.base import BaseEstimator, ClassifierMixin

app = FastAPI()


class Tolerant(ClassifierMixin, BaseEstimator):
    """Predicts how many cells of a row are filled, and refuses nothing but a column called `refuse`."""

    def predict(self, rows):
        if "refuse" in rows.columns:
            raise ValueError("no model answers this")
        return rows.notna().sum(axis=1).to_numpy()


model = Tolerant()


@app.post("/predict")
def predict(rows: list[dict[str, Any]]) -> list[int]:
    return [int(count) for count in model.predict(pd.DataFrame(rows))]
