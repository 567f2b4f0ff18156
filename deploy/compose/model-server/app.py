"""A model behind FastAPI. Nothing in here knows of OpenTelemetry; the command that starts it does."""

import os
from pathlib import Path

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(Path(os.environ.get("MODELS", "/models")) / "wine.joblib")


class Wine(BaseModel):
    """What was measured of a wine; a missing measurement is an error, as the model knows no missing values."""

    alcohol: float
    malic_acid: float
    color_intensity: float


@app.post("/predict")
def predict(wine: Wine) -> dict[str, str]:
    """Which of three cultivars it is."""
    return {"cultivar": model.predict(pd.DataFrame([wine.model_dump()]))[0]}
