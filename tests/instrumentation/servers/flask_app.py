"""A Flask application with a small model: one row a request."""

import numpy as np
from flask import Flask, abort, jsonify, request
from sklearn.linear_model import LinearRegression

app = Flask(__name__)
model = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


@app.get("/health")
def health():
    return "ok"


@app.post("/predict")
def predict():
    row = request.get_json()
    if "width" not in row:
        abort(422)
    return jsonify(area=round(float(model.predict(np.array([[row["width"], row["height"]]]))[0]), 6))


if __name__ == "__main__":
    import sys

    app.run(port=int(sys.argv[1]))
