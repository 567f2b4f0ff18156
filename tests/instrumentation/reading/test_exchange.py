"""Which requests and responses are inferences, and what is read from them."""

import pytest
from pydantic import BaseModel

from otel_ml.instrumentation.reading.exchange import Exchange, inference_in, looks_like_inference


class Flower(BaseModel):
    length: float
    width: float
    colour: str | None = None


class Batch(BaseModel):
    threshold: float = 0.5
    rows: list[Flower]


class Vector(BaseModel):
    values: list[float]


class Answer(BaseModel):
    prediction: str
    probability: float


@pytest.mark.parametrize(
    ("body", "response", "expected"),
    [
        (
            Flower(length=1, width=2),
            Answer(prediction="rose", probability=0.9),
            Exchange([{"length": 1.0, "width": 2.0, "colour": None}], ["rose"], [0.9]),
        ),
        (
            Batch(rows=[Flower(length=1, width=2), Flower(length=3, width=4, colour="red")]),
            {"predictions": ["rose", "lily"]},
            Exchange(
                [{"length": 1.0, "width": 2.0, "colour": None}, {"length": 3.0, "width": 4.0, "colour": "red"}],
                ["rose", "lily"],
                None,
            ),
        ),
        (Vector(values=[1, 2, 3]), {"score": 0.5}, Exchange([[1.0, 2.0, 3.0]], None, [0.5])),
        ({"instances": [[1, 2], [3, 4]]}, {"predictions": [0, 1]}, Exchange([[1, 2], [3, 4]], [0, 1], None)),
        (
            {"age": 3, "tags": {"a": 1}},
            {"probabilities": {"yes": 0.1, "no": 0.9}},
            Exchange([{"age": 3}], None, [{"yes": 0.1, "no": 0.9}]),
        ),
        ({"flower": Flower(length=1, width=2)}, {"predicted": 1}, None),
        (
            [{"age": 3}, {"age": 4}],
            [{"prediction": 1, "score": 0.5}, {"prediction": 0, "score": 0.25}],
            Exchange([{"age": 3}, {"age": 4}], [1, 0], [0.5, 0.25]),
        ),
    ],
    ids=["one row", "rows in a field", "a vector", "instances", "scores by class", "embedded", "rows"],
)
def test_responses_that_say_so_are_inferences(body, response, expected):
    """A field called prediction, probability or score marks one, whatever the endpoint is called."""
    if expected is None:
        expected = Exchange([{"length": 1.0, "width": 2.0, "colour": None}], [1], None)

    assert inference_in(body, response, named_so=False) == expected


@pytest.mark.parametrize(
    ("response", "predictions"),
    [(3.5, [3.5]), ("rose", ["rose"]), (True, [True]), ({"label": "rose"}, ["rose"]), ({"minutes": 12}, [12])],
)
def test_endpoints_that_are_named_so_may_answer_plainly(response, predictions):
    """def predict(...) -> float is an inference; def create_user(...) -> int is not."""
    body = Flower(length=1, width=2)

    assert inference_in(body, response, named_so=True).predictions == predictions
    assert inference_in(body, response, named_so=False) is None


@pytest.mark.parametrize(
    ("body", "response"),
    [
        ({"user": "a", "password": "b"}, {"token": "c", "id": 3}),
        ({"name": "x"}, {"id": 1, "name": "x"}),
        ({"text": "x"}, None),
        ({}, {"prediction": 1}),
        ([], {"prediction": 1}),
        ("plain text", {"prediction": 1}),
        ({"rows": [{"a": 1}, {"a": 2}]}, {"predictions": [1, 2, 3]}),
        ({"a": 1}, {"prediction": {"nested": {"deep": 1}}}),
        ({"a": 1}, object()),
    ],
    ids=["login", "create", "nothing", "empty body", "no rows", "text", "other length", "nested", "foreign"],
)
def test_everything_else_is_none(body, response):
    """In doubt nothing is recorded: a sketch of a login form would be a leak."""
    assert inference_in(body, response, named_so=False) is None


@pytest.mark.parametrize(
    ("endpoint", "route", "expected"),
    [
        ("predict", "/", True),
        ("predict_delay", "/delays", True),
        ("run", "/v2/models/{name}/infer", True),
        ("handler", "/score", True),
        ("create_user", "/users", False),
        ("unpredictable", "/x", False),
        ("describe", "/prescription", False),
        ("login", "/login", False),
    ],
)
def test_names_that_predict(endpoint, route, expected):
    """Whole words count, wherever they stand in the function's name or the path."""
    assert looks_like_inference(endpoint, route) is expected
