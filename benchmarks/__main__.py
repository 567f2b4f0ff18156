"""`python -m benchmarks NAME [--json]`: run a benchmark; `--list`: which there are."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

from benchmarks.figure import as_json, as_table

# Each is a module of this package with `measure() -> Figures`; its docstring's first line is its description.
BENCHMARKS = ("hot_path", "kernel", "memory", "server", "drift", "detection", "processor", "console", "crash", "fuzz")

WITH_PEERS = {"detection", "drift"}
"""Those that have a `measure_peers() -> Figures` too."""

MUST_MEET = {"crash", "fuzz"}
"""Those whose goals are promises: one that is missed is a failure."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all of them if none is named")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--peers", action="store_true", help="of `drift` and `detection`: others beside ours")
    parser.add_argument("--kills", type=int, metavar="N", help="of `crash`: how often the processor is killed")
    options = parser.parse_args(arguments)
    if options.list:
        for name in BENCHMARKS:
            print(f"{name}\t{_description(name)}")
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r} (there are: {', '.join(BENCHMARKS)})")
    if options.peers and (not options.names or not set(options.names) <= WITH_PEERS):
        parser.error(f"--peers goes with {' and '.join(sorted(WITH_PEERS))}")
    if options.kills is not None and (options.names != ["crash"] or options.kills < 1):
        parser.error("--kills goes with crash alone, and is at least 1")
    figures = {}
    is_broken = False
    for name in options.names or BENCHMARKS:
        print(f"{name}: measuring …", file=sys.stderr)
        module = importlib.import_module(f"benchmarks.{name}")
        if options.kills is not None:
            found = module.measure(kills=options.kills)
        else:
            found = module.measure_peers() if options.peers else module.measure()
        figures.update(found)
        is_broken |= name in MUST_MEET and not all(figure.met for figure in found.values())
    print(json.dumps(as_json(figures), indent=2) if options.json else as_table(figures))
    return int(is_broken)


def _description(name: str) -> str:
    docstring = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
    return docstring.strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
