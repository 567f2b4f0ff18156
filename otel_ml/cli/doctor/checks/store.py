"""Can the processor's store be written, and is there room for its budget?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown

_MIB = 1024 * 1024


def _examine(examined: Examined) -> Iterator[Finding]:
    found = examined.configuration
    if found is None or not found.effective:
        why = "No configuration was given." if found is None else "The configuration cannot be used."
        yield unknown("where the store is, is not known", why, "--config processor.yaml")
        return
    store: dict[str, Any] = found.effective["store"]
    if store["directory"] is None:
        yield ok("the store is in memory", "A restart begins anew, and loses what was not delivered.")
        return
    yield _look(Path(store["directory"]), store["log"]["max_size_mib"] + store["dead_letters"]["max_size_mib"])


def _look(directory: Path, budget_mib: int) -> Finding:
    # What does not exist yet is made when the processor starts.
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
            file.flush()
        free = shutil.disk_usage(there).free
        held = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    except NotADirectoryError as error:
        return problem(
            f"{str(there)!r}: {error.strerror}",
            "Without a log on disk the processor does not start, or takes nothing over.",
            "name another place in store::directory, or move this file away",
        )
    except OSError as error:
        return problem(
            f"{str(there)!r}: {error.strerror or error}",
            "Without a log on disk the processor does not start, or takes nothing over.",
            f"make it a directory that the processor may write: install -d -o $(id -un) {str(directory)!r}",
        )
    if free + held < budget_mib * _MIB:
        return problem(
            f"{str(directory)!r} has {free / _MIB:,.0f} MiB left for a budget of {budget_mib:,} MiB",
            "A full disk refuses telemetry before the budget is spent.",
            "make room, or lower store::log::max_size_mib",
        )
    return ok(f"{str(directory)!r} can be written, and has room for {budget_mib:,} MiB")


CHECK = Check("store", "Can the processor's store be written, and is there room for its budget?", _examine)
