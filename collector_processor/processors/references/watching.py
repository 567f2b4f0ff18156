"""Taking up baselines that change while the service runs, and those that somebody sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from collector_processor.errors import RefusedError
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.files import BaselineFiles
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml.baseline import Baseline
from otel_ml.sketch.feature import ModelKey

_log = logging.getLogger(__name__)

BASELINE_UNWRITTEN: Final = "baseline_unwritten"
"""Why a request comes again; not as when the log's disk is full, for this may be another one."""
_LOOK_S: Final = 5.0


class BaselineWatch:
    """Keeps references as the files are.

    Args:
        forget_others: Is told the ids of all baselines that are still in use.
    """

    def __init__(
        self,
        files: BaselineFiles,
        references: References,
        telemetry: SelfTelemetry,
        *,
        forget_others: Callable[[Iterable[str]], None],
    ) -> None:
        self._files = files
        self._references = references
        self._telemetry = telemetry
        self._forget_others = forget_others
        self._looking = asyncio.Lock()

    @property
    def all(self) -> Sequence[Baseline]:
        """What windows are compared with."""
        return self._references.all

    async def keep(self, contents: Sequence[bytes]) -> Sequence[str]:
        """Take contents of baseline files over, and compare with them from now on; of each that is none, why.

        Raises:
            RefusedError: They cannot be written now; the same may be sent again.
        """
        try:
            kept = await asyncio.to_thread(self._files.keep, contents)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._telemetry.say_once(
                f"keep:{error.errno}",
                "a baseline that was sent cannot be written into %s: %s; who sent it is asked to come back",
                self._files.inbox,
                reason,
            )
            raise RefusedError(
                f"the baseline cannot be written: {reason} (processors::drift::accept_baselines); try again",
                BASELINE_UNWRITTEN,
            ) from error
        for baseline in kept.baselines:
            _log.info("baseline %s of model %s was sent", baseline.id[:8], _title(baseline.model))
        if kept.baselines:
            await self.look()
        return kept.problems

    async def run(self) -> None:
        """Look at the files every few seconds, until cancelled."""
        await asyncio.to_thread(self._files.tidy)
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Compare with what is in the files now."""
        async with self._looking:
            if not await asyncio.to_thread(self._files.look):
                return
            before = {baseline.model: baseline.id for baseline in self.all}
            self._references.replace(self._files.baselines)
            self._forget_others(baseline.id for baseline in self.all)
        for one in self._files.found.values():
            if one.problem:
                self._telemetry.say_once(f"baseline:{one.problem}", "a baseline is not used: %s", one.problem)
        for baseline in self.all:
            if before.get(baseline.model) != baseline.id:
                _log.info("model %s is compared with baseline %s now", _title(baseline.model), baseline.id[:8])


def _title(model: ModelKey) -> str:
    return " ".join(part for part in model if part)
