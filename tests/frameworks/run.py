"""Tests every framework in a virtual environment of its own, for their requirements exclude each other.

A folder here with a `requirements.txt` is a framework. Environments live in the user's cache folder and are made anew
when requirements change; this checkout is installed into them in place.

    python tests/frameworks/run.py                 all of them
    python tests/frameworks/run.py bentoml ray     these
    python tests/frameworks/run.py --list
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ("httpx>=0.27", "hypothesis>=6.100", "pytest>=8.2", "pytest-asyncio>=0.24")
"""What the tests themselves need, beside the framework and otel-ml."""
LIMIT_S = 1_200
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-ml" / "frameworks"


class Outcome(NamedTuple):
    """How one framework's tests ended."""

    name: str
    verdict: str
    seconds: float
    summary: str


def main() -> int:
    """Run what the command line names; 0 when all passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="FRAMEWORK", help="folders here; default: all")
    parser.add_argument("--list", action="store_true", help="say which there are and what they require")
    parser.add_argument("--pytest", default="", metavar="ARGS", help="passed on to pytest")
    arguments = parser.parse_args()
    known = sorted(path.parent.name for path in HERE.glob("*/requirements.txt"))
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such framework (there are {', '.join(known)})")
    chosen = arguments.names or known
    if arguments.list:
        for name in chosen:
            print(f"{name:16} {', '.join(_requirements(name))}")
        return 0
    outcomes = []
    for name in chosen:
        outcome = _test(name, arguments.pytest.split())
        outcomes.append(outcome)
        print(f"{outcome.name}: {outcome.verdict} in {outcome.seconds:.0f} s: {outcome.summary}", flush=True)
    print("\nframework         verdict   seconds  summary")
    for outcome in outcomes:
        print(f"{outcome.name:16}  {outcome.verdict:8}  {outcome.seconds:7.0f}  {outcome.summary}")
    return 0 if all(outcome.verdict == "passed" for outcome in outcomes) else 1


def _test(name: str, pytest_arguments: list[str]) -> Outcome:
    begun = time.monotonic()
    print(f"\n=== {name}: {', '.join(_requirements(name))}", flush=True)
    try:
        python = _environment(name)
    except subprocess.CalledProcessError as error:
        return Outcome(name, "failed", time.monotonic() - begun, f"cannot be installed ({error})")
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / name), *pytest_arguments]
    environment = {**os.environ, "OTEL_ML_TEST_FRAMEWORK": name, "PYTHONDONTWRITEBYTECODE": "1"}
    tail: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            tail = [*tail[-20:], line.strip()]
            if time.monotonic() - begun > LIMIT_S:
                process.kill()
        code = process.wait()
    summary = next((line.strip("= ") for line in reversed(tail) if line), "")
    return Outcome(name, "passed" if code == 0 else "failed", time.monotonic() - begun, summary)


def _environment(name: str) -> Path:
    """The interpreter of the framework's environment, with this checkout installed."""
    requirements = _requirements(name)
    ours = (ROOT / "pyproject.toml").read_text()
    fingerprint = hashlib.sha256("\n".join((*requirements, *TOOLS, sys.version, ours)).encode()).hexdigest()[:12]
    folder = _CACHE / f"{name}-{fingerprint}"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(python), *requirements, *TOOLS, "--editable", str(ROOT))
        ready.touch()
    else:
        _uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(ROOT))
    return python


def _uv(*arguments: str) -> None:
    # Compiling ahead is worth it: a test starts the same servers many times.
    environment = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, env=environment)


def _requirements(name: str) -> list[str]:
    lines = (HERE / name / "requirements.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


if __name__ == "__main__":
    sys.exit(main())
