"""The real flights, read once."""

import pytest

from otel_ml.demo import flights as flights_module


@pytest.fixture(scope="session")
def flights():
    """All flights; not to be changed."""
    return flights_module.load()


@pytest.fixture(scope="session")
def replay(flights):
    """The flights from the day on which serving starts."""
    return flights_module.split(flights)[1]
