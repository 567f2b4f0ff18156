"""The `otel-ml` command. Its commands are found by name and imported only when they are called."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line; the console script of the distribution."""
    try:
        from otel_ml.cli.commands import otel_ml
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        print("otel-ml: the command line needs click: pip install 'otel-ml[cli]'", file=sys.stderr)
        sys.exit(2)
    _prepare_streams()
    otel_ml(prog_name="otel-ml")


def _prepare_streams() -> None:
    """Let everything be printed: a stream may be closed, or its encoding may lack a character."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - likewise
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
