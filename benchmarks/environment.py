"""A virtual environment with the libraries that otel-ml is compared with, made once in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = (
    # whylogs has not been released since NumPy 2.
    "numpy<2",
    "bentoml>=1.4",
    "fastapi>=0.115",
    "pandas>=2.2,<3",
    "prometheus-client>=0.20",
    "scikit-learn>=1.5",
    "uvicorn>=0.30",
    "whylogs>=1.4",
)


def peers_python() -> Path:
    """The interpreter of an environment with all peers, and this checkout in place.

    Raises:
        subprocess.CalledProcessError: It cannot be installed, for want of a network say.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-ml" / "benchmarks"
    ours = (ROOT / "pyproject.toml").read_text()
    folder = cache / hashlib.sha256("\n".join((*PEERS, sys.version, ours)).encode()).hexdigest()[:12]
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print("installing the libraries to compare with …", file=sys.stderr)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), *PEERS, "--editable", str(ROOT))
        (folder / ".ready").touch()
    else:
        _uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(ROOT))
    return python


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, stdout=sys.stderr)
