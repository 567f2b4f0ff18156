"""Telling, once, why a model gets no drift or no correlations."""

from __future__ import annotations

from collector_processor.processors.evaluation import WindowEvaluation
from collector_processor.self_telemetry import SelfTelemetry


def say_why_not(telemetry: SelfTelemetry, evaluation: WindowEvaluation, min_rows: int) -> None:
    """Log what a window lacks for being compared, unless that was said of its model before."""
    if evaluation.segment is not None:
        return  # the whole says it
    model = " ".join(part for part in evaluation.model if part)
    if evaluation.outcome == "no_baseline":
        telemetry.say_once(
            f"no_baseline:{model}", "model %s has no baseline: no drift, only data quality without reference", model
        )
    elif evaluation.outcome == "insufficient_rows":
        telemetry.say_once(
            f"insufficient_rows:{model}",
            "model %s: %d rows in a window, nothing is concluded from fewer than %d (processors::drift::min_rows)",
            model,
            evaluation.rows,
            min_rows,
        )
    elif evaluation.joint_insufficient is not None:
        telemetry.say_once(
            f"joint:{model}", "model %s: correlations are not compared: %s", model, evaluation.joint_insufficient
        )
