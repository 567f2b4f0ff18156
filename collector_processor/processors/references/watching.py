"""Taking up baselines that change while the service runs, and those that somebody sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.files import BaselineFiles
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml.baseline import Baseline
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import ModelKey

_log = logging.getLogger(__name__)

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

    async def keep(self, content: bytes) -> str | None:
        """Take the content of a baseline file over, and compare with it from now on; why not, where that fails."""
        try:
            baseline = await asyncio.to_thread(self._files.keep, content)
        except BaselineError as error:
            return str(error)
        _log.info("baseline %s of model %s was sent", baseline.id[:8], _title(baseline.model))
        await self.look()
        return None

    async def run(self) -> None:
        """Look at the files every few seconds, until cancelled."""
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
