"""A disk that is really full."""

import os
import subprocess
from contextlib import contextmanager, suppress

import pytest

PAGE = 4096


@contextmanager
def small_disk(place, size="8m"):
    """A file system of its own at a place; skips where none may be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system of our own cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(disk, *, leave=0):
    """Write until the disk has no more than so many bytes left; the file to be removed for room."""
    path = disk / "others"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(PAGE)):
            pass
    os.truncate(path, path.stat().st_size - leave)
    return path
