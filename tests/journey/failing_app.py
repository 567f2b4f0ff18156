"""A model server whose model fails on some of what it is sent, in more than one way, and takes its time."""

import time

import numpy as np
from fastapi import FastAPI, HTTPException
from sklearn.base import BaseEstimator, ClassifierMixin

app = FastAPI()


class OutOfRangeError(ValueError):
    """A feature that the model was not made for."""


class Sensitive(ClassifierMixin, BaseEstimator):
    """Predicts 1 for what is not negative; a row beyond 100 and one that is no number are errors."""

    def predict(self, rows):
        time.sleep(0.02)
        if np.isnan(rows).any():
            raise ArithmeticError("not a number")
        if (np.abs(rows) > 100).any():
            raise OutOfRangeError("beyond what the model was made for")
        return (rows[:, 0] >= 0).astype(int)


model = Sensitive()


@app.post("/predict")
def predict(rows: list[list[float | None]]) -> list[int]:
    try:
        return model.predict(np.array(rows, dtype=float)).tolist()
    except ArithmeticError as error:
        raise HTTPException(422, "no number") from error
