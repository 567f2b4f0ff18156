"""The BentoML service that is measured; see `server_app` for the variables it reads."""

from __future__ import annotations

import os
from typing import Any

import bentoml

from benchmarks.pipelines import PIPELINES

PIPELINE = PIPELINES[os.environ.get("WORKLOAD", "full")]

if os.environ.get("MEASURED") == "otel_ml":
    import otel_ml
    from benchmarks.providers import set_providers

    set_providers(tracing=False)
    otel_ml.instrument(export_interval_ms=10_000, spans=False)


@bentoml.service(workers=1)
class Measured:
    """One API of one row."""

    def __init__(self) -> None:
        self.model = PIPELINE.trained()

    @bentoml.api
    def predict(self, row: dict[str, Any]) -> dict[str, bool]:
        """One row in, one class out."""
        return {"prediction": bool(self.model.predict(PIPELINE.read(row))[0])}
