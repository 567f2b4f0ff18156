"""Obtains the real peers that the tests in tests/integration run against, into the user's cache folder.

    python tests/peers/build.py all                    what is not there yet
    python tests/peers/build.py prometheus jaeger      these
    python tests/peers/build.py --list                 which there are, and where

The Collector, Prometheus, Jaeger, Helm and the reader of compose files are built from their Go modules, VictoriaMetrics
comes as a Debian package that is unpacked and not installed, Kafka as jars by Maven. Each is of one pinned version;
another version gets another folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _load_collector_build():
    """The program that builds the Collector: for users, so it stands beside the configurations."""
    spec = importlib.util.spec_from_file_location("collector_build", ROOT / "deploy" / "collector" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


collector = _load_collector_build()


@dataclass(frozen=True)
class Peer:
    """A program to obtain.

    Attributes:
        binaries: The paths it consists of; the first is the program itself.
        obtain: Puts them there.
        pinned: The version that was asked for.
        version: Arguments that make it print its version; none if nothing does.
    """

    name: str
    binaries: tuple[Path, ...]
    obtain: Callable[[], None]
    pinned: str
    version: tuple[str, ...]

    @property
    def program(self) -> Path:
        return self.binaries[0]

    @property
    def present(self) -> bool:
        return all(path.exists() for path in self.binaries)

    def printed_version(self) -> str:
        if not self.version:
            return f"version {self.pinned}"
        said = subprocess.run([self.program, *self.version], capture_output=True, text=True, timeout=60, check=False)
        lines = (said.stdout + said.stderr).strip().splitlines()
        # Jaeger speaks JSON here, the others put it into their first line; Debian builds VictoriaMetrics without one.
        found = re.search(r'"gitVersion":\s*"([^"]*)"', " ".join(lines))
        return found[1] if found else lines[0] if lines else f"version {self.pinned}"


@dataclass(frozen=True)
class GoModule:
    """Programs of a Go module, built where the module cache unpacked it: with the versions of its own go.sum."""

    module: str
    version: str
    packages: dict[str, str]
    minimum_go: tuple[int, int, int]
    tags: str = ""
    version_variable: tuple[str, str] | None = None

    def into(self, folder: Path) -> None:
        go = collector.find_go(self.minimum_go)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            source = self._download(go, Path(scratch))
            for name, package in self.packages.items():
                flags = "-s -w" + (" -X {}={}".format(*self.version_variable) if self.version_variable else "")
                target = Path(scratch) / name
                command = [go, "build", "-p", "2", "-tags", self.tags, "-ldflags", flags, "-o", str(target), package]
                collector.run_go(command, folder=source)
                target.replace(folder / name)

    def _download(self, go: str, folder: Path) -> Path:
        collector.run_go([go, "mod", "init", "peer"], folder=folder)
        command = [go, "mod", "download", "-json", f"{self.module}@{self.version}"]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        described = json.loads(said.stdout or "{}")
        if "Dir" not in described:
            raise collector.BuildError(f"{' '.join(command)}: {described.get('Error') or said.stderr.strip()}")
        return Path(described["Dir"])


@dataclass(frozen=True)
class DebianPackage:
    """One file of a Debian package of a suite that need not be this machine's own.

    It comes from where this machine's own packages come from, with the suite replaced, and apt checks the signatures.
    """

    package: str
    version: str
    suite: str
    file: str

    def into(self, folder: Path) -> None:
        for command in ("apt-get", "dpkg-deb"):
            if shutil.which(command) is None:
                raise collector.BuildError(f"{self.package}: needs {command}, which is not here (Debian has it)")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            self._fetch(Path(scratch))
            found = next(Path(scratch).glob("*.deb"))
            _run(["dpkg-deb", "--extract", str(found), scratch], Path(scratch))
            (Path(scratch) / self.file).replace(folder / Path(self.file).name)

    def _fetch(self, scratch: Path) -> None:
        # apt drops to a user of its own, who must be able to read these.
        scratch.chmod(0o755)
        (scratch / "lists" / "partial").mkdir(parents=True)
        (scratch / "cache" / "archives" / "partial").mkdir(parents=True)
        (scratch / "sources.list").write_text(f"deb [{_debian_keyring()}] {_debian_source()} {self.suite} main\n")
        options = {
            "Dir::Etc::sourcelist": scratch / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": scratch / "lists",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            # Descriptions and icons of all of Debian, where a graphical package manager asked for them.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        arguments = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        _run(["apt-get", *arguments, "-qq", "update"], scratch)
        _run(["apt-get", *arguments, "-qq", "download", f"{self.package}={self.version}"], scratch)


@dataclass(frozen=True)
class MavenArtifact:
    """A program for the Java virtual machine: an artifact and all that it needs, and a command that starts its classes.

    Attributes:
        beside: Further artifacts, as group:artifact:version.
    """

    artifact: str
    version: str
    command: str
    beside: tuple[str, ...] = ()

    def into(self, folder: Path) -> None:
        for command in ("java", "mvn"):
            if shutil.which(command) is None:
                raise collector.BuildError(f"{self.artifact}: needs {command}, which is not here (Debian: maven)")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            wanted = [f"{self.artifact}:{self.version}", *self.beside]
            (Path(scratch) / "pom.xml").write_text(_pom(wanted))
            copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            _run(["mvn", "-q", "-B", copy, "-DoutputDirectory=jars"], Path(scratch))
            shutil.rmtree(folder / "jars", ignore_errors=True)
            (Path(scratch) / "jars").replace(folder / "jars")
            script = Path(scratch) / self.command
            script.write_text('#!/bin/sh\nexec java $JAVA_OPTIONS -cp "$(dirname "$0")/jars/*" "$@"\n')
            script.chmod(0o755)
            script.replace(folder / self.command)


def _pom(artifacts: list[str]) -> str:
    parts = ("groupId", "artifactId", "version")

    def element(artifact: str) -> str:
        pairs = zip(parts, artifact.split(":"), strict=True)
        return "".join(f"<{name}>{value}</{name}>" for name, value in pairs)

    dependencies = "".join(f"<dependency>{element(artifact)}</dependency>" for artifact in artifacts)
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"{element('peer:peer:1')}<dependencies>{dependencies}</dependencies></project>\n"
    )


def _debian_source() -> str:
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    said = subprocess.run(targets, capture_output=True, text=True, check=False)
    # Security updates live in a repository of their own, which has no such suites.
    found = [uri for uri in said.stdout.split() if "security" not in uri]
    if not found:
        raise collector.BuildError(
            "apt-get: knows no Debian repository (is this Debian, and did `apt-get update` run?)"
        )
    return found[0]


def _debian_keyring() -> str:
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.exists():
        raise collector.BuildError(f"{keyring}: not there (apt-get install debian-archive-keyring)")
    return f"signed-by={keyring}"


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise collector.BuildError(f"{' '.join(command[:1] + command[-2:])}: failed\n{said}")


def _peer(name, source, binaries, version):
    folder = collector.cache() / "peers" / f"{name}-{source.version.lstrip('v').replace('+', '-')}"
    return Peer(
        name, tuple(folder / binary for binary in binaries), lambda: source.into(folder), source.version, version
    )


# The versions of all peers stand here, but for the Collector's, which are in deploy/collector/manifest.yaml.
PROMETHEUS = GoModule(
    "github.com/prometheus/prometheus",
    "v0.315.0",  # of the module; the program is 3.15.0
    {"prometheus": "./cmd/prometheus", "promtool": "./cmd/promtool"},
    minimum_go=(1, 26, 0),
    # Without the clients of two dozen clouds that it could find its targets in.
    tags="remove_all_sd,netgo",
    version_variable=("github.com/prometheus/common/version.Version", "3.15.0"),
)
JAEGER = GoModule(
    "github.com/jaegertracing/jaeger",
    "v1.76.0",
    {"jaeger-all-in-one": "./cmd/all-in-one"},
    minimum_go=(1, 24, 6),
    version_variable=("github.com/jaegertracing/jaeger/internal/version.latestVersion", "v1.76.0"),
)
VICTORIA_METRICS = DebianPackage("victoria-metrics", "1.112.0+ds1-2", "trixie", "usr/bin/victoria-metrics")
HELM = GoModule(
    "helm.sh/helm/v3",
    "v3.22.0",
    {"helm": "./cmd/helm"},
    minimum_go=(1, 26, 0),
    version_variable=("helm.sh/helm/v3/internal/version.version", "v3.22.0"),
)
COMPOSE_SPEC = GoModule(
    "github.com/compose-spec/compose-go/v2", "v2.16.2", {"compose-spec": "./cmd"}, minimum_go=(1, 24, 0)
)
KAFKA = MavenArtifact(
    "org.apache.kafka:kafka_2.13",
    "4.1.1",
    command="kafka",
    # So that it logs; it brings the interface alone.
    beside=("org.slf4j:slf4j-simple:1.7.36",),
)

PEERS = {
    peer.name: peer
    for peer in (
        Peer("collector", (collector.binary(),), collector.build, "of the manifest", ("--version",)),
        _peer("prometheus", PROMETHEUS, ("prometheus", "promtool"), ("--version",)),
        _peer("jaeger", JAEGER, ("jaeger-all-in-one",), ("version",)),
        _peer("victoriametrics", VICTORIA_METRICS, ("victoria-metrics",), ("--version",)),
        _peer("helm", HELM, ("helm",), ("version", "--short")),
        _peer("compose-spec", COMPOSE_SPEC, ("compose-spec",), ()),
        _peer("kafka", KAFKA, ("kafka", "jars"), ("kafka.Kafka", "--version")),
    )
}


def main() -> int:
    """Obtain what the command line names; 0 when all of it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="PEER", help=f"all, or any of {', '.join(PEERS)}")
    parser.add_argument("--list", action="store_true", help="say which there are, and where")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in {"all", *PEERS}]
    if unknown or not (arguments.names or arguments.list):
        parser.error(f"{', '.join(unknown) or 'no peer named'} (there are all, {', '.join(PEERS)})")
    if arguments.list:
        for peer in PEERS.values():
            print(f"{peer.name:16} {'there  ' if peer.present else 'missing'}  {peer.program}")
        return 0
    chosen = list(PEERS) if "all" in arguments.names else arguments.names
    outcomes = [_obtain(PEERS[name]) for name in chosen]
    return 0 if all(outcomes) else 1


def _obtain(peer: Peer) -> bool:
    begun = time.monotonic()
    try:
        if not peer.present:
            print(f"{peer.name}: obtaining …", flush=True)
            peer.obtain()
    except collector.BuildError as error:
        print(f"{peer.name}: missing. {error}", file=sys.stderr, flush=True)
        return False
    print(f"{peer.name}: {peer.printed_version()} in {time.monotonic() - begun:.0f} s: {peer.program}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
