"""Failures of ours."""

import logging

import pytest

from otel_ml.recording import guard


@pytest.fixture(autouse=True)
def fresh():
    guard.reset()
    yield
    guard.reset()


def test_a_failure_is_counted_each_time_and_said_once(caplog):
    """A failure per request must not become a log line per request."""
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for _ in range(100):
            guard.failed("somewhere", ValueError("what happened"))

    assert guard.failures() == {"somewhere": 100}
    assert len(caplog.records) == 1
    assert "ValueError: what happened" in caplog.text


def test_a_guarded_function_gives_none_where_it_would_have_raised():
    """Arguments and results pass through otherwise."""

    @guard.guarded("dividing")
    def divide(left, *, by):
        return left / by

    assert divide(6, by=2) == 3
    assert divide(6, by=0) is None
    assert guard.failures() == {"dividing": 1}


def test_an_exception_that_cannot_even_be_printed_does_no_harm():
    """Nor does a log handler that raises."""

    class Unprintable(Exception):  # noqa: N818 - what it is
        def __str__(self):
            raise RuntimeError("no")

    guard.failed("somewhere", Unprintable())

    assert guard.failures() == {"somewhere": 1}


def test_what_ends_the_program_passes_through():
    """KeyboardInterrupt and SystemExit are nobody's failure."""

    @guard.guarded("waiting")
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_advice_is_given_once(caplog):
    """Once per subject and process."""
    for _ in range(3):
        guard.warn_once("subject", "this is how")

    assert caplog.text.count("this is how") == 1
