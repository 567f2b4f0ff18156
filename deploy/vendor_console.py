"""Brings what the console's pages load from others into the repository: from npm, as they published it.

    python deploy/vendor_console.py                   take what VENDOR.json names once more, and compare
    python deploy/vendor_console.py htmx.org@2.0.11   take another version, and write down what it is
    python deploy/vendor_console.py --check           only compare the files with VENDOR.json; needs no network

Needs npm, which verifies what it downloads. Only the standard library of Python is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "collector_processor" / "console" / "static" / "vendor"
LIST = "VENDOR.json"


class VendorError(Exception):
    """Why something cannot be taken, and what would help."""


def main() -> int:
    """Take what the command line names; 0 when files and list agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="NAME@VERSION", help="instead of the version that is listed")
    parser.add_argument("--check", action="store_true", help="download nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            take(arguments.folder, arguments.packages)
        problems = differences(arguments.folder)
    except VendorError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def listed(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """What is vendored: of each package its name, version and licence, and its files with their hashes."""
    found: list[dict[str, Any]] = json.loads((folder / LIST).read_text())
    return found


def differences(folder: Path = FOLDER) -> list[str]:
    """What is other than the list says, a sentence each."""
    hashes = {name: file["sha256"] for package in listed(folder) for name, file in package["files"].items()}
    there = {path.name for path in folder.iterdir()} - {LIST}
    found = [f"{name}: is in no package of {LIST}" for name in sorted(there - hashes.keys())]
    for name, expected in sorted(hashes.items()):
        if name not in there:
            found.append(f"{name}: is missing (python deploy/vendor_console.py brings it)")
        elif (is_now := _hash(folder / name)) != expected:
            found.append(f"{name}: was changed (sha256 {is_now}, {LIST} says {expected})")
    return found


def take(folder: Path, chosen: list[str]) -> None:
    """Download every package that is listed, or another version of it, and put its files where they belong."""
    packages = listed(folder)
    versions = dict(_split(text) for text in chosen)
    unknown = versions.keys() - {package["name"] for package in packages}
    if unknown:
        known = ", ".join(package["name"] for package in packages)
        raise VendorError(f"{', '.join(sorted(unknown))}: is not in {LIST} (there are {known})")
    for package in packages:
        is_other = package["name"] in versions
        package["version"] = versions.get(package["name"], package["version"])
        with tempfile.TemporaryDirectory() as place:
            content = _pack(f"{package['name']}@{package['version']}", Path(place))
            about = json.loads((content / "package.json").read_text())
            package["licence"] = about["license"]
            for name, file in package["files"].items():
                source = content / file["source"]
                if not source.is_file():
                    raise VendorError(f"{package['name']}: has no {file['source']!r} in version {package['version']}")
                if not is_other and _hash(source) != file["sha256"]:
                    raise VendorError(
                        f"{name}: npm has another one of the same version; {LIST} and files are as before"
                    )
                shutil.copyfile(source, folder / name)
                file["sha256"] = _hash(source)
    (folder / LIST).write_text(json.dumps(packages, indent=2) + "\n")


def _split(text: str) -> tuple[str, str]:
    name, _, version = text.rpartition("@")
    if not name or not version:
        raise VendorError(f"{text!r} is no package in a version (such as htmx.org@2.0.11)")
    return name, version


def _pack(package: str, place: Path) -> Path:
    """The content of a package, unpacked."""
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError("npm: not found on the PATH (install Node.js)")
    command = [npm, "pack", "--silent", "--ignore-scripts", package]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    archives = list(place.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        raise VendorError(f"{package}: npm does not have it: {done.stderr.strip()[-500:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(place, filter="data")
    return place / "package"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
