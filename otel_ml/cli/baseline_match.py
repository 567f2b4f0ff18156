"""Whether baselines are of the model that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.sketch.feature import ModelKey


class Mismatch(NamedTuple):
    """Why no baseline belongs to a model, and what to do."""

    what: str
    fix: str


def mismatch(name: str, version: str, baselines: Sequence[ModelKey]) -> Mismatch | None:
    """Why none of these baselines is of this model and version; None when one is."""
    of_model = [baseline for baseline in baselines if baseline.name == name]
    if any(baseline.version == version for baseline in of_model):
        return None
    if of_model:
        versions = ", ".join(repr(baseline.version) for baseline in of_model)
        return Mismatch(
            f"model {name!r} is version {version!r}, and its baseline is of version {versions}",
            f"export OTEL_PYTHON_ML_MODEL_VERSION={of_model[0].version}, or name the baseline of version {version!r}",
        )
    others = ", ".join(repr(baseline.name) for baseline in baselines)
    return Mismatch(
        f"model {name!r} has no baseline (there are baselines of {others})",
        f"export OTEL_PYTHON_ML_MODEL_NAME={baselines[0].name}, or name the baseline of {name!r}",
    )
