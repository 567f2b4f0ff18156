"""Whatever comes in, and whatever is wrong behind: the response is what it would have been without us."""

import json
import math
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from otlp_sink import OtlpSink, attributes
from test_two_workers import free_port

from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureRole

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
GOOD = [{"age": 31.5, "city": "Oslo", "member": True}, {"age": 44.0, "city": "Rome", "member": False}]
BODIES = {
    "good": GOOD,
    "none": [{"age": None, "city": None, "member": None}],
    "nan": [{"age": math.nan, "city": "Oslo", "member": True}],
    "infinite": [{"age": math.inf, "city": "Oslo", "member": True}, {"age": -math.inf, "city": "Rome", "member": True}],
    "string in a numeric column": [{"age": "forty", "city": "Oslo", "member": True}],
    "missing column": [{"city": "Oslo", "member": True}],
    "extra column": [{"age": 20.0, "city": "Oslo", "member": True, "shoe": 43}],
    "wrong types": [{"age": [1, 2], "city": {"a": 1}, "member": "yes"}],
    "empty batch": [],
    "huge integer": [{"age": 10**400, "city": "Oslo", "member": True}],
    "refused by the model": [{"age": 1.0, "refuse": 1}],
    "no list at all": {"age": 1.0},
    "10,000 categories": [{"age": 1.0, "city": f"town {number}", "member": True} for number in range(10_000)],
    "good again": GOOD,
}

pytestmark = pytest.mark.slow


class Served:
    """An app in a process of its own, under `opentelemetry-instrument` or bare."""

    def __init__(self, *, instrumented, log, app="tolerant_app", **variables):
        self.port = free_port()
        self.log = log
        command = [BIN / "uvicorn", f"{app}:app", "--port", str(self.port), "--log-level", "warning"]
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [BIN / "opentelemetry-instrument", *command] if instrumented else command,
                cwd=HERE,
                env={**os.environ, "OTEL_PYTHON_ML_MODEL_NAME": "tolerant", **variables},
                stderr=stderr,
            )
        for _ in range(600):
            assert self.process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/openapi.json", timeout=2).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the server never answered")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, timeout_s=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout_s)

    def answer(self, body):
        """Status and body of the response to a POST, whatever they are."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def resident_bytes(self):
        """Memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


def exporting_to(endpoint):
    """Everything on, exported often."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_PYTHON_ML_EXPORT_INTERVAL": "500",
        "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }


def test_every_answer_is_what_it_would_have_been(tmp_path):
    """Bad values change no response, leave no line in the log, and are counted by what was wrong with them."""
    with OtlpSink() as backend:
        with Served(instrumented=False, log=tmp_path / "bare.log") as bare:
            expected = {name: bare.answer(body) for name, body in BODIES.items()}
        with Served(instrumented=True, log=tmp_path / "ours.log", **exporting_to(backend.endpoint)) as ours:
            given = {name: ours.answer(body) for name, body in BODIES.items()}
        payloads = [attributes(record)["ml.sketch.payload"] for record in backend.log_records("ml.sketch.snapshot")]
        snapshots = [codec.decode(payload) for payload in payloads]

    assert given == expected
    # The traceback of the refused request passes through our hooks, and must.
    said = [line for line in (tmp_path / "ours.log").read_text().splitlines() if line.startswith("otel-ml")]
    assert said == []
    rows = sum(len(body) for name, body in BODIES.items() if isinstance(body, list) and "refused" not in name)
    assert sum(snapshot.rows for snapshot in snapshots) == rows
    counters = {}
    for snapshot in snapshots:
        for summary in snapshot.features:
            if summary.key.role is FeatureRole.FEATURE:
                known = counters.setdefault(summary.key.name, summary.counters)
                if known is not summary.counters:
                    known.merge(summary.counters)
    age = counters["age"]
    assert age.rows == rows
    # None and NaN; the column left out, as pandas reads it.
    assert age.missing == 3
    # "forty" and [1, 2].
    assert age.mismatched == 2
    # Infinity and 10**400.
    assert age.positive_infinite == 2
    assert age.negative_infinite == 1


@pytest.mark.parametrize("trouble", ["nobody listens", "nobody answers"])
def test_a_dead_or_slow_collector_is_not_noticed(tmp_path, trouble):
    """With no collector, or one that hangs, every request is answered, memory stays bounded, and the server stops."""
    with OtlpSink() as backend:
        if trouble == "nobody listens":
            backend.refuse()
        else:
            backend.hang()
        with Served(instrumented=True, log=tmp_path / "ours.log", **exporting_to(backend.endpoint)) as ours:
            for _ in range(200):
                assert ours.answer(GOOD)[0] == 200
            settled = ours.resident_bytes()
            for _ in range(2_000):
                assert ours.answer(GOOD)[0] == 200
            grown = ours.resident_bytes() - settled
            backend.recover_waiting_calls()
            ours.stop(timeout_s=60)

    assert grown < 64 * 1024 * 1024
    assert ours.process.returncode in (0, -signal.SIGTERM)
