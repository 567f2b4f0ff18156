"""The server: a stranger's code as far as OpenTelemetry is concerned."""

import importlib.util
import shutil
import warnings
from pathlib import Path

import pytest

from otel_ml import demo
from otel_ml.demo.flights import DAY, FEATURES, split
from otel_ml.demo.traffic import requests
from otel_ml.demo.training import save_model, train

SOURCE = Path(demo.__file__).with_name("server.py")


@pytest.fixture(scope="module")
def model(flights):
    """A small model."""
    learned, later = split(flights)
    return train(learned.iloc[::50], later.iloc[::50], seed=0)


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    """A client of the server as it stands in a demo's directory: a copy beside a model."""
    with warnings.catch_warnings():
        # Of Starlette, about which HTTP library its client should use.
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient

    directory = tmp_path_factory.mktemp("stage")
    shutil.copy(SOURCE, directory)
    save_model(model, directory / "model.joblib")
    spec = importlib.util.spec_from_file_location("demo_server", directory / "server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with TestClient(module.app) as client:
        yield client


def test_the_server_has_no_line_of_instrumentation():
    """Zero code means zero code."""
    imports = [line for line in SOURCE.read_text(encoding="utf-8").splitlines() if line.startswith(("import", "from"))]

    assert not any("otel" in line or "opentelemetry" in line for line in imports)


def test_answers_are_the_model_s(client, model, replay):
    """Every request of a day gets for each flight what the model says."""
    day = replay[replay[DAY] == replay[DAY].iloc[0]]

    answers = [
        delay
        for request in requests(day)
        for delay in client.post("/predict", content=request.body, headers={"content-type": "application/json"}).json()
    ]

    assert answers == pytest.approx(model.pipeline.predict(day[list(FEATURES)]).tolist())


def test_a_flight_of_which_the_register_knows_nothing_is_answered(client):
    """A single row of nulls must not become a column of objects."""
    flight = {
        "carrier": "UAL", "origin": "EWR", "destination": "IAH", "scheduled_hour": 5, "scheduled_minutes": 184,
        "distance": 2253.1, "departure_delay": 2, "seats": None, "aircraft_age": None,
    }  # fmt: skip

    response = client.post("/predict", json=[flight])

    assert response.status_code == 200
    assert len(response.json()) == 1
