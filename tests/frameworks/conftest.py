"""Tests with real frameworks, each in an environment of its own: `make test-frameworks`, which runs `run.py` here."""

import os

if not os.environ.get("OTEL_ML_TEST_FRAMEWORK"):
    collect_ignore_glob = ["*"]
