"""What the console's pages load from others is what they published, and all that they load."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "vendor_console.py"
STATIC = ROOT / "collector_processor" / "console" / "static"
VENDOR = STATIC / "vendor"
LIMIT_BYTES = 300_000
# Whatever makes a browser ask for something.
LOADS = re.compile(r"""(?:src|href|url|import|fetch|open)\s*[=(]\s*["'`]?\s*(?:https?:)?//""", re.IGNORECASE)


def run(folder, *arguments, path=None):
    environment = None if path is None else {"PATH": str(path)}
    return subprocess.run(
        [sys.executable, SCRIPT, "--folder", folder, *arguments],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(VENDOR, tmp_path / "vendor")


def test_files_are_those_that_were_published():
    """Byte for byte; whoever changes one has to say which version it is now."""
    done = run(VENDOR, "--check")

    assert (done.returncode, done.stderr) == (0, "")


def test_each_package_comes_with_its_licence():
    """Which allows to pass it on."""
    packages = json.loads((VENDOR / "VENDOR.json").read_text())

    assert {package["licence"] for package in packages} <= {"0BSD", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC"}
    for package in packages:
        assert any(name.endswith(".LICENSE") for name in package["files"]), package["name"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])


def test_nothing_is_loaded_from_elsewhere():
    """Whoever looks at a model tells nobody of it; also where there is no internet, all is there."""
    texts = [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.svg"), *(STATIC.parent / "html").iterdir()]

    assert len(texts) > 10
    assert {path.name: LOADS.findall(path.read_text()) for path in texts if LOADS.search(path.read_text())} == {}
    assert not [path.name for path in texts if "sourceMappingURL" in path.read_text()]


def test_all_of_it_is_small():
    """A page appears at once also over a bad connection."""
    assert sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file()) <= LIMIT_BYTES


def test_a_changed_file_is_found(copy):
    """And one that is missing, and one that nobody knows."""
    (copy / "htmx.min.js").write_text("alert(1)")
    (copy / "uPlot.min.css").unlink()
    (copy / "other.js").touch()

    done = run(copy, "--check")

    assert done.returncode == 1
    assert "htmx.min.js: was changed" in done.stderr
    assert "uPlot.min.css: is missing" in done.stderr
    assert "other.js: is in no package" in done.stderr


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("htmx.org", "is no package in a version"),
        ("other@1.0.0", "other: is not in VENDOR.json (there are htmx.org, uplot)"),
    ],
)
def test_a_wrong_package_is_refused_before_anything_is_taken(copy, argument, message):
    """And the files are as they were."""
    done = run(copy, argument)

    assert done.returncode == 1
    assert message in done.stderr
    assert run(copy, "--check").returncode == 0


def test_a_machine_without_npm_is_told_what_to_install(copy, tmp_path):
    """Nothing is changed."""
    done = run(copy, path=tmp_path)

    assert (done.returncode, done.stderr) == (1, "npm: not found on the PATH (install Node.js)\n")
    assert run(copy, "--check").returncode == 0


def test_a_package_is_taken_as_npm_has_it(copy, tmp_path):
    """Of the file that the list names, into the file that the list names; and the list says what it is."""
    made = tmp_path / "made" / "package"
    (made / "dist").mkdir(parents=True)
    for name, content in (("dist/htmx.min.js", "new"), ("LICENSE", "do as you like"),
                          ("package.json", '{"license": "0BSD"}')):  # fmt: skip
        (made / name).write_text(content)
    archive = shutil.make_archive(str(tmp_path / "made" / "htmx"), "gztar", made.parent, "package")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n/bin/cp "{archive}" ./$(/bin/date +%s%N).tgz\n')
    npm.chmod(0o755)
    packages = json.loads((copy / "VENDOR.json").read_text())
    (copy / "VENDOR.json").write_text(json.dumps(packages[:1]))

    same = run(copy, path=npm.parent)
    other = run(copy, "htmx.org@9.9.9", path=npm.parent)

    assert same.returncode == 1
    assert "npm has another one of the same version" in same.stderr
    assert (copy / "htmx.min.js").read_text() == "new"
    (package,) = json.loads((copy / "VENDOR.json").read_text())
    assert (package["version"], package["licence"]) == ("9.9.9", "0BSD")
    assert "uPlot.min.css: is in no package" in other.stderr
