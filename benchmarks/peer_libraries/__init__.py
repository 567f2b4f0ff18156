"""Libraries that find drift in raw rows, each at a pinned version and in an environment of its own.

One module a library, which runs there: it knows how its users call it with its defaults, and what that costs. Nothing
here imports otel-ml, and no peer is imported at import, so that every module loads in every environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.environment import ROOT, python_with


@dataclass(frozen=True, slots=True)
class Peer:
    """A library to compare with.

    Attributes:
        name: Of the module here that knows it.
        requirements: The library at one version, and the bounds it needs to be imported at all by now.
    """

    name: str
    requirements: tuple[str, ...]


PEERS = (
    # What it imports from pandas is gone in 3.0.
    Peer("evidently", ("evidently==0.7.23", "pandas<3")),
    # It imports statsmodels without requiring it, and estimates performance with what pandas 3.0 forbids.
    Peer("nannyml", ("nannyml==0.13.1", "pandas<3", "statsmodels")),
    # Business Source License: installed here to be measured, and nothing of it is used otherwise.
    Peer("alibi_detect", ("alibi-detect==0.13.0",)),
    # Not released since NumPy 2. Its drift scores are in the extra.
    Peer("whylogs", ("whylogs[viz]==1.6.4", "numpy<2", "pandas<3")),
)

_SILENT = {
    # Three of the four report their use to their makers unless told not to.
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
    # All of them, and we, on one core.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def run(peer: Peer, job: str, *arguments: str) -> dict[str, Any]:
    """What a peer answers to a job; nothing, and the reason on stderr, where it cannot be installed or does not work.

    Args:
        job: "alarms" or "cost"; see `child.main`.
    """
    try:
        python = python_with(peer.requirements)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{peer.name}: left out, it cannot be installed: {error}", file=sys.stderr)
        return {}
    return run_module(str(python), f"benchmarks.peer_libraries.{peer.name}", job, *arguments)


def run_module(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this checkout prints as JSON; nothing, and the reason on stderr, where it fails."""
    done = subprocess.run(
        [python, "-W", "ignore", "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **_SILENT},
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    if done.returncode:
        print(f"{module}: left out, it ended with {done.returncode}", file=sys.stderr)
        return {}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
