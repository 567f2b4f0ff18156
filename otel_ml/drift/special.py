"""The functions of scipy.special by their names, loaded when the first of them is asked for.

Loading takes about a third as long as everything else that a service needs to start, and starting needs none of them.
"""

from __future__ import annotations

import importlib
from typing import Any


def load() -> None:
    """Load them now rather than when they are needed."""
    importlib.import_module("scipy.special")


def __getattr__(name: str) -> Any:
    # From then on it is found here, without asking.
    found = globals()[name] = getattr(importlib.import_module("scipy.special"), name)
    return found
