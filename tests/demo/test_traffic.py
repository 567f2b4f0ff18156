"""Requests from flights, sent over real HTTP."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from otel_ml.demo.errors import DemoError
from otel_ml.demo.flights import DAY, FEATURES, TARGET
from otel_ml.demo.scenario import Phase, Scenario
from otel_ml.demo.traffic import Traffic, requests


@pytest.fixture
def day(replay):
    """The flights of the first day of the replay."""
    return replay[replay[DAY] == replay[DAY].iloc[0]]


class Answers(BaseHTTPRequestHandler):
    """A server that answers each flight with ten minutes, or every request with a status."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        flights = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.batches.append(len(flights))
        body = json.dumps([10.0] * len(flights)).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A real HTTP server on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        served.batches, served.status, served.daemon_threads = [], 200, True
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def url(server):
    """Where the server listens."""
    return f"http://127.0.0.1:{server.server_port}/predict"


def run(traffic):
    """Replay to the end."""
    traffic.start()
    while traffic.is_running():
        traffic._thread.join(0.05)


def test_every_flight_is_sent_once_and_in_time(day):
    """All flights of a day, by the hour, each in exactly one request."""
    found = list(requests(day))

    records = [record for request in found for record in json.loads(request.body)]
    assert [request.moment for request in found] == sorted(request.moment for request in found)
    assert sum(len(request.arrival_delays) for request in found) == len(day)
    assert [record["distance"] for record in records] == day["distance"].tolist()
    assert set(records[0]) == set(FEATURES)


def test_an_hour_makes_a_batch_and_some_flights_travel_alone(day):
    """Servers are asked both ways."""
    sizes = [len(request.arrival_delays) for request in requests(day)]

    assert sizes.count(1) >= 3
    assert max(sizes) > 20
    assert len(sizes) <= day["scheduled_hour"].nunique() + 4


def test_a_gap_travels_as_null(day):
    """JSON knows no NaN."""
    sent = [record["seats"] for request in requests(day) for record in json.loads(request.body)]

    assert sum(seats is None for seats in sent) == day["seats"].isna().sum() > 0
    assert not any(b"NaN" in request.body for request in requests(day))


def test_what_was_answered_is_counted_and_judged(day, server):
    """Rows, requests, and the error of the answers in their phase."""
    traffic = Traffic(url(server), Scenario(week_s=0.1), requests(day))

    run(traffic)

    statistics = traffic.statistics
    assert (statistics.rows, statistics.requests) == (len(day), len(server.batches))
    assert sum(server.batches) == len(day)
    assert statistics.mean_absolute_error(Phase.NORMAL) == pytest.approx((day[TARGET] - 10.0).abs().mean())
    assert statistics.mean_absolute_error(Phase.INCIDENT) is None
    assert statistics.p95_latency_s() > 0


def test_the_replay_knows_when_it_was_where(day, server):
    """Simulated moments by wall clock: the start before, the end after, and what was sent in between."""
    scenario = Scenario(week_s=1.0)
    traffic = Traffic(url(server), scenario, requests(day))
    before = time.time_ns()

    run(traffic)

    after = time.time_ns()
    moments = [traffic.moment_at(before + (after - before) * step // 1000) for step in range(1001)]
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == (scenario.moment(0), scenario.ends)
    assert len(set(moments)) > 2


def test_a_server_that_fails_ends_the_replay(day, server):
    """A refused request is no reason to go on: rows would no longer add up."""
    server.status = 500

    with pytest.raises(DemoError, match="500"):
        run(Traffic(url(server), Scenario(week_s=0.1), requests(day)))


def test_a_server_that_is_gone_ends_the_replay(day):
    """Nobody listens on port 9 of this machine."""
    with pytest.raises(DemoError, match=r"127\.0\.0\.1:9"):
        run(Traffic("http://127.0.0.1:9/predict", Scenario(week_s=0.1), requests(day)))


def test_a_replay_can_be_stopped(day, server):
    """Stopping sends nothing more and waits for what is under way."""
    traffic = Traffic(url(server), Scenario(week_s=1000), requests(day))
    traffic.start()

    traffic.stop()

    assert not traffic.is_running()
    assert sum(server.batches) == traffic.statistics.rows < len(day)
