"""Opening and closing a request around model calls."""

import asyncio
import contextvars
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.config import Settings
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope, current_scope
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest, is_excluded, prediction_header
from otel_ml.recording import guard
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey

pytestmark = pytest.mark.usefixtures("recorded")


def test_a_request_is_open_inside_and_over_afterwards():
    """Model hooks find it in its context only."""
    with ServedRequest("test", method="POST", headers=[(b"x-request-id", b"r")]) as scope:
        assert current_scope() is scope
        assert (scope.method, scope.prediction_id) == ("POST", "r")

    assert current_scope() is None
    assert scope.closed


def test_a_request_within_a_request_is_the_same():
    """An application in another, a framework on top of another: nothing is opened or closed twice."""
    with ServedRequest("outer") as outer:
        with ServedRequest("inner", headers=[("x-request-id", "other")]) as inner:
            assert inner is outer
        assert not outer.closed
        assert current_scope() is outer


@pytest.mark.parametrize(
    ("headers", "own", "expected"),
    [
        ([("x-request-id", "header")], "body", "body"),
        ([("x-request-id", "header")], None, "header"),
        ([("x-request-id", "header")], "un\nprintable", "header"),
        ([], "body", "body"),
    ],
)
def test_the_protocols_own_id_goes_before_headers(headers, own, expected):
    """As that of a v2 inference request, if it is fit to be one."""
    with ServedRequest("test", headers=headers, prediction_id=own) as scope:
        assert scope.prediction_id == expected


def test_a_task_left_behind_starts_requests_of_its_own():
    """What inherits a request's context after its end is not in that request any more."""

    async def run():
        with ServedRequest("first", headers=[("x-request-id", "first")]):
            left_behind = asyncio.create_task(asyncio.sleep(0))
            context = contextvars.copy_context()
        await left_behind
        return context.run(later)

    def later():
        with ServedRequest("second", headers=[("x-request-id", "second")]) as scope:
            return scope.prediction_id

    assert asyncio.run(run()) == "second"


def test_the_users_exception_passes_and_ends_the_request():
    """The scope is closed, and no flag stays."""
    raised = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError) as caught, ServedRequest("test") as scope:
        raise raised

    assert caught.value is raised
    assert scope.closed
    assert current_scope() is None


def test_the_fallback_runs_after_the_response_and_outside_of_the_request():
    """And only if nothing was recorded."""
    order = []
    with ServedRequest("test") as scope:
        scope.fallback = lambda: order.append(current_scope())
        order.append("response")
    with ServedRequest("test") as scope:
        scope.fallback = lambda: order.append("never")
        scope.counted()

    assert order == ["response", None]


def test_a_fallback_that_fails_is_ours():
    """Counted and said; the request ends all the same."""
    guard.reset()

    with ServedRequest("test hook") as scope:
        scope.fallback = lambda: 1 / 0

    assert scope.closed
    assert guard.failures() == {"test hook": 1}
    guard.reset()


def test_a_broken_recorder_opens_nothing(monkeypatch):
    """The request is served without us."""
    monkeypatch.setattr(get_recorder(), "settings", None)
    guard.reset()

    with ServedRequest("test hook", path="/x") as scope:
        assert scope is None

    assert guard.failures() == {"test hook": 1}
    assert not inside.get()
    guard.reset()


@pytest.mark.parametrize(
    ("urls", "path", "excluded"),
    [
        ("", "/predict", False),
        ("health", "/health/live", True),
        ("health, ^/internal/", "/internal/x", True),
        ("health, ^/internal/", "/v1/internal/x", False),
        (" , ", "/predict", False),
        ("(", "/predict", False),
    ],
)
def test_excluded_urls_are_left_alone(monkeypatch, urls, path, excluded):
    """Comma-separated expressions, found anywhere; what is no expression excludes nothing, and is said."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(excluded_urls=urls))

    with ServedRequest("test", path=path) as scope:
        assert (scope is None) is excluded
        assert inside.get() is excluded

    assert is_excluded("test", path) is excluded
    assert not inside.get()
    guard.reset()


def test_switched_off_every_request_is_left_alone(monkeypatch):
    """Model hooks below have nothing to find out either."""
    monkeypatch.setattr(get_recorder(), "enabled", False)

    with ServedRequest("test") as scope:
        assert scope is None
        assert inside.get()

    assert is_excluded("test", "/")


def test_left_alone_is_a_block():
    """Nested, and restored."""
    with LeftAlone():
        with LeftAlone():
            assert inside.get()
        assert inside.get()

    assert not inside.get()


# --- responses that outlive the call ----------------------------------------------------------------------------------


def test_a_request_can_be_left_open_until_its_response_is_complete():
    """Leaving restores the context at once; the end comes later, from anywhere, and only once."""
    ended = []
    request = ServedRequest("test")
    with request as scope:
        scope.fallback = lambda: ended.append(True)
        end = request.left_open()

    still_open = not scope.closed
    context_is_free = current_scope() is None
    end()
    end()

    assert (still_open, context_is_free) == (True, True)
    assert scope.closed
    assert ended == [True]


def test_leaving_the_inner_request_open_ends_nothing():
    """It belongs to the outer one."""
    with ServedRequest("outer") as outer:
        inner = ServedRequest("inner")
        with inner:
            end = inner.left_open()
        end()
        assert not outer.closed


def test_a_coroutine_that_is_thrown_away_ends_its_request(caplog):
    """It is closed from wherever the collector runs: that context never held our values."""
    scopes = []

    async def endpoint():
        with ServedRequest("test") as scope:
            scopes.append(scope)
            await asyncio.Event().wait()

    async def run():
        coroutine = endpoint()
        contextvars.copy_context().run(coroutine.send, None)
        coroutine.close()
        del coroutine
        gc.collect()

    asyncio.run(run())

    assert scopes[0].closed
    assert current_scope() is None
    assert caplog.records == []


# --- the header -------------------------------------------------------------------------------------------------------


def test_the_header_tells_an_id_only_of_predictions():
    """Counted ones, and those a fallback has announced."""
    scope = InferenceScope(headers=[("x-request-id", "r")])
    silent = prediction_header(scope)
    scope.announced = True
    announced = prediction_header(scope)
    scope.announced = False
    scope.recorded(ModelInfo(ModelKey("m")))

    assert silent is None
    assert announced == prediction_header(scope) == ("x-prediction-id", "r")
    assert prediction_header(None) is None


@given(st.text(max_size=40))
def test_whatever_a_caller_sends_the_header_is_one_line_of_ascii(text):
    """An id from outside cannot split the response."""
    scope = InferenceScope(headers=[("x-request-id", text)])
    scope.announced = True

    _, value = prediction_header(scope)

    assert value.isascii()
    assert value.isprintable()
    assert value.encode("latin-1")


def test_the_request_variable_is_left_as_it_was():
    """Somebody else's scope, such as a test's, comes back."""
    scope = InferenceScope()
    scope.close()
    token = request_scope.set(scope)
    with ServedRequest("test") as opened:
        assert opened is not scope
    restored = request_scope.get()
    request_scope.reset(token)

    assert restored is scope
