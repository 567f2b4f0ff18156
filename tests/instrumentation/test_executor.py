"""What travels into a thread pool, and what does not."""

import decimal
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context

from otel_ml.instrumentation.executor import carrying
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope
from otel_ml.recording.request import request_scope


@pytest.fixture
def patched():
    carrying.acquire()
    yield
    carrying.release()


@pytest.fixture
def scope():
    opened = InferenceScope()
    token = request_scope.set(opened)
    yield opened
    request_scope.reset(token)


def test_work_handed_to_a_pool_knows_its_request(patched, scope):
    """A model called in a worker thread is recorded once, under its request."""
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(request_scope.get).result()

    assert seen is scope


def test_work_handed_to_a_pool_keeps_its_parent_span(patched, scope):
    """Spans made in the worker thread are children of the request's."""
    token = otel_context.attach(otel_context.set_value("marker", "here"))
    try:
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(lambda: otel_context.get_value("marker")).result()
    finally:
        otel_context.detach(token)

    assert seen == "here"


def test_work_of_a_recorded_call_is_part_of_it(patched):
    """A model that predicts with a pool of its own is still one call."""
    token = inside.set(True)
    try:
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(inside.get).result()
    finally:
        inside.reset(token)

    assert seen is True


def test_a_worker_thread_is_left_as_it_was(patched, scope):
    """The next job of the thread starts without request, flag or span."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).result()
        token = request_scope.set(None)
        try:
            seen = pool.submit(lambda: (request_scope.get(), inside.get())).result()
        finally:
            request_scope.reset(token)

    assert seen == (None, False)


def test_the_users_own_context_variables_stay_where_they_are(patched, scope):
    """A pool initialiser's decimal precision holds for jobs that a request submits."""

    def prepare():
        decimal.getcontext().prec = 5

    with ThreadPoolExecutor(1, initializer=prepare) as pool:
        assert pool.submit(lambda: decimal.getcontext().prec).result() == 5


def test_arguments_results_and_exceptions_pass_through(patched, scope):
    """Jobs are called with what they were given and fail with what they raise."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        assert pool.submit(dict, fn=1, self=2).result() == {"fn": 1, "self": 2}
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


def test_the_last_instrumentor_restores_submit():
    """Two instrumentors share one patch; it goes with the second one."""
    original = ThreadPoolExecutor.submit

    carrying.acquire()
    carrying.acquire()
    carrying.release()
    still = ThreadPoolExecutor.submit
    carrying.release()

    assert still is not original
    assert ThreadPoolExecutor.submit is original
