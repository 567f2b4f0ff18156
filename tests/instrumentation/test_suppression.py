"""OpenTelemetry's own switch."""

import asyncio
import contextvars

import pytest
from opentelemetry import context
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation

from otel_ml.instrumentation.suppression import suppressed


def test_code_is_suppressed_inside_of_the_block_only():
    """Also where blocks are nested."""
    states = [suppressed()]
    with suppress_instrumentation():
        states.append(suppressed())
        with suppress_instrumentation():
            states.append(suppressed())
        states.append(suppressed())
    states.append(suppressed())

    assert states == [False, True, True, True, False]


@pytest.mark.parametrize("key", ["suppress_instrumentation", context._SUPPRESS_INSTRUMENTATION_KEY])
@pytest.mark.parametrize("value", [True, False, None])
def test_both_of_its_keys_count(key, value):
    """Contrib's older plain text and the API's own; a value that is not true suppresses nothing."""
    token = context.attach(context.set_value(key, value))
    try:
        assert suppressed() is bool(value)
    finally:
        context.detach(token)


def test_other_context_and_suppressed_http_are_not_it():
    """Baggage, spans, and a client library that only silences its own requests."""
    token = context.attach(context.set_value("mine", True))
    try:
        with suppress_http_instrumentation():
            assert not suppressed()
    finally:
        context.detach(token)


def test_it_travels_with_the_context():
    """Into tasks that are started inside, not into others."""

    async def run():
        with suppress_instrumentation():
            inner = asyncio.create_task(asked())
        return await inner, await asyncio.create_task(asked())

    async def asked():
        return suppressed()

    assert asyncio.run(run()) == (True, False)
    assert contextvars.copy_context().run(suppressed) is False
