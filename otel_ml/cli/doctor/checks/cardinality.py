"""Are there more columns than are recorded, or series than are kept?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem
from otel_ml.environment_variables import OTEL_PYTHON_ML_MAX_FEATURES


def _examine(examined: Examined) -> Iterator[Finding]:
    from otel_ml.recording.metrics import MAX_SERIES
    from otel_ml.sketch.feature import FeatureRole

    limit = examined.settings.max_features
    baselines = [file.baseline for file in examined.baselines if file.baseline is not None]
    counts = [sum(key.role is FeatureRole.FEATURE for key in baseline.features) for baseline in baselines]
    is_fine = True
    for baseline, columns in zip(baselines, counts, strict=True):
        if columns > limit:
            is_fine = False
            yield problem(
                f"the baseline of {baseline.model.name!r} has {columns:,} features, and {limit:,} are recorded",
                "Of the others only rows are counted, and their drift is not found.",
                f"export {OTEL_PYTHON_ML_MAX_FEATURES}={columns}",
            )
    series = sum(min(columns, limit) for columns in counts) if counts else limit
    known = f"{len(counts)} baselines" if counts else f"one model of at most {limit:,} features"
    if series > MAX_SERIES:
        yield problem(
            f"{known}: {series:,} series of metrics a process, and {MAX_SERIES:,} are kept",
            "Later ones are left out, sketches are not; and few backends are happy with so many.",
            f"export {OTEL_PYTHON_ML_MAX_FEATURES}=…, or name what matters in OTEL_PYTHON_ML_FEATURES",
        )
    elif is_fine:
        yield ok(f"{known}: at most {series:,} series of feature values a process, of {MAX_SERIES:,}")


CHECK = Check("cardinality", "Are there more columns than are recorded, or series than are kept?", _examine)
