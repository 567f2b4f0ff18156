"""The `otel-ml` command. Its commands are found by name and imported only when they are called."""

from __future__ import annotations

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
    otel_ml(prog_name="otel-ml")
