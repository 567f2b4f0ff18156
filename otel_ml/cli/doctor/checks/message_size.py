"""Are requests small enough for receivers?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown

_LIMIT = 4 * 1024 * 1024
"""What gRPC takes by default, and with it most Collectors."""
_VARIABLE = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
_DEFAULT_BATCH = 512
_PART = 512 * 1024
"""Larger snapshots are split into records of so many bytes."""
# Measured, rounded up: a column of a snapshot with and without a baseline, a value of a row, a row without any.
_BINNED, _SKETCHED, _VALUE, _ROW = 250, 2_500, 60, 400
_WHY = "A larger request is refused as a whole (RESOURCE_EXHAUSTED), each time, and every record in it is lost."


def _examine(examined: Examined) -> Iterator[Finding]:
    settings = examined.settings
    batch = _batch(examined.environment.get(_VARIABLE, ""))
    columns = [len(file.baseline.features) for file in examined.baselines if file.baseline is not None]
    snapshots = [count * _BINNED for count in columns] or [settings.max_features * _SKETCHED]
    rows = settings.sample_rows * max(columns or [settings.max_features]) * 9
    parts = sum(math.ceil((size + rows) / _PART) for size in snapshots)
    expected = min(sum(snapshots) + rows * len(snapshots), min(parts, batch) * _PART)
    is_fine = True
    if expected > _LIMIT:
        is_fine = False
        yield problem(
            f"the snapshots of one interval may be {_mib(expected)} in one request, and receivers take {_mib(_LIMIT)}",
            _WHY,
            f"export {_VARIABLE}={_LIMIT // _PART - 1}, or raise the receiver's max_recv_msg_size_mib",
        )
    if settings.capture_events:
        room = max((_LIMIT // batch - _ROW) // _VALUE, 0)
        widest = max(columns, default=None)
        captured = "OTEL_PYTHON_ML_CAPTURE_EVENTS sends each row as a record"
        fix = f"export {_VARIABLE}={max(_LIMIT // ((widest or 1000) * _VALUE + _ROW), 1)}"
        if widest is None:
            is_fine = False
            what = f"{captured}, {batch} in a request: enough room for rows of about {room} columns"
            yield unknown(what, "How many columns a row has is not known without a baseline.")
        elif widest > room:
            is_fine = False
            size = batch * (widest * _VALUE + _ROW)
            what = f"{captured}: {batch} rows of {widest:,} columns are about {_mib(size)}, and receivers take 4 MiB"
            yield problem(what, _WHY, fix)
    if is_fine:
        yield ok(f"snapshots of one interval are at most about {_mib(expected)}, and receivers take {_mib(_LIMIT)}")


def _batch(written: str) -> int:
    return int(written) if written.isascii() and written.isdigit() and 0 < int(written) < 10**9 else _DEFAULT_BATCH


def _mib(size: float) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"


CHECK = Check("message-size", "Are requests small enough for receivers?", _examine)
