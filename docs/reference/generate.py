"""Writes the pages of this folder from the code that they describe.

It overwrites them; with --check it only says which ones differ, and ends with 1 where one does.
"""  # noqa: INP001 - a script in a folder of pages, and no package

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
COMMAND: Final = "python docs/reference/generate.py"
# The code beside this page, not a version of it that is installed somewhere.
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

from reference_pages import command_line, configuration, environment, telemetry  # noqa: E402 - found as of the line above

PAGES: Final = {
    "telemetry.md": telemetry.page,
    "configuration.md": configuration.page,
    "command-line.md": command_line.page,
    "environment.md": environment.page,
}


def main(arguments: list[str]) -> int:
    """Write or compare all pages; how the process ends."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"{' '.join(arguments)!r} is not understood (nothing, or --check)\n")
        return 2
    stale = [name for name, page in PAGES.items() if not _is_current(FOLDER / name, _text(page()))]
    if not arguments:
        for name in stale:
            (FOLDER / name).write_text(_text(PAGES[name]()), encoding="utf-8")
            sys.stdout.write(f"{FOLDER / name}\n")
        return 0
    for name in stale:
        sys.stdout.write(f"docs/reference/{name} is not what the code says: {COMMAND}\n")
    return 1 if stale else 0


def _text(page: str) -> str:
    return page.rstrip("\n") + "\n"


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
