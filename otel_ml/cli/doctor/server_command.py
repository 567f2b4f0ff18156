"""What can be read off the command that starts a server: who launches it, how many workers, which file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SERVERS: Final = frozenset(("gunicorn", "uvicorn", "hypercorn", "fastapi", "flask", "python"))
_FORKING: Final = ("gunicorn", "uvicorn")
_PYTHON: Final = re.compile(r"python(\d(\.\d+)?)?(\.exe)?")
_APPLICATION: Final = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(\(\))?")
_FOLDERS: Final = ("--app-dir", "--chdir")
_AGENTS: Final = frozenset(("ddtrace-run", "newrelic-admin", "logfire"))


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """A command, taken apart.

    Attributes:
        launchers: Who sets OpenTelemetry up before the server starts, outermost first.
        server: "gunicorn", "uvicorn", "python" …; empty where it is none that is known.
        arguments: What stands behind the server.
    """

    launchers: tuple[str, ...]
    server: str
    arguments: tuple[str, ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> ServerCommand:
        """Take a command apart; nothing of it is run."""
        launchers: list[str] = []
        rest = list(words)
        for place, word in enumerate(words):
            name = _name(word)
            if name == "opentelemetry-instrument" or name in _AGENTS:
                launchers.append(name)
            elif name == "otel-ml" and list(words[place + 1 : place + 2]) == ["run"]:
                launchers.append("otel-ml run")
            elif name in _SERVERS:
                rest = list(words[place:])
                break
        if not rest or _name(rest[0]) not in _SERVERS:
            return cls(tuple(launchers), "", tuple(rest))
        if _name(rest[0]) == "python" and rest[1:2] == ["-m"] and _name((rest[2:3] or [""])[0]) in _SERVERS:
            rest = rest[2:]
        return cls(tuple(launchers), _name(rest[0]), tuple(rest[1:]))

    def workers(self, environment: Mapping[str, str]) -> int:
        """How many processes will serve; 1 where nothing says more."""
        if self.server not in _FORKING:
            return 1
        given = environment.get("GUNICORN_CMD_ARGS", "").split() if self.server == "gunicorn" else []
        # What stands on the command line wins over what stands in the environment.
        for words in (self.arguments, given):
            written = _value(words, ("--workers", "-w") if self.server == "gunicorn" else ("--workers",))
            if written is not None:
                return _count(written)
        return _count(environment.get("WEB_CONCURRENCY", "1"))

    def has(self, option: str, environment: Mapping[str, str]) -> bool:
        """Whether the server is given an option."""
        given = environment.get("GUNICORN_CMD_ARGS", "").split() if self.server == "gunicorn" else []
        return option in (*self.arguments, *given)

    def file(self, folder: Path) -> Path | None:
        """The source file that holds the application, if it can be found."""
        bases = [folder / written for option in _FOLDERS if (written := _value(self.arguments, (option,)))]
        for base in (*bases, folder):
            for path in _candidates(base, self.arguments):
                if path.is_file():
                    return path
        return None


def _candidates(base: Path, words: Sequence[str]) -> Iterable[Path]:
    for place, word in enumerate(words):
        matched = _APPLICATION.fullmatch(word)
        module = matched[1] if matched else word if place and words[place - 1] == "-m" else None
        if module is not None:
            path = base.joinpath(*module.split("."))
            yield from (path.with_suffix(".py"), path / "__init__.py", path / "__main__.py")
        elif word.endswith(".py"):
            yield base / word


def _name(word: str) -> str:
    name = Path(word).name
    return "python" if _PYTHON.fullmatch(name) else name


def _value(words: Sequence[str], options: Sequence[str]) -> str | None:
    found = None
    for place, word in enumerate(words):
        option, separator, value = word.partition("=")
        if option in options:
            found = value if separator else (words[place + 1] if place + 1 < len(words) else None)
        elif len(word) > 2 and word[:2] in options and not word.startswith("--"):
            found = word[2:]
    return found


def _count(written: str) -> int:
    return int(written) if written.isascii() and written.isdigit() and len(written) < 6 else 1
