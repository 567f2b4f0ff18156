"""One short text that changes with any installed package: a changed dependency is a changed model server."""

from __future__ import annotations

import functools
import hashlib
import os
import sys

_ENDINGS = (".dist-info", ".egg-info")


@functools.lru_cache(maxsize=1)
def packages_digest() -> str:
    """16 hexadecimal digits over name and version of every package that can be imported, read once per process.

    Names and versions are those of the folders that installers leave (PEP 376): a listing of a few folders, where
    reading the metadata itself would take a large environment half a second.
    """
    installed: set[str] = set()
    for folder in sys.path:
        try:
            installed.update(
                entry.name.rpartition(".")[0].lower().replace("_", "-")
                for entry in os.scandir(folder or ".")
                if entry.name.endswith(_ENDINGS)
            )
        except OSError:
            continue  # an archive, or a folder that is not there
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()[:16] if installed else ""
