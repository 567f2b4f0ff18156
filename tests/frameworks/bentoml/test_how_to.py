"""The how-to page on BentoML: its service is started as the page says, answers, and is recorded with its columns."""

import re
from pathlib import Path

import joblib
import pytest
import yaml
from otlp_sink import attributes
from server_process import BIN, PORT, ServerProcess
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from otel_ml import bento, semconv
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureRole

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "bentoml.md").read_text(encoding="utf-8")
COLUMNS = ["alcohol", "malic_acid", "color_intensity"]
WINE = {"alcohol": 13.2, "malic_acid": 1.8, "color_intensity": 4.4}


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.slow
def test_the_service_of_the_page_is_recorded(sink, tmp_path):
    """Each request is one inference of the model that was named, with the columns of its frame."""
    wine = load_wine(as_frame=True)
    model = LogisticRegression(max_iter=5000).fit(wine.data[COLUMNS], wine.target_names[wine.target])
    joblib.dump(model, tmp_path / "wine.joblib")
    (tmp_path / "service.py").write_text(block("python"), encoding="utf-8")
    named = {"OTEL_PYTHON_ML_MODEL_NAME": "wine", "OTEL_PYTHON_ML_MODEL_VERSION": "1"}
    command = [BIN / "bentoml", "serve", "service:Wine", "--port", PORT]

    with ServerProcess(
        command, {**sink.environment, **named}, cwd=tmp_path, ready="/readyz", startup_s=300.0
    ) as server:
        answers = [server.post("/predict", WINE) for _ in range(20)]

    snapshots = [
        codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
        for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
    ]
    assert {answer.status for answer in answers} == {200}
    assert all("x-prediction-id" in answer.headers for answer in answers)
    assert {(snapshot.model.name, snapshot.model.version) for snapshot in snapshots} == {("wine", "1")}
    assert sum(snapshot.rows for snapshot in snapshots) == 20
    columns = {part.key for snapshot in snapshots for part in snapshot.features}
    assert {column.name for column in columns if column.role is FeatureRole.FEATURE} == set(COLUMNS)


def test_the_monitor_of_the_page_is_ours():
    """By the path that BentoML imports it from, for the service that the page shows."""
    (services,) = (yaml.safe_load(block("yaml"))["services"],)

    assert services["wine"]["monitoring"]["type"] == f"{bento.__name__}.{bento.Monitor.__name__}"
    assert '@bentoml.service(name="wine")' in block("python")
