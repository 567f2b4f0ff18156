"""Builds the Go service beside this file into the user's cache folder; another source gets another binary."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent
_SOURCES = ("main.go", "go.mod", "go.sum")


class NoGoError(Exception):
    """There is no Go on this machine, or it cannot build."""


def go_service() -> Path:
    """The binary, built if it is not there yet.

    Raises:
        NoGoError: Why not.
    """
    digest = hashlib.sha256(b"".join((_FOLDER / name).read_bytes() for name in _SOURCES)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = cache / "otel-ml" / "peers" / f"go-service-{digest}" / "go-service"
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise NoGoError("go: not found (Go 1.24 or later builds the service from its module)")
    binary.parent.mkdir(parents=True, exist_ok=True)
    # Whoever builds at the same time must not start half of a program.
    built = binary.with_name(f"{binary.name}.{os.getpid()}")
    command = [go, "build", "-mod=readonly", "-trimpath", "-o", str(built), "."]
    done = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoGoError(f"{' '.join(command)}: failed\n{done.stderr[-2000:]}")
    built.replace(binary)
    return binary
