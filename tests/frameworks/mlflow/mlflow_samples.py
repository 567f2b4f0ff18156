"""A small model in a registry in a folder of its own."""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NAMES = ("age", "income")
FRAME = pd.DataFrame(np.random.default_rng(7).random((120, 2)), columns=NAMES)
LABELS = (FRAME["age"] > 0.5).astype("int64")


def trained():
    """A pipeline."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)


def use(folder):
    """Tracking server and registry in a folder; an experiment that keeps its artifacts there, too."""
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if mlflow.get_experiment_by_name("tests") is None:
        mlflow.create_experiment("tests", artifact_location=f"file://{folder}/artifacts")
    mlflow.set_experiment("tests")


def log(model=None, *, name="income", registered_model_name=None):
    """Log the pipeline in a run; gives MLflow's ModelInfo."""
    signature = mlflow.models.infer_signature(FRAME, LABELS)
    # Nothing is looked up for the model's environment, which no test rebuilds.
    keywords = {"pip_requirements": ["scikit-learn"], "signature": signature}
    where = {"name": name} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": name}
    with mlflow.start_run():
        return mlflow.sklearn.log_model(
            model or trained(),
            input_example=FRAME[:2],
            registered_model_name=registered_model_name,
            serialization_format="cloudpickle",
            **where,
            **keywords,
        )
