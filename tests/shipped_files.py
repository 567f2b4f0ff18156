"""What the tests of deploy/ share: where it is, and the processor's own judgement of a configuration."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def validated(path, **environment):
    """What `otel-ml processor --validate` says of a file: the exit code, and its problems."""
    done = subprocess.run(
        [sys.executable, "-m", "collector_processor", "--config", path, "--validate"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr
