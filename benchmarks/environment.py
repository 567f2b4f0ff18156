"""Virtual environments with the libraries that otel-ml is compared with, made once in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
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
    """The interpreter of an environment with all peers of the recording library, and this checkout in place.

    Raises:
        subprocess.CalledProcessError: It cannot be installed, for want of a network say.
    """
    return python_with(PEERS, with_checkout=True)


def python_with(requirements: Sequence[str], *, with_checkout: bool = False) -> Path:
    """The interpreter of an environment that holds these requirements, one for each list of them.

    Args:
        with_checkout: Install this checkout too, in place. Without it peers may need what otel-ml does not go with.

    Raises:
        subprocess.CalledProcessError: It cannot be installed, for want of a network say.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-ml" / "benchmarks"
    ours = [(ROOT / "pyproject.toml").read_text()] if with_checkout else []
    folder = cache / hashlib.sha256("\n".join((*requirements, sys.version, *ours)).encode()).hexdigest()[:12]
    python = folder / "bin" / "python"
    checkout = ["--editable", str(ROOT)] if with_checkout else []
    if not (folder / ".ready").exists():
        print(f"installing {', '.join(requirements)} to compare with …", file=sys.stderr)
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), *requirements, *checkout)
        (folder / ".ready").touch()
    elif with_checkout:
        _uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", *checkout)
    return python


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, stdout=sys.stderr)
