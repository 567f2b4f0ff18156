"""Every performance figure of the README comes from here: `python -m benchmarks --list`."""
