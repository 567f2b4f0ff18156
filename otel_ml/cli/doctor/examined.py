"""What the checks look at: the environment, the endpoints, the command, the files; each asked for once, when needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from io import StringIO
from typing import TYPE_CHECKING, Any

from otel_ml.cli.otlp.destination import SIGNALS, Destination, destinations
from otel_ml.cli.otlp.listening import Listening, ask
from otel_ml.cli.otlp.sending import Answer, send

if TYPE_CHECKING:
    from pathlib import Path

    from otel_ml.baseline import Baseline
    from otel_ml.config import Settings


@dataclass(frozen=True, slots=True)
class BaselineFile:
    """A baseline that the environment names: loaded, or why not."""

    path: Path
    baseline: Baseline | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """What `otel-ml config check` says of a file; `missing` where there is no such command here."""

    problems: Sequence[str] = ()
    effective: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""


class Examined:
    """What the checks look at.

    Args:
        environment: That of the model server, usually `os.environ`.
        endpoint: Instead of what the environment says.
        protocol: Likewise.
        command: That starts the model server; empty when it is not known.
        config: The configuration of a processor on this machine.
        timeout_s: For each attempt to reach something.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        endpoint: str | None = None,
        protocol: str | None = None,
        command: Sequence[str] = (),
        config: Path | None = None,
        timeout_s: float = 3.0,
    ) -> None:
        self.environment = environment
        self.command = tuple(command)
        self.config = config
        self.timeout_s = timeout_s
        self._all = destinations(environment, endpoint=endpoint, protocol=protocol)
        self._listening: dict[tuple[str, int], Listening] = {}
        self._answers: dict[str, Answer] = {}

    def exporters(self, signal: str) -> list[str]:
        """The exporters of a signal by name; without a word on it, the SDK's own distribution takes OTLP."""
        written = self.environment.get(f"OTEL_{signal.upper()}_EXPORTER", "")
        return [name.strip() for name in written.split(",") if name.strip()] or ["otlp"]

    @cached_property
    def destinations(self) -> list[Destination]:
        """Where each signal goes that is exported over OTLP."""
        sent = [signal for signal in SIGNALS if any(name.startswith("otlp") for name in self.exporters(signal))]
        return [self._all[signal] for signal in sent]

    @cached_property
    def routes(self) -> list[Destination]:
        """One destination for each different endpoint and protocol."""
        different = {(one.endpoint, one.protocol, one.is_encrypted): one for one in reversed(self.destinations)}
        return list(reversed(different.values()))

    def listening(self, destination: Destination) -> Listening | None:
        """What listens there; None where the endpoint names no address."""
        if not destination.host or destination.port is None:
            return None
        place = (destination.host, destination.port)
        if place not in self._listening:
            self._listening[place] = ask(*place, self.timeout_s, certificate=destination.certificate)
        return self._listening[place]

    def answer(self, destination: Destination) -> Answer:
        """What the receiver says to a request with nothing in it."""
        if destination.signal not in self._answers:
            self._answers[destination.signal] = send(destination, b"", self.timeout_s)
        return self._answers[destination.signal]

    @cached_property
    def settings(self) -> Settings:
        """What the library would make of the environment; wrong variables keep their defaults."""
        from otel_ml.config import Settings

        # What it would warn of is found by a check.
        logging.getLogger("otel_ml").addHandler(logging.NullHandler())
        return Settings.from_environment(self.environment)

    @cached_property
    def baselines(self) -> list[BaselineFile]:
        """Every baseline that the environment names."""
        from otel_ml.baseline import Baseline
        from otel_ml.errors import BaselineError

        found = []
        for path in self.settings.baselines:
            try:
                found.append(BaselineFile(path, Baseline.load(path)))
            except BaselineError as error:
                found.append(BaselineFile(path, None, str(error)))
        return found

    @cached_property
    def configuration(self) -> ConfigurationFile | None:
        """What there is to say of the processor's configuration; None without one."""
        if self.config is None:
            return None
        # The library never imports the service: its command is found as any other is.
        (command,) = entry_points(group="otel_ml_command", name="config")
        output = StringIO()
        try:
            check = command.load()
            with redirect_stdout(output), redirect_stderr(StringIO()):
                check.main(["check", str(self.config), "--json", "--effective"], "config", standalone_mode=False)
        except ModuleNotFoundError as error:
            return ConfigurationFile(missing=error.name or str(error))
        except SystemExit:
            # It ends so where there are problems, having told them.
            pass
        said = json.loads(output.getvalue())
        problems = [f"{one['where']}: {one['text']}" for one in said["problems"]]
        return ConfigurationFile(problems, said.get("effective") or {})
