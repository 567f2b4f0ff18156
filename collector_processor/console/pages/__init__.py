"""The views, one a module: each has a `PAGE`, and being here is all that it takes."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module

from collector_processor.console.page import Page


def pages() -> Sequence[Page]:
    """All views."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").PAGE for name in names]
