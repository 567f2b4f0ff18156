"""The servers that are measured: FastAPI, and a scikit-learn pipeline of 25 features behind it.

`MEASURED` chooses what watches it, `WORKLOAD` the pipeline: "full" has missing values filled in, numbers scaled and
categories encoded for gradient boosting, from a frame; "light" scales an array for a logistic regression, about the
least a model can cost. `OTEL_EXPORTER_OTLP_ENDPOINT` is where what is measured sends to.
"""

from __future__ import annotations

import gc
import os
import time
from typing import Any

from fastapi import FastAPI
from pydantic import create_model

from benchmarks.pipelines import PIPELINES
from benchmarks.providers import set_providers

MEASURED = os.environ.get("MEASURED", "bare")
PIPELINE = PIPELINES[os.environ.get("WORKLOAD", "light")]

model = PIPELINE.trained()
Row = create_model("Row", **{name: (kind, ...) for name, kind in PIPELINE.columns.items()})  # type: ignore[call-overload]  # fields by name


def predicted(row: dict[str, Any]) -> bool:
    """What every variant does, watched or not."""
    return bool(model.predict(PIPELINE.read(row))[0])


answer = predicted
framework_telemetry = MEASURED in ("framework", "framework_and_span", "otel_ml_spans")
if framework_telemetry:
    set_providers(tracing=True)
if MEASURED == "otel_ml":
    import otel_ml

    set_providers(tracing=False)
    otel_ml.instrument(export_interval_ms=10_000, spans=False)
elif MEASURED == "otel_ml_spans":
    import otel_ml

    otel_ml.instrument(export_interval_ms=10_000)
elif MEASURED == "framework_and_span":
    from opentelemetry import trace

    tracer = trace.get_tracer("measured")

    def answer(row: dict[str, Any]) -> bool:
        """With one more INTERNAL span, as anybody would write it."""
        with tracer.start_as_current_span("predict", attributes={"rows": 1}):
            return predicted(row)

elif MEASURED == "otel_histograms":
    from opentelemetry import metrics

    set_providers(tracing=False)
    histogram = metrics.get_meter("measured").create_histogram("feature")

    def answer(row: dict[str, Any]) -> bool:
        """One instrument call a feature; negative ones would be dropped with a warning."""
        for name, value in row.items():
            histogram.record(abs(value), {"feature": name})
        return predicted(row)

elif MEASURED == "otel_log_record":
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

    set_providers(tracing=False)
    logger = get_logger("measured")

    def answer(row: dict[str, Any]) -> bool:
        """All values of the row, in one record."""
        result = predicted(row)
        logger.emit(
            LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.INFO, body="prediction", attributes=row)
        )
        return result

elif MEASURED == "prometheus":
    from prometheus_client import Histogram

    observed = Histogram("feature", "values", ["name"])

    def answer(row: dict[str, Any]) -> bool:
        """One observation a feature."""
        for name, value in row.items():
            observed.labels(name).observe(value)
        return predicted(row)

elif MEASURED == "bentoml_monitor":
    import bentoml

    def answer(row: dict[str, Any]) -> bool:
        """Its default monitor, which writes files."""
        result = predicted(row)
        with bentoml.monitor("measured") as monitor:
            for name, value in row.items():
                monitor.log(value, name=name, role="feature", data_type="numerical")
            monitor.log(result, name="prediction", role="prediction", data_type="categorical")
        return result

elif MEASURED == "whylogs":
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()

    def answer(row: dict[str, Any]) -> bool:
        """A row into a profile, without ever writing it."""
        profile.track(row=row)
        return predicted(row)


off = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
try:
    app = FastAPI() if framework_telemetry else FastAPI(telemetry=off)  # type: ignore[call-arg]  # since 0.142
except TypeError:
    app = FastAPI()

collecting = {"begun": 0.0, "total_s": 0.0, "longest_s": 0.0, "full": 0}


def _collecting(phase: str, info: dict[str, int]) -> None:
    if phase == "start":
        collecting["begun"] = time.perf_counter()
        return
    took = time.perf_counter() - collecting["begun"]
    collecting["total_s"] += took
    collecting["longest_s"] = max(collecting["longest_s"], took)
    collecting["full"] += info["generation"] == 2


gc.callbacks.append(_collecting)


@app.get("/collecting")
async def collected() -> dict[str, float]:
    """What the garbage collector has taken since the last question, and the processor time of the process."""
    told = {**collecting, "process_s": time.process_time()}
    collecting.update(total_s=0.0, longest_s=0.0, full=0)
    return told


@app.post("/predict")
async def predict(row: Row) -> dict[str, Any]:  # type: ignore[valid-type]  # made of names
    """One row in, one class out."""
    return {"prediction": answer(dict(row.__dict__))}
