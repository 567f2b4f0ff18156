"""Servers of several processes: what they send adds up to what they served, to the last request before SIGTERM."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contracts.instrumentation import rows_of
from otlp_sink import OtlpSink, attributes
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv
from otel_ml.sketch import codec

HERE = Path(__file__).parent
WORKERS = 2
WARM_UP_ROWS = 3

GUNICORN = (BIN / "gunicorn", "worker_app:app", "--chdir", HERE, "--bind", f"127.0.0.1:{PORT}", "--workers", WORKERS)
UVICORN = (BIN / "uvicorn", "worker_app:app", "--app-dir", HERE, "--port", PORT, "--workers", WORKERS)
UVICORN_WORKER = ("--worker-class", "uvicorn.workers.UvicornWorker")
GTHREAD = ("--worker-class", "gthread", "--threads", 4)
GUNICORNS_OWN_ASGI = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn.asgi") is None, reason="gunicorn speaks ASGI since 24"
)

SERVERS = {
    "uvicorn": ("asgi", UVICORN),
    "gunicorn-sync": ("wsgi", GUNICORN),
    "gunicorn-sync-preload": ("wsgi", (*GUNICORN, "--preload")),
    "gunicorn-gthread": ("wsgi", (*GUNICORN, *GTHREAD)),
    "gunicorn-gthread-preload": ("wsgi", (*GUNICORN, *GTHREAD, "--preload")),
    "gunicorn-uvicorn": ("asgi", (*GUNICORN, *UVICORN_WORKER)),
    "gunicorn-uvicorn-preload": ("asgi", (*GUNICORN, *UVICORN_WORKER, "--preload")),
    "gunicorn-asgi": ("asgi", (*GUNICORN, "--worker-class", "asgi")),
}

pytestmark = pytest.mark.slow


class Outcome:
    """Who served how many requests, and what the collector has."""

    def __init__(self, processes, sink, output, *, preloaded):
        self.processes = processes
        self.output = output
        self.preloaded = preloaded
        self.snapshots = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(server, id=name, marks=GUNICORNS_OWN_ASGI if name == "gunicorn-asgi" else ())
        for name, server in SERVERS.items()
    ],
)
def outcome(request):
    """A server that was asked until both of its workers had answered, and then told to end."""
    kind, command = request.param
    with OtlpSink() as sink:
        with ServerProcess(command, {**sink.environment, "TEST_WORKER_APP": kind}) as server:
            processes = ask_until_all_have_answered(server)
            server.stop()
            output = server.output
        yield Outcome(processes, sink, output, preloaded="--preload" in command)


def ask_until_all_have_answered(server):
    processes = []
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            answers = pool.map(lambda n: server.post("/predict", {"width": float(n), "height": 1.0}), range(40))
            processes += [answer.body["process"] for answer in answers]
            if len(set(processes)) == WORKERS:
                return processes
    raise AssertionError("one worker answered everything")


def test_what_arrives_adds_up_to_what_was_served(outcome):
    """Each request once: those of the last interval as well, which only the final flush can bring."""
    assert rows_of(outcome.snapshots)["LinearRegression"] == len(outcome.processes)


def test_no_snapshot_comes_twice(outcome):
    """A producer and its sequence name a snapshot."""
    keys = [(snapshot.producer_id, snapshot.sequence) for snapshot in outcome.snapshots]

    assert len(set(keys)) == len(keys)


def test_each_worker_is_a_producer_of_its_own(outcome):
    """Also where workers are forked from a process that has recorded already."""
    rows = {}
    for snapshot in outcome.snapshots:
        if snapshot.model.name == "LinearRegression":
            rows[snapshot.producer_id] = rows.get(snapshot.producer_id, 0) + snapshot.rows

    served = [outcome.processes.count(process) for process in set(outcome.processes)]
    assert sorted(rows.values()) == sorted(served)


def test_what_was_recorded_before_a_fork_is_the_parents_to_report(outcome):
    """With --preload the application is imported once, and what it did then counts once."""
    imports = 1 if outcome.preloaded else WORKERS

    assert rows_of(outcome.snapshots)["Ridge"] == imports * WARM_UP_ROWS


def test_nothing_is_written_or_broken(outcome):
    """No warning of ours, no context that could not be detached, no error while ending."""
    assert "otel-ml" not in outcome.output
    assert "otel_ml/" not in outcome.output
    assert "Failed to detach context" not in outcome.output
