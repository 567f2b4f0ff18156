"""What the service loads before it serves, and what it leaves until it does."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from otel_ml.baseline import Baseline

PREAMBLE = """
import asyncio, sys
from pathlib import Path
from collector_processor.config import load
from collector_processor.processors import drift
from collector_processor.service import Service
from otel_ml import semconv
"""


@pytest.fixture
def configuration(tmp_path):
    """A file with a baseline, several detectors, a store, and a port that is free."""
    random = np.random.default_rng(1)
    data = {"amount": random.lognormal(3, 1, 2000), "country": random.choice(["DE", "FR"], 2000).tolist()}
    Baseline.build(data, model="fraud", version="3").save(tmp_path / "fraud-3.baseline")
    path = tmp_path / "processor.yaml"
    path.write_text(
        f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors:
  drift:
    baselines: ["{tmp_path / "fraud-3.baseline"}"]
    detectors: {{psi: {{}}, ks: {{}}, g_test: {{}}, anova: {{}}, levene: {{}}}}
exporters: {{otlp_grpc: {{endpoint: "http://127.0.0.1:9"}}}}
store: {{directory: "{tmp_path / "store"}"}}
service:
  status: {{endpoint: "127.0.0.1:0"}}
  shutdown_timeout: 100ms
  pipelines:
    metrics: {{exporters: [otlp_grpc]}}
    logs: {{receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}}
"""
    )
    return path


def run(script, path):
    program = PREAMBLE + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_starting_to_serve_needs_no_scipy(configuration):
    """It takes a third of the time to import it, and nobody should wait so much longer after a restart."""
    script = """
        assert "scipy" not in sys.modules
        # From here on importing it is an error.
        sys.modules["scipy"] = None

        async def main():
            service = Service(load(Path(sys.argv[1]), {}))
            await service.start()
            print(len(service.addresses), service.telemetry.total(semconv.PROCESSOR_ERRORS))
            await service.shutdown()

        asyncio.run(main())
    """

    # The second time there is a checkpoint to restore.
    served = [run(script, configuration) for _ in range(2)]

    assert served == [["1", "0"], ["1", "0"]]


def test_what_detectors_need_is_loaded_before_there_is_a_window(configuration):
    """Soon after the service began to serve, so that the first window is reported as soon as any other."""
    script = """
        drift._WARM_UP_S = 0.0

        async def main():
            service = Service(load(Path(sys.argv[1]), {}))
            await service.start()
            while "scipy.special" not in sys.modules:
                await asyncio.sleep(0.01)
            await service.shutdown()
            print("loaded")

        asyncio.run(main())
    """

    assert run(script, configuration) == ["loaded"]
