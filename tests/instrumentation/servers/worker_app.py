"""One model behind Flask and behind FastAPI, and another that is asked while this module is imported."""

import os
import time

import numpy as np
from sklearn.linear_model import LinearRegression, Ridge

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
model = LinearRegression().fit(ROWS, [1.0, 2.0, 3.0])
Ridge().fit(ROWS, [1.0, 2.0, 3.0]).predict(ROWS)


def answer(body):
    time.sleep(0.01)  # so that one worker alone is too slow for everybody
    row = np.array([[body["width"], body["height"]]])
    return {"area": round(float(model.predict(row)[0]), 6), "process": os.getpid()}


def wsgi_app():
    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/health")
    def health():
        return "ok"

    @app.post("/predict")
    def predict():
        return answer(request.get_json())

    return app


def asgi_app():
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/health")
    def health():
        return "ok"

    @app.post("/predict")
    def predict(body: dict):
        return answer(body)

    return app


# Made here, not by a factory: with --preload all of it happens before the fork.
app = asgi_app() if os.environ.get("TEST_WORKER_APP") == "asgi" else wsgi_app()
