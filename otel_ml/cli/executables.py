"""Finding a command, and the Python environment that it belongs to."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SHEBANG: Final = 512


def find(command: str, environment: Mapping[str, str]) -> Path | None:
    """The file that is run for a command: from this Python's environment, where it is, otherwise from PATH.

    Only what runs in this environment can be instrumented from it, and it need not be activated.
    """
    own = str(Path(sys.executable).parent)
    path = environment.get("PATH", os.defpath)
    found = shutil.which(command, path=f"{own}{os.pathsep}{path}")
    return None if found is None else Path(found)


def environment_of(executable: Path) -> Path | None:
    """The Python environment that an executable or a script belongs to; None where it is none of Python."""
    interpreter = executable if executable.name.startswith("python") else _interpreter(executable)
    if interpreter is None or not interpreter.name.startswith("python"):
        return None
    # Not resolved: the python of a virtual environment is a link out of it.
    return interpreter.absolute().parent.parent


def _interpreter(script: Path) -> Path | None:
    """The interpreter in the first line of a script."""
    try:
        with script.open("rb") as file:
            words = file.read(_SHEBANG).partition(b"\n")[0].decode(errors="replace").split()
    except OSError:
        return None
    if not words or not words[0].startswith("#!"):
        return None
    first = words[0].removeprefix("#!") or (words[1] if len(words) > 1 else "")
    return Path(first) if first and not first.endswith("/env") else None
