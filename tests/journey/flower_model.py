"""Real data (Fisher's irises, beside one derived category) and a model small enough to train at every start."""

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
COLUMNS = [*NUMBERS, "garden"]


def flowers():
    """(150, 5) frame of inputs, and the species as text."""
    data = load_iris()
    frame = pd.DataFrame(data.data, columns=NUMBERS)
    frame["garden"] = ["north" if width > 3 else "south" for width in frame["sepal_width"]]
    return frame, pd.Series(data.target_names[data.target], dtype=object)


def train():
    """A fitted pipeline."""
    frame, species = flowers()
    encode = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), ["garden"]))
    return make_pipeline(encode, LogisticRegression(max_iter=500)).fit(frame, species)
