"""Windows to put into a history."""

import json

import numpy as np

from collector_processor.history import (
    FIGURES,
    AlertRecord,
    CallFigures,
    Column,
    Flag,
    Subject,
    WindowLine,
    WindowRecord,
)
from otel_ml import semconv
from otel_ml.drawing.frame import frame_of
from otel_ml.sketch.distribution import CategoricalDistribution

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
COUNTRIES = frame_of(CategoricalDistribution({"NO": 60, "SE": 40}))


def subject(model="fraud", version="3", segment=""):
    return Subject(model, version, segment)


def columns(count, kind="categorical"):
    return [Column("feature", f"f{place:03}", kind, 1.0 + place) for place in range(count)]


def figures_of(count, score=0.1, **changes):
    found = np.zeros(count, FIGURES)
    found["score"], found["threshold"], found["log_q"], found["rows"] = score, 0.2, -1.0, 500
    for name, value in changes.items():
        found[name] = value
    return found


def alert(state="firing", time=HOUR, check="drift", column="f000", whose=None, **attributes):
    return AlertRecord(
        time, whose or subject(), check, "feature", column, state, f"PSI 0.31 > 0.20 of {column}",
        {semconv.ALERT_NAME: check, **attributes},
    )  # fmt: skip


def record(start=0, *, whose=None, count=3, score=0.1, figures=None, known=None, shapes=None, **changes):
    """One hour of a model with some columns."""
    named = columns(count) if known is None else known
    line = WindowLine(
        start,
        start + HOUR,
        changes.pop("rows", 500),
        changes.pop("outcome", "evaluated"),
        changes.pop("baseline_id", "ab12"),
        changes.pop("drifted", 0),
        changes.pop("compared", count),
        {"d1": 2},
        changes.pop("calls", CallFigures(500, {"ValueError": 5}, 0.010, 0.050, 0.090)),
    )
    return WindowRecord(
        whose or subject(),
        line,
        named,
        figures_of(len(named), score) if figures is None else figures,
        [COUNTRIES] * len(named),
        [np.array([0.5, 0.3, 0.2])] * len(named) if shapes is None else shapes,
        json.dumps(changes.pop("details", {"features": []})),
        changes.pop("alerts", ()),
        **changes,
    )


BREACHES = Flag.BREACH | Flag.FIRING
