"""Can the baselines be read, and are they of the model that is served?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.baseline_match import mismatch
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.environment_variables import OTEL_PYTHON_ML_BASELINE


def _examine(examined: Examined) -> Iterator[Finding]:
    settings = examined.settings
    if not settings.baselines:
        yield unknown(
            "no baseline is named",
            "Servers then send sketches instead of counts in the baseline's bins; a processor may have one.",
            f"export {OTEL_PYTHON_ML_BASELINE}=model.baseline (otel-ml baseline build makes one)",
        )
        return
    for file in examined.baselines:
        if file.baseline is None:
            yield problem(
                file.trouble,
                "The server starts without it, and its columns are not cut where the baseline says.",
                f"export {OTEL_PYTHON_ML_BASELINE}=… (absolute paths, separated like PATH), or build it anew",
            )
    models = [file.baseline.model for file in examined.baselines if file.baseline is not None]
    if not models:
        return
    names = ", ".join(repr(" ".join(part for part in model if part)) for model in models)
    if settings.model_name is None:
        yield unknown(
            f"baselines of {names} can be read, and no model is named",
            "A model without a name is reported by its class, and then no baseline is its own.",
            f"export OTEL_PYTHON_ML_MODEL_NAME={models[0].name} (unless the code calls otel_ml.set_model)",
        )
        return
    wrong = mismatch(settings.model_name, settings.model_version, models)
    if wrong is None:
        yield ok(f"baselines of {names} can be read, and the model is one of them")
    else:
        yield problem(wrong.what, "The model's columns find no baseline, here and in the processor.", wrong.fix)


CHECK = Check("baseline", "Can the baselines be read, and are they of the model that is served?", _examine)
