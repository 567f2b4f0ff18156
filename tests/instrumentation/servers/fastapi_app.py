"""A FastAPI application with a small model: one row a request."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from sklearn.linear_model import LinearRegression

app = FastAPI()
model = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


class Row(BaseModel):
    width: float
    height: float


@app.get("/health")
def health():
    return "ok"


@app.post("/predict")
def predict(row: Row):
    return {"area": round(float(model.predict(np.array([[row.width, row.height]]))[0]), 6)}
