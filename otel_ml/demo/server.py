"""A model behind FastAPI, as anyone would write it. Nothing in here knows of OpenTelemetry.

The demo puts a copy of this file beside `model.joblib` and runs it with

    opentelemetry-instrument uvicorn server:app
"""

from __future__ import annotations

from pathlib import Path

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel


class Flight(BaseModel):
    """What is known of a flight when it departs."""

    carrier: str
    origin: str
    destination: str
    scheduled_hour: float
    scheduled_minutes: float
    distance: float
    departure_delay: float
    seats: float | None = None
    aircraft_age: float | None = None


app = FastAPI(title="Arrival delays")
model = joblib.load(Path(__file__).with_name("model.joblib"))


@app.get("/health")  # type: ignore[untyped-decorator]  # not checked against FastAPI
def health() -> dict[str, str]:
    """Whether the model is loaded."""
    return {"status": "ok"}


@app.post("/predict")  # type: ignore[untyped-decorator]  # not checked against FastAPI
async def predict(flights: list[Flight]) -> list[float]:
    """For each flight by how many minutes it will be late."""
    # One at a time: in threads, scikit-learn's ColumnTransformer trips over its own handling of warning filters.
    rows = pd.DataFrame([flight.model_dump() for flight in flights])
    # A column of nothing but nulls has no type of its own.
    rows = rows.astype({"seats": "float64", "aircraft_age": "float64"})
    delays: list[float] = model.predict(rows).tolist()
    return delays
