"""A model server as a stranger would write it: FastAPI, scikit-learn, and not a word of otel-ml."""

from typing import Any

import pandas as pd
from fastapi import FastAPI
from flower_model import COLUMNS, train

app = FastAPI()
model = train()


@app.post("/predict")
def predict(rows: list[dict[str, Any]]) -> list[str]:
    return [str(label) for label in model.predict(pd.DataFrame(rows, columns=COLUMNS))]
