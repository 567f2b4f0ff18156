"""A small training set with names of columns, and what tests of boosting libraries ask of snapshots."""

import numpy as np
import pandas as pd

_random = np.random.default_rng(7)
NUMBERS = _random.random((120, 3))
NAMES = ("age", "income", "tenure (y)")
FRAME = pd.DataFrame(NUMBERS, columns=NAMES)
BINARY = (NUMBERS[:, 0] > 0.5).astype(int)
THREE = (NUMBERS[:, 0] * 3).astype(int)
QUIET_CATBOOST = {"iterations": 3, "verbose": 0, "allow_writing_files": False}


def columns_of(telemetry):
    """Names of what was summarised, by role: {"feature": {"age", …}, "score": {"score"}}."""
    found = {}
    for snapshot in telemetry.snapshots():
        for summary in snapshot.features:
            found.setdefault(summary.key.role.value, set()).add(summary.key.name)
    return found


def content_of(telemetry, role, name):
    """The only summary of one column."""
    (found,) = [
        summary.content
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
        if (summary.key.role.value, summary.key.name) == (role, name)
    ]
    return found


def recorded(telemetry):
    """(model, operation) of every inference, by its span, and rows."""
    return (
        [(span.name.partition(" ")[2], span.name.partition(" ")[0]) for span in telemetry.spans()],
        sum(snapshot.rows for snapshot in telemetry.snapshots()),
    )
