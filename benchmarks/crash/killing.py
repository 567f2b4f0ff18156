"""A processor that is killed at random moments and started again, as often as asked for."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.processor.servers import Processor, Server, launch_processor, once_ready

# Of all ends: while it starts or recovers; by SIGTERM; by SIGTERM and then, while it shuts down, by SIGKILL.
_STARTING: Final = 0.2
_TERMINATED: Final = 0.1
_INTERRUPTED: Final = 0.1
# As a share of how long the last start took: a kill may hit any part of it, and a little of what comes after.
_LONGEST_START: Final = 1.3
_FIRST_START_S: Final = 2.0
_LONGEST_LIFE_S: Final = 2.0
# A client that was refused for a while comes back later and later; most kills wait until it has.
_UNDER_LOAD: Final = 0.8
_LOAD_S: Final = 20.0
_SHUTDOWN_S: Final = 60.0


class ProcessorDiedError(Exception):
    """A processor ended that nobody had killed."""


@dataclass(slots=True)
class Kills:
    """What was done to it.

    Attributes:
        by_kind: How often it was ended in which way.
        starts_s: How long each start took that was waited for, until it received.
        under_load: Kills of one that had acknowledged something since it was started.
    """

    by_kind: Counter[str] = field(default_factory=Counter)
    starts_s: list[float] = field(default_factory=list)
    under_load: int = 0

    @property
    def total(self) -> int:
        """Kills of any kind."""
        return sum(self.by_kind.values())


class Victim:
    """Runs one processor at a time on one store.

    Args:
        acknowledged: How much it has acknowledged so far, over all its lives.
        on_progress: Called after each kill with how many there were.
    """

    def __init__(
        self,
        setup: Processor,
        log: Path,
        seed: int,
        acknowledged: Callable[[], float],
        on_progress: Callable[[int], None],
    ) -> None:
        self.kills = Kills()
        self.server: Server | None = None
        self._setup = setup
        self._log = log
        self._chance = random.Random(seed)
        self._acknowledged = acknowledged
        self._on_progress = on_progress
        self._is_over = False

    def kill_often(self, times: int) -> None:
        """Kill it so many times, and leave it dead.

        Raises:
            ProcessorDiedError: It ended by itself, or did not end with 0 when it was told to.
        """
        while self.kills.total < times and not self._is_over:
            kind = self._chance.random()
            if kind < _STARTING:
                self._launch()
                usual_s = self.kills.starts_s[-1] if self.kills.starts_s else _FIRST_START_S
                self._wait(self._chance.uniform(0, _LONGEST_START * usual_s))
                self._end("starting", signal.SIGKILL)
            else:
                self.start()
                before = self._acknowledged()
                if self._chance.random() < _UNDER_LOAD:
                    self._wait_for_load(before)
                self._wait(self._chance.uniform(0, _LONGEST_LIFE_S))
                self.kills.under_load += self._acknowledged() > before
                if kind < _STARTING + _TERMINATED:
                    self.terminate()
                    self.kills.by_kind["terminated"] += 1
                elif kind < _STARTING + _TERMINATED + _INTERRUPTED:
                    self._server.process.send_signal(signal.SIGTERM)
                    time.sleep(self._chance.uniform(0, 0.5))
                    self._end("shutting_down", signal.SIGKILL)
                else:
                    self._end("serving", signal.SIGKILL)
            self._on_progress(self.kills.total)

    def spare(self) -> None:
        """Kill it no more, from the next time on."""
        self._is_over = True

    def start(self) -> None:
        """Start it, and wait until it receives."""
        self._launch()
        begun = time.monotonic()
        try:
            once_ready(self._server, self._log)
        except RuntimeError as error:
            raise ProcessorDiedError(str(error)) from error
        self.kills.starts_s.append(time.monotonic() - begun)

    def terminate(self) -> None:
        """Let it end in peace.

        Raises:
            ProcessorDiedError: It does not end, or not with 0.
        """
        process = self._server.process
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self.destroy()
            raise ProcessorDiedError(
                f"it did not stop within {_SHUTDOWN_S:g} s of SIGTERM\n{self._last_words()}"
            ) from None
        self.destroy()
        if code:
            raise ProcessorDiedError(f"it ended with {code} after SIGTERM\n{self._last_words()}")

    def destroy(self) -> None:
        """Whatever it does, it does not any more."""
        if self.server is not None:
            self.server.stop(signal.SIGKILL)
            self.server = None

    @property
    def _server(self) -> Server:
        assert self.server is not None
        return self.server

    def _launch(self) -> None:
        # On whichever core: what counts here is that moments differ.
        self.server = launch_processor(self._setup, self._log, core=None)

    def _wait(self, seconds: float) -> None:
        """Let it live for a while."""
        try:
            code = self._server.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        self.destroy()
        raise ProcessorDiedError(f"it ended by itself with {code}\n{self._last_words()}")

    def _wait_for_load(self, before: float) -> None:
        deadline = time.monotonic() + _LOAD_S
        while self._acknowledged() <= before and time.monotonic() < deadline:
            self._wait(0.05)

    def _end(self, kind: str, number: int) -> None:
        self._server.stop(number)
        self.server = None
        self.kills.by_kind[kind] += 1

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
